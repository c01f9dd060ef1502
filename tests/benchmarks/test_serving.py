"""Computes the serving benchmark's figures from samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.serving.figures import (
    Samples,
    growth,
    inside,
    length,
    limit,
    median_ratio,
    median_run,
    p99_by_second,
    percentile,
    seconds_until,
    summary,
    tables,
)


def _samples(ms: list[float], codes: list[str] | None = None, step: float = 1.0) -> Samples:
    return Samples(np.arange(len(ms)) * step, np.array(ms), np.array(codes or ["OK"] * len(ms)))


def test_summary_counts_answers() -> None:
    figures = summary(_samples([1, 2, 3, 900], ["OK", "OK", "OK", "UNAVAILABLE"]), seconds=2, examples=256)
    assert figures["requests_per_s"] == 1.5
    assert figures["rows_per_s"] == 384
    assert figures["p50_ms"] == 2
    assert figures["p99_ms"] == pytest.approx(2.98)
    assert figures["failed"] == 1
    assert figures["codes"] == {"OK": 3, "UNAVAILABLE": 1}


def test_summary_without_samples() -> None:
    figures = summary(_samples([]), seconds=0, examples=1)
    assert (figures["requests_per_s"], figures["p50_ms"], figures["failed"]) == (0, None, 0)
    assert percentile(np.array([]), 50) is None


def test_written_samples_are_read_back(tmp_path: Path) -> None:
    written = Samples(np.array([1.5]), np.array([2.5]), np.array(["CANCELLED"]), cores=0.5)
    written.save(tmp_path / "samples.npz")
    read = Samples.load(tmp_path / "samples.npz")
    assert (read.at.tolist(), read.ms.tolist(), read.codes.tolist(), read.cores) == ([1.5], [2.5], ["CANCELLED"], 0.5)


def test_spans_exclude_their_end() -> None:
    assert inside(np.array([0.0, 1.0, 2.0, 3.0]), [(1, 2), (2.5, 9)]).tolist() == [False, True, False, True]


def test_overlapping_spans_count_once() -> None:
    assert length([(5, 6), (0, 2), (1, 3), (1, 1.5)]) == 4


def test_p99_by_second() -> None:
    assert p99_by_second(_samples([1, 3, 5, 5, 9, 9], step=0.5), 0, 4) == [
        pytest.approx(2.98),
        5,
        9,
        float("inf"),
    ]


@pytest.mark.parametrize(
    ("values", "seconds"),
    [([9, 2, 9, 2, 2], 3), ([1, 1], 0), ([1, 9], None), ([], None), ([9, float("inf"), 1], 2)],
)
def test_seconds_until_it_stays_within_the_limit(values: list[float], seconds: int | None) -> None:
    assert seconds_until(values, 2) == seconds


def test_median_run_keeps_every_failure_and_the_highest_peak() -> None:
    runs = [
        {"requests_per_s": rate, "p50_ms": ms, "failed": failed, "peak_mb": mb}
        for rate, ms, failed, mb in [(30, 3, 1, 10), (10, 1, 0, 40), (20, 2, 2, 20)]
    ]
    assert median_run(runs) == {"requests_per_s": 20, "p50_ms": 2, "failed": 3, "peak_mb": 40, "runs": 3}


def test_a_machine_that_slows_down_does_not_change_the_median_of_ratios() -> None:
    runs, beside = [90.0, 45.0, 9.0], [100.0, 50.0, 12.0]
    found = median_ratio(*([{"requests_per_s": rate} for rate in rates] for rates in (runs, beside)))
    assert found == pytest.approx(0.9)


def test_growth_compares_the_beginning_with_the_end() -> None:
    rss = [(float(second), 100.0 if second < 300 else 160.0) for second in range(600)]
    assert growth(rss) == {"first_mb": 100, "last_mb": 160, "growth_mb": 60}
    assert growth(rss[:3])["growth_mb"] == 0


def test_limits() -> None:
    assert limit("ratio", 0.61, 0.6, at_least=True)["met"]
    assert not limit("ratio", 0.59, 0.6, at_least=True)["met"]
    assert limit("ms", 0.6, 0.6, at_least=False)["met"]
    assert limit("seconds", None, 30, at_least=False) == {
        "limit": "seconds",
        "measured": None,
        "wanted": "at most 30",
        "met": False,
    }


def test_tables_show_loads_limits_and_malformed_requests() -> None:
    load = {"part": "rows", "system": "bare call", "clients": 1, **summary(_samples([1, 2]), 2, 256)}
    figures = [
        load,
        {"part": "rows", **limit("rows/s, of the bare call's", 0.5, 0.6, at_least=True)},
        {"part": "soak", "malformed": "broken JSON", "codes": {"400": 1234}},
        {"part": "soak", "system": "memory", "growth_mb": 3.0},
    ]
    console = Console(width=140)
    with console.capture() as capture:
        console.print(tables(figures))
    text = capture.get()
    for shown in ("bare call", "256", "1.50", "NO", "at least 0.6", "broken JSON", "400: 1,234"):
        assert shown in text
    assert "memory" not in text
