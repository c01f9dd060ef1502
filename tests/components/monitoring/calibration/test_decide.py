"""Windows without a change have no signal more often than asked for, and changes are found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.monitoring.populations import Population, with_unseen
from components.monitoring.calibration.decide import (
    DEVIATIONS,
    MISSING,
    SHARE,
    TYPES,
    UNSEEN,
    VALUES,
    Decision,
    decide,
    decide_all,
)
from components.monitoring.calibration.settings import Settings
from components.monitoring.summaries import Bins, Reference, Summary

Found = dict[tuple[str, str], Decision]
ROWS = 20_000


def _population(chance: np.random.Generator) -> Population:
    """Every kind of column that is awkward."""
    normal = chance.normal(size=ROWS)
    zipf = 1 / np.arange(1, 20_001) ** 0.5
    return Population(
        {
            "normal": ("number", normal),
            "copy": ("number", normal + chance.normal(size=ROWS) / 100),
            "ties": ("number", np.where(chance.random(ROWS) < 0.99, 0.0, normal)),
            "holes": ("number", np.where(chance.random(ROWS) < 0.3, np.nan, normal)),
            "constant": ("number", np.full(ROWS, 3.0)),
            "nothing": ("number", np.full(ROWS, np.nan)),
            "one": ("category", np.zeros(ROWS, dtype=int)),
            "few": ("category", chance.choice(4, size=ROWS, p=[0.9, 0.08, 0.019, 0.001])),
            "uniform": ("category", chance.integers(500, size=ROWS)),
            "many": ("category", chance.choice(20_000, size=ROWS, p=zipf / zipf.sum())),
        }
    )


@pytest.fixture(scope="module")
def population() -> Population:
    return _population(np.random.default_rng(1))


@pytest.fixture(scope="module")
def reference(population: Population) -> Reference:
    found = population.reference(np.random.default_rng(2), 10_000)
    middles = np.append(0.0, found.columns["normal"].bins.edges)
    return replace(found, scores=middles[found.codes[:, 0]])


@pytest.fixture
def window(population: Population, reference: Reference) -> dict[str, Summary]:
    return population.window(np.random.default_rng(3).integers(ROWS, size=1000))


def _found(reference: Reference, window: Mapping[str, Summary], settings: Settings | None = None) -> Found:
    return {(each.column, each.test): each for each in decide(reference, window, settings or Settings())}


@pytest.mark.parametrize("rows", [50, 500, 5000])
def test_clean_windows_have_a_signal_no_more_often_than_asked_for(rows: int) -> None:
    chance, signals = np.random.default_rng(rows), []
    population = _population(chance)
    settings = Settings(shift=0, ks=0, variation=0, share=0)
    for _ in range(12):
        reference = population.reference(chance, 10_000)
        windows = (population.window(chance.integers(ROWS, size=rows)) for _ in range(20))
        signals += [any(each.signal for each in decide(reference, window, settings)) for window in windows]
    assert np.mean(signals) <= 0.08


def test_a_shift_of_a_number_is_found(population: Population, reference: Reference, window: dict[str, Summary]) -> None:
    values = population.columns["normal"][1][np.random.default_rng(4).integers(ROWS, size=1000)]
    found = _found(reference, {**window, "normal": population.changed("normal", values + 0.3)})
    decision = found["normal", VALUES]
    assert decision.signal
    assert decision.effect_unit == DEVIATIONS
    assert decision.effect == pytest.approx(0.3, abs=0.1)
    assert decision.importance == pytest.approx(0.3, abs=0.1)
    assert [key for key, each in found.items() if each.signal] == [("normal", VALUES)]


def test_what_is_below_its_floor_is_no_signal(
    population: Population, reference: Reference, window: dict[str, Summary]
) -> None:
    values = population.columns["normal"][1][np.random.default_rng(4).integers(ROWS, size=1000)]
    changed = {**window, "normal": population.changed("normal", values + 0.3)}
    decision = _found(reference, changed, Settings(shift=1, ks=0.5))["normal", VALUES]
    assert decision.p_adjusted < 0.001
    assert not decision.signal


def test_missing_new_and_wrong_values_are_found(reference: Reference, window: dict[str, Summary]) -> None:
    normal, few = window["normal"], window["few"]
    left = normal.counts - np.random.default_rng(5).multivariate_hypergeometric(normal.counts, 20)
    changed = {
        **window,
        "normal": replace(normal, missing=20, counts=left),
        "few": with_unseen(few, np.random.default_rng(5), 0.01),
        "one": replace(window["one"], type_errors=30),
    }
    found = _found(reference, changed)
    assert {key for key, each in found.items() if each.signal} == {("normal", MISSING), ("few", UNSEEN), ("one", TYPES)}
    assert found["normal", MISSING].effect == pytest.approx(0.02)
    assert found["one", TYPES].effect_unit == SHARE


def test_values_that_few_training_rows_have_not_seen_are_new_no_more_often_than_asked_for() -> None:
    """Most of the values are in no training row, and how many are known varies by chance."""
    chance, p_values = np.random.default_rng(1), []
    many = Population({"many": ("category", chance.integers(4_000, size=20_000))})
    for _ in range(300):
        reference = many.reference(chance, 400)
        window = many.window(chance.integers(many.rows, size=4_000))
        # Without codes, nothing is simulated, which would take the time of this test.
        found = _found(replace(reference, codes=reference.codes[:0]), window)
        p_values.append(found["many", UNSEEN].p_value)
    assert np.mean(np.array(p_values) <= 0.05) <= 0.07


def test_fewer_new_values_than_expected_are_no_signal() -> None:
    """Training has fifty values once, by chance more than there are others; a large window shows it."""
    counts = np.append(np.full(10, 950), np.ones(50, dtype=int))
    bins = Bins("category", values=tuple(str(number) for number in range(60)))
    training = Summary("a", bins, 9_550, 0, counts)
    reference = Reference(1, "", {"a": training}, np.empty((0, 1), np.int32), np.empty(0))
    found = _found(reference, {"a": Summary("a", bins, 95_500, 0, counts * 10)})["a", UNSEEN]
    assert found.effect == pytest.approx(-50 / 9_550)
    assert (found.p_value, found.signal) == (1.0, False)


def test_a_share_that_moved_by_five_points_is_found(reference: Reference, window: dict[str, Summary]) -> None:
    counts = window["few"].counts + np.array([-50, 50, 0, 0])[: len(window["few"].counts)]
    decision = _found(reference, {**window, "few": replace(window["few"], counts=counts)})["few", VALUES]
    assert decision.signal
    assert decision.effect == pytest.approx(0.05, abs=0.02)


def test_columns_that_are_the_same_cost_little(reference: Reference, window: dict[str, Summary]) -> None:
    """Bonferroni's correction would count each of fifty copies."""
    columns = {f"{number}": reference.columns["normal"] for number in range(50)}
    copies = replace(reference, columns=columns, codes=np.repeat(reference.codes[:, :1], 50, axis=1))
    decisions = decide(copies, dict.fromkeys(columns, window["normal"]))
    found = next(each for each in decisions if each.test == VALUES)
    assert found.p_adjusted < 3 * max(found.p_value, 0.05)


