"""A schema inferred from statistics, as TFX's SchemaGen does."""

from __future__ import annotations

import math

import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.contract.artifacts import Artifact
from components.contract.errors import DataError
from components.data.examples import require_splits
from components.data.protos import SCHEMA_FILE, read_statistics


def infer(statistics: Artifact, output: Artifact, splits: list[str], infer_feature_shape: bool) -> None:
    """Writes the schema inferred from the first split, extended to the data of the others.

    Raises:
        UserError: There is no such split.
        DataError: Statistics are missing or damaged, or there are no features in them.
    """
    wanted = require_splits(statistics, splits)
    schema = None
    for split in wanted:
        schema = _extended(schema, statistics, split, infer_feature_shape)
    assert schema
    output.path.mkdir(parents=True, exist_ok=True)
    (output.path / SCHEMA_FILE).write_text(text_format.MessageToString(schema), "utf-8")
    print(f"schema: {len(schema.feature)} features, inferred from {', '.join(wanted)}", flush=True)


def _extended(
    schema: schema_pb2.Schema | None, statistics: Artifact, split: str, infer_feature_shape: bool
) -> schema_pb2.Schema:
    found = read_statistics(statistics, split)
    if not any(dataset.features for dataset in found.datasets):
        raise DataError(
            f"the statistics of the split {split!r} in {statistics.path} have no features",
            fix="leave the split out with `splits`, or give it rows",
        )
    if schema is None:
        return tfdv.infer_schema(found, infer_feature_shape)
    return _all_kept(schema, tfdv.update_schema(schema, found, infer_feature_shape))


def _all_kept(before: schema_pb2.Schema, after: schema_pb2.Schema) -> schema_pb2.Schema:
    """Keeps a feature that one split lacks as optional; `update_schema` would deprecate it.

    A deprecated feature reaches no preprocessing_fn, so whether a rare one were usable would depend on the split
    that its few values fell in.
    """
    earlier = {feature.name: feature for feature in before.feature}
    for feature in after.feature:
        known = earlier.get(feature.name)
        if known and _is_deprecated(feature) and not _is_deprecated(known):
            feature.CopyFrom(known)
            feature.presence.ClearField("min_fraction")
            feature.presence.min_count = 0
            _relax_shape(feature)
    return after


def _is_deprecated(feature: schema_pb2.Feature) -> bool:
    return bool(feature.lifecycle_stage == schema_pb2.DEPRECATED)


def _relax_shape(feature: schema_pb2.Feature) -> None:
    """Replaces a fixed shape, which requires a value in every row, by the number of values of rows that have any."""
    if feature.HasField("shape"):
        values = math.prod(dimension.size for dimension in feature.shape.dim)
        feature.value_count.CopyFrom(schema_pb2.ValueCount(min=values, max=values))
