"""The measure over all columns together."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from components.monitoring.drift.measures import measures
from components.monitoring.drift.multivariate import NOTHING, compare, compare_codes
from components.monitoring.profile.summarize import summarize
from components.monitoring.reference.build import build


def _rows(random: np.random.Generator, rows: int, together: float) -> list[pa.RecordBatch]:
    """Two columns that depend on each other, a third one with missing values, and a category that follows the first."""
    first, second, third = random.normal(size=(3, rows))
    second = together * first + np.sqrt(1 - together**2) * second
    third = pa.array(third, mask=random.random(rows) < 0.1)
    words = np.where(first + random.normal(size=rows) > 0, "high", "low")
    return pa.table({"a": first, "b": second, "c": third, "d": words}).to_batches(max_chunksize=700)


def test_a_changed_correlation_is_found_that_no_column_shows() -> None:
    random = np.random.default_rng(1)
    reference = build(1, "", _rows(random, 5_000, 0.7))
    window = _rows(random, 1_000, 0.2)
    ks = [measures(reference.columns[name], each)["ks"] for name, each in summarize(window, reference).items()]
    assert max(each for each in ks if each is not None) < 0.05
    found = compare(reference, window)
    assert found.p < 1e-3
    assert found.value > 0.55
    assert found.effect == pytest.approx(found.value - 0.5)
    assert (found.rows, found.reference_rows) == (1_000, 5_000)


def test_the_same_rows_give_the_same_result() -> None:
    random = np.random.default_rng(2)
    reference = build(1, "", _rows(random, 900, 0.5))
    window = _rows(random, 300, 0.5)
    assert compare(reference, window) == compare(reference, window)


def test_a_changed_mean_is_found() -> None:
    random = np.random.default_rng(2)
    codes = random.integers(0, 100, (2_000, 6)).astype(np.int32)
    window = random.integers(0, 100, (500, 6)).astype(np.int32)
    window[:, 0] = np.minimum(window[:, 0] + 12, 99)
    assert compare_codes(codes, window).p < 0.001


def _clean_p_values(number: int, rows: tuple[int, int], columns: int) -> list[float]:
    random = np.random.default_rng(7)
    mixing = random.normal(size=(columns, columns))

    def drawn(rows: int) -> np.ndarray:
        values = np.floor(random.normal(size=(rows, columns)) @ mixing * 3).astype(np.int32)
        values[random.random(values.shape) < 0.05] = -1
        return values

    return [compare_codes(drawn(rows[0]), drawn(rows[1])).p for _ in range(number)]


@pytest.mark.parametrize("rows", [(300, 40), (60, 200)])
def test_p_is_uniform_if_nothing_has_changed(rows) -> None:
    found = np.array(_clean_p_values(100, rows, 3))
    assert stats.kstest(found, "uniform").pvalue > 1e-3
    assert (found <= 0.05).mean() < 0.12


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [((1_000, 50), 5), ((500, 500), 10), ((100, 1_000), 5)])
def test_p_is_uniform_in_two_thousand_clean_windows(rows, columns) -> None:
    found = np.array(_clean_p_values(2_000, rows, columns))
    assert stats.kstest(found, "uniform").pvalue > 1e-3
    assert (found <= 0.05).mean() <= 0.065
    assert (found <= 0.01).mean() <= 0.018


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_say_nothing(rows) -> None:
    codes = np.zeros((100, 3), np.int32)
    assert compare_codes(codes, codes[:rows]) == NOTHING


def test_columns_that_never_change_say_nothing() -> None:
    assert compare_codes(np.zeros((100, 3), np.int32), np.zeros((50, 3), np.int32)) == NOTHING


def test_more_than_forty_columns_are_compared() -> None:
    random = np.random.default_rng(4)
    codes = random.integers(0, 9, (1_500, 50)).astype(np.int32)
    window = random.integers(0, 9, (800, 50)).astype(np.int32)
    assert compare_codes(codes, window).p > 0.01
    window[:, 1] = window[:, 0]
    assert compare_codes(codes, window).p < 0.01
