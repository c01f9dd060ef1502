"""Assignment by keys: in proportion, and always the same."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from components.experiments.hashing import by_key

KEYS = [f"user {number}".encode() for number in range(20_000)]


def test_keys_spread_in_proportion_to_the_weights() -> None:
    weights = {"a": 70.0, "b": 25.0, "c": 5.0, "d": 0.0}
    counts = Counter(by_key(key, weights) for key in KEYS)
    for name, weight in weights.items():
        share = weight / 100
        assert abs(counts[name] - 20_000 * share) <= 4 * (20_000 * share * (1 - share)) ** 0.5


def test_new_weights_move_as_few_keys_as_possible() -> None:
    before, after = {"a": 90.0, "b": 10.0}, {"a": 80.0, "b": 20.0}
    moves = Counter((by_key(key, before), by_key(key, after)) for key in KEYS)
    assert moves["b", "a"] == 0
    assert abs(moves["a", "b"] - 2000) < 200
    # A common factor moves nothing.
    assert all(by_key(key, before) == by_key(key, {"a": 9.0, "b": 1.0}) for key in KEYS[:2000])


@given(st.binary(max_size=40), st.dictionaries(st.text(min_size=1, max_size=9), st.floats(0.01, 1e6), min_size=1))
def test_every_key_has_one_target(key: bytes, weights: dict[str, float]) -> None:
    chosen = by_key(key, weights)
    assert chosen in weights
    assert by_key(key, dict(reversed(weights.items()))) == chosen
    assert by_key(key, {**weights, chosen: weights[chosen] * 2}) == chosen


def test_a_target_without_weight_gets_nothing() -> None:
    weights = {"a": 0.0, "b": 1.0}
    assert {by_key(key, weights) for key in KEYS[:500]} == {"b"}


def test_keys_stay_where_releases_before_had_them() -> None:
    weights = {"stable": 90.0, "canary": 10.0}
    canary = [number for number in range(60) if by_key(f"user {number}".encode(), weights) == "canary"]
    assert canary == [10, 17, 22, 26]
