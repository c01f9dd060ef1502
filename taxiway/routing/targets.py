"""Chooses a target by weight at random; components/experiments/hashing.py chooses it by key."""

from __future__ import annotations

import random

from taxiway.routing.settings import Weights


def by_weight(weights: Weights, source: random.Random) -> str:
    """A random target, in proportion to the weights."""
    return source.choices(list(weights), list(weights.values()))[0]
