"""Chooses a target by weight, at random or by key."""

from __future__ import annotations

import hashlib
import math
import random

from taxiway.routing.settings import Weights

_BITS = 53  # of a float's mantissa


def _uniform(key: bytes, name: str) -> float:
    """A hash of a key and a name as a number between 0 and 1, both excluded."""
    digest = hashlib.blake2b(
        key, digest_size=8, person=hashlib.blake2b(name.encode(), digest_size=16).digest()
    ).digest()
    return ((int.from_bytes(digest) >> (64 - _BITS)) + 0.5) / (1 << _BITS)


def by_key(key: bytes, weights: Weights) -> str:
    """The target of a key: always the same for a key, and in proportion to the weights over all keys.

    Weighted rendezvous hashing: each target gets a score for the key, and the best one wins. If a target's weight
    grows, it takes keys from the others and loses none, so only as many keys move as necessary.
    """
    drawn = {name: -math.log(_uniform(key, name)) / weight for name, weight in weights.items() if weight}
    return min(drawn, key=drawn.__getitem__)


def by_weight(weights: Weights, source: random.Random) -> str:
    """A random target, in proportion to the weights."""
    return source.choices(list(weights), list(weights.values()))[0]
