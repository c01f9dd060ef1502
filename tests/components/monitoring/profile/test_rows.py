"""Rows of the profile table, quantiles, histograms and requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from components.monitoring.profile.quantiles import histogram, quantiles
from components.monitoring.profile.rows import key, rows
from components.monitoring.profile.summarize import summarize
from components.monitoring.profile.window import count
from components.monitoring.reference.build import build
from components.monitoring.store import Store
from components.monitoring.summaries import Summary
from components.monitoring.tables import PROFILE, QUANTILES

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Window:
    model: str = "taxi"
    start: datetime = START
    end: datetime = START + timedelta(hours=1)
    length: str = "1h"


def _summary(training, window) -> Summary:
    reference = build(1, "", pa.table({"x": pa.array(training)}).to_batches())
    return summarize(pa.table({"x": pa.array(window)}).to_batches(), reference)["x"]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


def test_quantiles_are_those_of_numpy_to_the_bin(random) -> None:
    training, window = random.gamma(2, 5, 20_000), random.gamma(2, 5, 5_000)
    found = quantiles(_summary(training, window), QUANTILES)
    assert found == pytest.approx(np.quantile(window, QUANTILES).tolist(), rel=0.02)


@pytest.mark.parametrize("factor", [1_000, 100, -100, 1e-3])
def test_quantiles_of_another_unit(random, factor) -> None:
    window = random.normal(50, 10, 5_000) * factor
    found = quantiles(_summary(random.normal(50, 10, 20_000), window), QUANTILES)
    assert (min(found), max(found)) >= (window.min(), window.min())
    if factor != 1e-3:  # all are in one bin then, of which only the ends and the moments are known
        assert found == pytest.approx(np.quantile(window, QUANTILES).tolist(), rel=0.1)


def test_quantiles_of_few_values_are_values(random) -> None:
    window = random.integers(0, 24, 999)
    found = quantiles(_summary(random.integers(0, 24, 5_000), window), QUANTILES)
    assert found == np.quantile(window, QUANTILES, method="inverted_cdf").tolist()


@pytest.mark.parametrize("window", [[7.0], [7.0] * 10, [-5.0], [1e300]])
def test_quantiles_of_one_value(window) -> None:
    summary = _summary(np.linspace(0, 10, 5_000), window)
    assert quantiles(summary, QUANTILES) == [window[0]] * len(QUANTILES)
    assert histogram(summary) == [{"low": window[0], "high": window[0], "count": len(window)}]


def test_a_histogram_has_all_values(random) -> None:
    window = random.normal(size=4_000)
    bins = histogram(_summary(random.normal(size=20_000), window))
    assert len(bins) == 40
    assert sum(each["count"] for each in bins) == pytest.approx(4_000)
    assert (bins[0]["low"], bins[-1]["high"]) == (window.min(), window.max())
    assert [each["count"] for each in bins[1:-1]] == pytest.approx([4_000 * 0.98 / 38] * 38, abs=5)


def test_a_histogram_of_few_values_is_exact(random) -> None:
    window = random.integers(0, 24, 999)
    bins = histogram(_summary(random.integers(0, 24, 5_000), window))
    assert [(each["low"], each["high"]) for each in bins] == [(hour, hour) for hour in range(24)]
    assert [each["count"] for each in bins] == pytest.approx(np.bincount(window, minlength=24).tolist())


def _trips(rows: int) -> pa.Table:
    random = np.random.default_rng(rows)
    return pa.table(
        {
            "fare": random.gamma(2, 5, rows).astype(np.float32),
            "company": random.choice(["Blue", "Green"], rows),
            "output_score": random.random(rows),
        }
    )


def _served(rows: int) -> pa.Table:
    trips = _trips(rows)
    numbers = np.arange(rows)
    return pa.table(
        {
            "request_id": [f"request {number // 2}" for number in numbers],
            "row": (numbers % 2).astype(np.int32),
            "version": pa.array(np.where(numbers < rows // 2, 1, 2), mask=numbers == rows - 1),
            "status": np.where(numbers == rows - 1, "UNAVAILABLE", "OK"),
            "latency_ms": (numbers + 1).astype(np.float32),
            "share": np.full(rows, 0.5),
            "input_fare": trips["fare"],
            "input_company": trips["company"],
            "output_score": trips["output_score"],
        }
    )


def test_a_window_is_counted_by_version_and_slice() -> None:
    references = {version: build(version, "", _trips(1_000).to_batches()) for version in (1, 2)}
    table = _served(400)

    def slicer(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        return {"company:Blue": np.array(batch.column("input_company").to_pylist()) == "Blue"}

    counted = count(table.to_batches(max_chunksize=33), references, slicer)
    assert counted.summaries.keys() == {(1, ""), (1, "company:Blue"), (2, ""), (2, "company:Blue")}
    assert [counted.summaries[version, ""]["fare"].rows for version in (1, 2)] == [200, 199]
    alone = summarize(table.slice(0, 200).to_batches(), references[1])
    assert (counted.summaries[1, ""]["fare"].counts == alone["fare"].counts).all()
    assert counted.summaries[1, "company:Blue"]["company"].distinct == 1
    assert counted.samples[1].num_rows == 200
    assert (counted.traffic[1].requests, counted.traffic[1].errors) == (200, 0)
    assert (counted.traffic[None].requests, counted.traffic[None].errors, counted.traffic[None].rows) == (2, 2, 1)


def test_a_version_without_a_reference_has_its_requests_alone() -> None:
    counted = count(_served(400).to_batches(), {1: build(1, "", _trips(100).to_batches())})
    assert {version for version, _ in counted.summaries} == {1}
    assert counted.traffic[2].requests == 200


def test_a_client_that_sends_the_same_id_each_time_is_counted() -> None:
    table = _served(10).set_column(0, "request_id", pa.array(["same"] * 10))
    assert count(table.to_batches(), {}).traffic[1].requests == 6  # rows 0, 2 and 4, each twice


def test_profile_rows_of_a_window(tmp_path) -> None:
    reference = build(1, "", _trips(1_000).to_batches())
    counted = count(_served(400).to_batches(), {1: reference})
    summaries = counted.summaries[1, ""]
    found = rows(key(_Window(), 1, ""), summaries, counted.traffic[1], cost=0.25)
    assert found.schema.equals(PROFILE)
    model, fare, company, score = found.to_pylist()
    assert (model["column"], model["kind"], model["requests"], model["errors"], model["cost"]) == (
        "",
        "model",
        200,
        0,
        0.25,
    )
    assert model["latency_quantiles"][3] == pytest.approx(100, rel=0.03)
    assert (fare["column"], fare["rows"], fare["missing"], len(fare["histogram"])) == ("fare", 200, 0, 40)
    assert fare["quantiles"] == sorted(fare["quantiles"])
    assert sum(each["count"] for each in company["top_values"]) == 200
    assert score["column"] == "output_score"
    store = Store(str(tmp_path))
    store.append("profile", found)
    assert store.read("profile").num_rows == 4


def test_profile_rows_of_nothing() -> None:
    reference = build(1, "", _trips(50).to_batches())
    found = rows(key(_Window(), 1, ""), summarize([], reference))
    assert found.column("rows").to_pylist() == [0, 0, 0]
    assert found.column("mean").to_pylist() == [None, None, None]


def test_profile_rows_of_infinities_and_unseen_values() -> None:
    reference = build(1, "", _trips(50).to_batches())
    table = pa.table({"fare": [np.inf, np.nan, None], "company": ["new", "new", "newer"]})
    fare, company, _ = rows(key(_Window(), 1, ""), summarize(table.to_batches(), reference)).to_pylist()
    assert (fare["infinities"], fare["nans"], fare["missing"], fare["minimum"], fare["quantiles"]) == (
        1,
        1,
        1,
        None,
        None,
    )
    assert company["unseen"] == 3
    assert (
        company["unseen_values"]
        == company["top_values"]
        == [
            {"value": "new", "count": 2},
            {"value": "newer", "count": 1},
        ]
    )
