"""Which target a request goes to: by weight, and by key."""

from __future__ import annotations

import hashlib
import math
import random

from taxiway.routing.settings import Weights

_BITS = 53  # of a float's mantissa


def _uniform(key: bytes, name: str) -> float:
    """A number between 0 and 1, both excluded, that a key and a name always have."""
    digest = hashlib.blake2b(
        key, digest_size=8, person=hashlib.blake2b(name.encode(), digest_size=16).digest()
    ).digest()
    return ((int.from_bytes(digest) >> (64 - _BITS)) + 0.5) / (1 << _BITS)


def by_key(key: bytes, weights: Weights) -> str:
    """The target of a key: always the same, and over all keys in proportion to the weights.

    Weighted rendezvous hashing: each target draws a number for the key, and the best wins. A target whose weight grows
    takes keys from the others and gives none away, so that no more keys move than have to.
    """
    drawn = {name: -math.log(_uniform(key, name)) / weight for name, weight in weights.items() if weight}
    return min(drawn, key=drawn.__getitem__)


def by_weight(weights: Weights, source: random.Random) -> str:
    """A target at random, in proportion to the weights."""
    return source.choices(list(weights), list(weights.values()))[0]
