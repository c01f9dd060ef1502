"""Layers: who takes part in which experiment."""

from __future__ import annotations

from collections import Counter

import pytest
import scipy.stats as st

from components.contract.errors import UserError
from components.experiments.layers import Experiment, Layer, arm, assigned

KEYS = [f"user {number}" for number in range(8000)]
HALVES = {"control": 50.0, "treatment": 50.0}
RANKING = Layer("ranking", {"long": Experiment(0.3, HALVES), "short": Experiment(0.2, HALVES)})


def test_users_are_in_one_experiment_of_a_layer_at_most_and_in_its_share() -> None:
    counts = Counter(found and found[0] for found in (assigned(RANKING, key) for key in KEYS))
    for name, share in (("long", 0.3), ("short", 0.2), (None, 0.5)):
        assert abs(counts[name] - 8000 * share) < 4 * (8000 * share * (1 - share)) ** 0.5


def test_arms_have_their_weights_and_do_not_depend_on_other_layers() -> None:
    colour = Layer("colour", {"blue": Experiment(1.0, HALVES)})
    pairs = Counter((assigned(RANKING, key), assigned(colour, key)) for key in KEYS)
    table = [
        [pairs[row, ("blue", column)] for column in HALVES]
        for row in (None, *((name, each) for name in ("long", "short") for each in HALVES))
    ]
    assert st.chi2_contingency(table).pvalue > 0.001
    assert sum(map(sum, table)) == 8000


def test_a_larger_share_keeps_who_takes_part() -> None:
    before = Layer("ranking", {"long": Experiment(0.1, HALVES)})
    after = Layer("ranking", {"long": Experiment(0.4, HALVES)})
    took_part = [key for key in KEYS[:3000] if assigned(before, key)]
    assert len(took_part) > 200
    assert [assigned(before, key) for key in took_part] == [assigned(after, key) for key in took_part]


def test_experiments_divide_the_same_users_in_other_ways() -> None:
    same = sum(arm("one", HALVES, key) == arm("two", HALVES, key) for key in KEYS)
    assert abs(same - 4000) < 4 * 2000**0.5


def test_a_full_layer_leaves_nobody_out() -> None:
    full = Layer("all", {f"{n}": Experiment(0.1, HALVES) for n in range(10)})
    assert None not in {assigned(full, key) for key in KEYS[:1000]}
    assert assigned(Layer("none", {}), "user") is None


@pytest.mark.parametrize(
    ("name", "experiments", "message"),
    [
        ("", {}, "a layer has no name"),
        ("x", {"a": Experiment(0.7, HALVES), "b": Experiment(0.7, HALVES)}, "sum to 1.4"),
        ("x", {"a": Experiment(-0.1, HALVES)}, "sum to -0.1"),
        ("x", {"a": Experiment(0.1, {"control": 0.0})}, "experiment 'a' has no arm with a weight"),
    ],
)
def test_layers_that_cannot_be_are_refused(name: str, experiments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Layer(name, experiments)
    assert caught.value.fix
