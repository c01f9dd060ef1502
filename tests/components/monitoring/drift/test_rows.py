"""Rows of the drift table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from components.monitoring.drift.measures import measures
from components.monitoring.drift.rows import rows
from components.monitoring.profile.summarize import summarize
from components.monitoring.reference.build import build
from components.monitoring.tables import DRIFT, MEASURES, PREVIOUS, TRAINING


@dataclass(frozen=True)
class _Decision:
    column: str
    test: str = "values"
    effect: float = 0.2
    effect_unit: str = "standard deviations"
    p_value: float = 0.001
    p_adjusted: float = 0.02
    signal: bool = True
    importance: float = 0.1


KEY = {"window_start": datetime(2026, 1, 1, tzinfo=UTC), "model": "taxi", "version": 3, "slice": ""}


def _trips(shift: float, rows: int) -> list[pa.RecordBatch]:
    random = np.random.default_rng(rows)
    return pa.table({"fare": random.normal(shift, 1, rows), "company": random.choice(["a", "b"], rows)}).to_batches()


def test_a_row_for_each_decision_and_one_for_all_columns() -> None:
    reference = build(3, "", _trips(0, 2_000))
    window = summarize(_trips(0.2, 500), reference)
    decisions = [_Decision("fare"), _Decision("fare", "missing"), _Decision("company"), _Decision("gone", "types")]
    asked: list[tuple[str, int]] = []

    def limits(column, values):
        asked.append((column.name, values))
        return dict.fromkeys(MEASURES, 0.5)

    decisions.append(_Decision("*", "all columns together", 0.05, "AUC above 0.5"))
    found = rows(KEY, TRAINING, reference=reference.columns, window=window, decisions=decisions, limits=limits)
    assert found.schema.equals(DRIFT)
    fare, missing, company, gone, everything = found.to_pylist()
    expected = measures(reference.columns["fare"], window["fare"])
    assert {name: fare[name] for name in MEASURES} == expected
    assert (fare["rows"], fare["reference_rows"], fare["ks_limit"], fare["signal"]) == (500, 2_000, 0.5, True)
    assert (missing["test"], missing["ks"], missing["ks_limit"]) == ("missing", None, None)
    assert company["chi_square"] is not None
    assert (gone["rows"], gone["ks"]) == (0, None)
    assert (everything["column"], everything["rows"], everything["reference_rows"]) == ("*", 500, 2_000)
    assert (everything["p_value"], everything["signal"], everything["ks"]) == (0.001, True, None)
    assert asked == [("fare", 500), ("company", 500)]


def test_the_window_before_is_compared_in_the_same_bins() -> None:
    reference = build(3, "", _trips(0, 2_000))
    before, now = (summarize(_trips(shift, rows), reference) for shift, rows in ((0.5, 400), (0.5, 500)))
    (row,) = rows(KEY, PREVIOUS, reference=before, window=now, decisions=[_Decision("fare")]).to_pylist()
    assert (row["against"], row["reference_rows"], row["ks_limit"]) == (PREVIOUS, 400, None)
    assert row["ks"] < 0.1
