"""Routing by weights."""

from __future__ import annotations

import random
from collections import Counter

from taxiway.routing.targets import by_weight


def test_targets_are_drawn_in_proportion_to_the_weights() -> None:
    source, weights = random.Random(1), {"a": 70.0, "b": 25.0, "c": 5.0, "d": 0.0}
    counts = Counter(by_weight(weights, source) for _ in range(20_000))
    assert counts["d"] == 0
    for name, weight in weights.items():
        share = weight / 100
        assert abs(counts[name] - 20_000 * share) <= 4 * (20_000 * share * (1 - share)) ** 0.5
