"""Which arm a key belongs to: the proxy assigns by it, and an analysis knows who was assigned to what."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

_BITS = 53  # of a float's mantissa


def uniform(key: bytes, name: str) -> float:
    """A hash of a key and a name as a number between 0 and 1, both excluded."""
    digest = hashlib.blake2b(
        key, digest_size=8, person=hashlib.blake2b(name.encode(), digest_size=16).digest()
    ).digest()
    return ((int.from_bytes(digest) >> (64 - _BITS)) + 0.5) / (1 << _BITS)


def by_key(key: bytes, weights: Mapping[str, float]) -> str:
    """The arm of a key: always the same for a key, and in proportion to the weights over all keys.

    Weighted rendezvous hashing: each arm gets a score for the key, and the best one wins. If an arm's weight grows, it
    takes keys from the others and loses none, so only as many keys move as necessary.

    Args:
        key: The key, such as a user's identifier.
        weights: The weight of each arm; one of them is above 0.
    """
    drawn = {name: -math.log(uniform(key, name)) / weight for name, weight in weights.items() if weight}
    return min(drawn, key=drawn.__getitem__)
