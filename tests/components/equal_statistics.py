"""Compares statistics with TFDV's: exact ones exactly, estimates within TFDV's own error."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from tensorflow_metadata.proto.v0 import statistics_pb2

EPSILON = 0.01  # TFDV's default error of a quantile's rank
APPROXIMATE = {"histograms", "median", "num_values_histogram", "num_values_standard_histogram"}


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """A JSON value as {path: leaf}, without the values that TFDV only estimates."""
    if isinstance(value, dict):
        pairs = {f"{name}.{key}": item for key, item in value.items() if key not in APPROXIMATE}
    elif isinstance(value, list):
        pairs = {f"{name}[{number}]": item for number, item in enumerate(value)}
    else:
        return {name: float(value) if isinstance(value, int) or _is_number(value) else value}
    return {leaf: found for key, item in pairs.items() for leaf, found in flat(item, key).items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, str) and value.lstrip("-").isdigit())


def features(dataset: statistics_pb2.DatasetFeatureStatistics) -> dict[str, statistics_pb2.FeatureNameStatistics]:
    return {".".join(feature.path.step): feature for feature in dataset.features}


def assert_equal(
    ours: statistics_pb2.DatasetFeatureStatisticsList, theirs: statistics_pb2.DatasetFeatureStatisticsList
) -> None:
    """Counts, means, deviations and top values must be equal; quantiles and histograms within twice TFDV's error."""
    mine, beams = ({dataset.name: dataset for dataset in found.datasets} for found in (ours, theirs))
    assert mine.keys() == beams.keys()
    for name, dataset in mine.items():
        assert dataset.num_examples == beams[name].num_examples
        assert dataset.weighted_num_examples == pytest.approx(beams[name].weighted_num_examples, rel=1e-6)
        found, expected = features(dataset), features(beams[name])
        assert found.keys() == expected.keys()
        for path, feature in found.items():
            assert_leaves(*(flat(json_format.MessageToDict(f, **AS_DECLARED)) for f in (feature, expected[path])))
            _assert_histograms(feature.num_stats, expected[path].num_stats)


AS_DECLARED: Any = {"preserving_proto_field_name": True}


def assert_leaves(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name] == (pytest.approx(value, rel=1e-6, abs=1e-9) if isinstance(value, float) else value), name


def _assert_histograms(ours: statistics_pb2.NumericStatistics, theirs: statistics_pb2.NumericStatistics) -> None:
    assert len(ours.histograms) == len(theirs.histograms)
    for mine, beams in zip(ours.histograms, theirs.histograms, strict=True):
        assert (mine.type, mine.num_nan, mine.num_undefined) == (beams.type, beams.num_nan, beams.num_undefined)
        total = sum(bucket.sample_count for bucket in beams.buckets)
        assert sum(bucket.sample_count for bucket in mine.buckets) == pytest.approx(total, rel=1e-6)
        if mine.type == statistics_pb2.Histogram.STANDARD:
            for bucket, other in zip(mine.buckets, beams.buckets, strict=True):
                assert (bucket.low_value, bucket.high_value) == pytest.approx((other.low_value, other.high_value))
                assert bucket.sample_count == pytest.approx(other.sample_count, abs=2 * EPSILON * total)