def test_slices_leave_half_of_the_level_to_all_rows(reference: Reference, window: dict[str, Summary]) -> None:
    alone = _found(reference, window)
    found = decide_all(reference, {"": window, **{f"hour:{hour}": window for hour in range(20)}})
    expected = [min(1, 2 * alone[each.column, each.test].p_adjusted) for each in found[""]]
    assert [each.p_adjusted for each in found[""]] == pytest.approx(expected)
    for each in found["hour:3"]:
        assert each.p_adjusted == pytest.approx(min(1, 40 * alone[each.column, each.test].p_adjusted))


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_any_rows_are_no_signal(population: Population, reference: Reference, rows: int) -> None:
    window = population.window(np.random.default_rng(6).integers(ROWS, size=rows))
    decisions = decide(reference, window)
    assert len(decisions) == 4 * len(reference.columns)
    assert not any(each.signal for each in decisions)
    assert all(0 < each.p_value <= 1 and np.isfinite(each.effect) for each in decisions)


def test_columns_that_training_lacks_are_left_out(reference: Reference, window: dict[str, Summary]) -> None:
    found = _found(reference, {"normal": window["normal"], "new": window["copy"]})
    assert {column for column, _ in found} == {"normal"}
    assert decide(reference, {}) == []


def test_a_window_is_compared_with_the_one_before(
    population: Population, reference: Reference, window: dict[str, Summary]
) -> None:
    values = population.columns["normal"][1][np.random.default_rng(7).integers(ROWS, size=1000)] + 0.5
    changed = {**window, "normal": population.changed("normal", values)}
    assert not any(each.signal for each in decide(reference, changed, against=changed))
    assert any(each.signal and each.column == "normal" for each in decide(reference, window, against=changed))


def test_the_same_window_is_decided_in_the_same_way(reference: Reference, window: dict[str, Summary]) -> None:
    assert decide(reference, window) == decide(replace(reference), window)


@pytest.mark.slow
def test_a_thousand_columns_are_decided_in_less_than_a_second(reference: Reference, window: dict[str, Summary]) -> None:
    names = [f"{number}" for number in range(1000)]
    wide = replace(
        reference,
        columns=dict.fromkeys(names, reference.columns["normal"]),
        codes=np.repeat(reference.codes[:2000, :1], 1000, axis=1),
        scores=reference.scores[:2000],
    )
    columns = dict.fromkeys(names, window["normal"])
    decide(wide, columns)
    begin = time.process_time()
    assert len(decide(wide, columns)) == 4000
    assert time.process_time() - begin < 1
