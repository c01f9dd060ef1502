"""What makes an experiment unbelievable is found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from components.contract.errors import DataError, UserError
from components.experiments import arms
from components.experiments.validity.mismatch import Stretch, mismatch
from components.experiments.validity.same import same
from components.experiments.validity.sampling import differs, weighted
from components.experiments.validity.slices import by_slice

HALVES = {"a": 1.0, "b": 1.0}


def _stretch(a: float, b: float, weights: dict[str, float] = HALVES) -> Stretch:
    return Stretch({"a": a, "b": b}, weights)


def test_kept_weights_are_no_mismatch_at_any_look() -> None:
    chance = np.random.default_rng(1)
    found = 0
    for _ in range(200):
        treated = chance.binomial(100, 0.2, size=100).cumsum()
        weights = {"a": 80.0, "b": 20.0}
        p_values = [mismatch([_stretch(100 * n - t, t, weights)]).p_value for n, t in enumerate(treated, 1)]
        found += min(p_values) < 0.05
    assert found / 200 <= 0.06


def test_lost_units_are_a_mismatch() -> None:
    found = mismatch([_stretch(10_000, 10_800)])
    assert found.p_value < 0.001
    assert found.expected == {"a": 10_400, "b": 10_400}
    assert found.found == {"a": 10_000, "b": 10_800}
    assert mismatch([_stretch(10_000, 10_100)]).p_value > 0.05


def test_steps_with_other_weights_are_tested_together() -> None:
    steps = [_stretch(9900, 100, {"a": 99, "b": 1}), _stretch(500, 500)]
    assert mismatch(steps).p_value > 0.5
    assert mismatch([_stretch(10_400, 600)]).p_value < 1e-9
    assert mismatch([]).p_value == 1
    assert mismatch([_stretch(0, 0)]).p_value == pytest.approx(1)
    assert mismatch([_stretch(5000, 5000), _stretch(50_000, 53_000)]).p_value < 0.001


@pytest.mark.parametrize(
    ("stretch", "message"),
    [
        (_stretch(10, 10, {"a": 1.0, "b": 0.0}), "arms without a weight have units: {'b': 10}"),
        (_stretch(-1, 10), "must be 0 or more"),
        (_stretch(1, 1, {"a": 0.0, "b": 0.0}), "no arm has a weight"),
    ],
)
def test_assignments_that_make_no_sense_are_refused(stretch: Stretch, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        mismatch([stretch])
    assert caught.value.fix


def test_splits_of_the_same_units_differ_as_chance_has_it() -> None:
    values = np.random.default_rng(2).gamma(2, size=1500)
    found = same(values, runs=600)
    assert found.uniform > 0.01
    assert found.found == pytest.approx(0.05, abs=0.03)
    assert found.deviation == pytest.approx(2 * values.std() / np.sqrt(1500), rel=0.1)
    assert len(found.p_values) == 600


def test_one_unit_with_nearly_all_of_the_sum_is_found_out() -> None:
    values = np.append(np.random.default_rng(3).gamma(2, size=999), 1e6)
    assert same(values, runs=300).uniform < 1e-6


@pytest.mark.parametrize("values", [[1.0, 2.0, 3.0], [5.0] * 100, [], [1.0, 2.0, 3.0, float("nan")]])
def test_an_a_a_run_needs_units_that_differ(values: list[float]) -> None:
    with pytest.raises(DataError) as caught:
        same(values)
    assert caught.value.fix


def test_simpsons_paradox_is_warned_of() -> None:
    """Treated mostly on a bad day, and better on both days."""
    slices = {
        "Friday": (arms.of_counts(20_000, 990_000), arms.of_counts(230, 10_000)),
        "Saturday": (arms.of_counts(5_000, 500_000), arms.of_counts(6_000, 500_000)),
    }
    found = by_slice(slices)
    assert found.paradox
    assert found.difference < 0 < found.low
    assert found.mix < 1e-9
    assert set(found.against) == {"Friday", "Saturday"}


def test_slices_that_agree_are_no_paradox() -> None:
    chance = np.random.default_rng(4)
    for _ in range(50):
        hits = chance.binomial(1000, 0.1, size=(3, 2))
        slices = {str(n): (arms.of_counts(c, 1000), arms.of_counts(t, 1000)) for n, (c, t) in enumerate(hits)}
        found = by_slice(slices)
        assert not found.paradox
        assert found.within == pytest.approx(found.difference)
    assert np.isnan(by_slice({"all": slices["0"]}).mix)


def test_slices_need_units_in_both_arms() -> None:
    with pytest.raises(UserError, match="there are no slices"):
        by_slice({})
    with pytest.raises(DataError, match="the treatment of slice 'x' has 0 units"):
        by_slice({"x": (arms.of_counts(1, 5), arms.of_counts(0, 0))})


def test_weights_undo_a_sampling_that_depends_on_the_value() -> None:
    chance = np.random.default_rng(5)
    found, errors = [], []
    for _ in range(400):
        values = chance.exponential(size=3000)
        shares = np.where(values > 1, 1.0, 0.2)
        kept = chance.random(3000) < shares
        arm = weighted(values[kept], shares[kept])
        found.append(float(arm.mean))
        errors.append(float(arm.variance) / float(arm.n))
    assert values[kept].mean() > 1.3
    assert np.mean(found) == pytest.approx(1, abs=0.005)
    assert np.mean(errors) == pytest.approx(np.var(found), rel=0.25)


def test_shares_that_differ_between_arms_are_seen() -> None:
    assert differs([0.1, 0.1], [1.0])
    assert not differs([0.1, 0.1], [0.1])
    assert not differs([], [1.0])


@pytest.mark.parametrize("shares", [[0.0, 1.0], [1.5, 1.0], [1.0], [float("nan"), 1.0]])
def test_shares_are_probabilities(shares: list[float]) -> None:
    with pytest.raises(DataError):
        weighted([1.0, 2.0], shares)
    assert weighted([], []).n == 0
