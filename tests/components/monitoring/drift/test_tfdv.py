"""The measures that TFDV has as well are equal to TFDV's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from components.monitoring.drift import distances
from components.monitoring.drift.measures import measures
from components.monitoring.profile.summarize import summarize
from components.monitoring.reference.build import build
from components.monitoring.summaries import Summary

RANDOM = np.random.default_rng(5)
NORMAL = RANDOM.normal(size=3_000)
WORDS = ["cash", "card", "é", "é", "", "unbekannt"]


def _numbers() -> Iterator[tuple[str, list, list]]:
    yield "the same", list(NORMAL), list(NORMAL)
    yield "shifted", list(NORMAL), list(NORMAL[:500] + 0.3)
    yield "missing", list(NORMAL), [None if i % 3 else v for i, v in enumerate(NORMAL[:900])]
    yield "not a number in one", list(NORMAL), [*NORMAL[:500], *[float("nan")] * 50]
    yield "not a number in both", [*NORMAL, *[float("nan")] * 100], [*NORMAL[:500], *[float("nan")] * 50]
    yield "infinite", [*NORMAL, float("inf")], [*NORMAL[:500], -float("inf"), float("inf")]
    yield "ranges that do not meet", list(NORMAL), list(NORMAL[:400] + 1_000)
    yield "another unit", list(np.abs(NORMAL)), list(np.abs(NORMAL[:400]) * 1_000)
    yield "few values", [float(v) for v in RANDOM.integers(0, 9, 900)], [float(v) for v in RANDOM.integers(3, 12, 90)]
    yield "one value", [5.0] * 10, [5.0] * 3


def _categories() -> Iterator[tuple[str, list, list]]:
    one, two = (list(RANDOM.choice(WORDS, number, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.05])) for number in (2_000, 300))
    yield "the same", one, one
    yield "two samples", one, two
    yield "missing", one, [None if i % 3 else v for i, v in enumerate(two)]
    yield "unseen", one, [*two, *["new", "newer"] * 20]
    yield "a thousand unseen", one, [*two, *(f"new {i}" for i in range(1_000))]
    yield "nothing in common", one, ["other"] * 40


CASES = [
    (f"{name}, {kind}", *rest)
    for kind, cases in (("numbers", _numbers()), ("categories", _categories()))
    for name, *rest in cases
]


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[Summary, Summary]]:
    """The summaries of each case."""
    return {name: _summaries(training, window) for name, training, window in CASES}


def _summaries(training: list, window: list) -> tuple[Summary, Summary]:
    tables = [pa.table({"x": pa.array(values)}).to_batches() for values in (training, window)]
    reference = build(1, "", tables[0])
    return reference.columns["x"], summarize(tables[1], reference)["x"]


@pytest.fixture(scope="module")
def of_tfdv(pairs: dict[str, tuple[Summary, Summary]]) -> dict[str, dict[str, float]]:
    """TFDV's measures of all cases, with one feature for each case."""
    import tensorflow_data_validation as tfdv
    from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

    schema, lists = schema_pb2.Schema(), [statistics_pb2.DatasetFeatureStatisticsList() for _ in range(2)]
    for each in lists:
        each.datasets.add(num_examples=1_000_000)
    for name, pair in pairs.items():
        is_number = pair[0].bins.kind == "number"
        feature = schema.feature.add(name=name, type="FLOAT" if is_number else "BYTES")
        feature.drift_comparator.jensen_shannon_divergence.threshold = 0.5
        for each, summary, other in zip(lists, pair, reversed(pair), strict=True):
            target = each.datasets[0].features.add()
            if is_number:
                _add_numbers(target, name, summary, other, is_training=summary is pair[0])
            else:
                _add_categories(target, name, summary)
    found: dict[str, dict[str, float]] = {name: {} for name in pairs}
    _measure(tfdv, found, schema, lists)
    for feature in schema.feature:
        feature.drift_comparator.Clear()
        if feature.type == schema_pb2.BYTES:
            feature.drift_comparator.infinity_norm.threshold = 0.5
    _measure(tfdv, found, schema, lists)
    return found


def _measure(tfdv, found, schema, lists) -> None:
    anomalies = tfdv.validate_statistics(lists[1], schema, previous_statistics=lists[0])
    for info in anomalies.drift_skew_info:
        for each in info.drift_measurements:
            kind = {1: "l_infinity", 2: "jensen_shannon"}[each.type]
            found[info.path.step[0]][kind] = each.value


def _add_numbers(feature, name: str, summary: Summary, other: Summary, *, is_training: bool) -> None:
    feature.name, feature.type = name, 1
    statistics = feature.num_stats
    statistics.common_stats.num_non_missing = summary.rows - summary.missing
    statistics.common_stats.tot_num_values = summary.values
    histogram = statistics.histograms.add(type="STANDARD", num_nan=summary.nans)
    groups = distances.groups((summary if is_training else other).counts.astype(float))
    edges = summary.bins.edges[groups[1:] - 1]
    low, high = min(summary.low, other.low, *edges) - 1, max(summary.high, other.high, *edges) + 1
    ends = [low, *edges, high]
    for (low, high), count in zip(itertools.pairwise(ends), np.add.reduceat(summary.counts, groups), strict=True):
        histogram.buckets.add(low_value=low, high_value=high, sample_count=float(count))


def _add_categories(feature, name: str, summary: Summary) -> None:
    feature.name, feature.type = name, 2
    statistics = feature.string_stats
    statistics.common_stats.num_non_missing = summary.rows - summary.missing
    statistics.common_stats.tot_num_values = summary.values
    counts = dict(zip(summary.bins.values, summary.counts.tolist(), strict=True)) | dict(summary.unseen)
    rest = summary.unseen_count - sum(summary.unseen.values())
    # No two values of the rest are equal here.
    for value, count in {**counts, **{f"rest {i}": 1 for i in range(rest)}}.items():
        if count:
            statistics.rank_histogram.buckets.add(label=value, sample_count=count)


@pytest.mark.parametrize("name", [name for name, *_ in CASES])
def test_jensen_shannon_and_l_infinity_are_those_of_tfdv(name, pairs, of_tfdv) -> None:
    training, window = pairs[name]
    found = measures(training, window)
    expected = of_tfdv[name]
    assert found["jensen_shannon"] == pytest.approx(expected["jensen_shannon"], abs=1e-9)
    if training.bins.kind == "category":
        assert found["l_infinity"] == pytest.approx(expected["l_infinity"], abs=1e-9)
    else:
        assert found["l_infinity"] is None


def test_counts_are_those_of_tfdv(tmp_path) -> None:
    """From the values to the measure: TFDV counts categories itself."""
    import pandas as pd
    import tensorflow_data_validation as tfdv

    frames = [pd.DataFrame({"x": RANDOM.choice(WORDS[:5], number)}) for number in (4_000, 700)]
    lists = [tfdv.generate_statistics_from_dataframe(frame, n_jobs=1) for frame in frames]
    schema = tfdv.infer_schema(lists[0])
    tfdv.get_feature(schema, "x").drift_comparator.jensen_shannon_divergence.threshold = 0.5
    anomalies = tfdv.validate_statistics(lists[1], schema, previous_statistics=lists[0])
    (measurement,) = anomalies.drift_skew_info[0].drift_measurements
    training, window = _summaries(list(frames[0]["x"]), list(frames[1]["x"]))
    assert measures(training, window)["jensen_shannon"] == pytest.approx(measurement.value, abs=1e-9)
