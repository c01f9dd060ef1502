"""The statistics of an Examples artifact, split by split."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.contract.artifacts import Artifact, split_path
from components.data.examples import read_batches, require_splits
from components.data.protos import STATISTICS_FILE, read_schema
from components.statistics_gen.compute import statistics
from components.statistics_gen.options import columns_named, stats_options, unknown_column


def generate(
    examples: Artifact,
    output: Artifact,
    *,
    schema: Artifact | None,
    splits: list[str],
    options: dict[str, Any],
    beam_pipeline_args: list[str] | None = None,
) -> None:
    """Writes `Split-<name>/FeatureStats.pb` of the chosen splits, or nothing if one fails.

    With Beam's pipeline options, TFDV computes in a Beam pipeline.

    Raises:
        UserError: A split, an option or a column that an option names does not exist.
        DataError: A file is damaged, or TFDV refuses the data.
    """
    tfdv_options = stats_options(options, read_schema(schema) if schema else None)
    wanted = require_splits(examples, splits)
    if beam_pipeline_args is None:
        made = {split: _of_split(examples, split, tfdv_options) for split in wanted}
    else:
        made = {split: _on_beam(examples, split, tfdv_options, beam_pipeline_args, output.path) for split in wanted}
    for split, result in made.items():
        _write(split_path(output, split) / STATISTICS_FILE, result)
    output.metadata["split_names"] = json.dumps(wanted)
    if "span" in examples.metadata:
        output.metadata["span"] = examples.metadata["span"]


def _of_split(
    examples: Artifact, split: str, options: tfdv.StatsOptions
) -> statistics_pb2.DatasetFeatureStatisticsList:
    began = time.monotonic()
    seen: set[str] = set()
    batches = read_batches(examples, split, columns=_columns(options))
    result = statistics(_watched(batches, seen, options), options)
    if seen and (missing := columns_named(options) - seen):
        raise unknown_column(min(missing), _all_columns(examples, split))
    _report(split, result, time.monotonic() - began)
    return result


def _on_beam(
    examples: Artifact, split: str, options: tfdv.StatsOptions, beam_pipeline_args: list[str], beside: Path
) -> statistics_pb2.DatasetFeatureStatisticsList:
    from components.statistics_gen import beam

    began = time.monotonic()
    columns = _all_columns(examples, split)
    if columns and (missing := columns_named(options) - set(columns)):
        raise unknown_column(min(missing), columns)
    result = beam.of_split(examples, split, options, beam_pipeline_args, beside)
    _report(split, result, time.monotonic() - began)
    return result


def _columns(options: tfdv.StatsOptions) -> list[str] | None:
    return list(options.feature_allowlist) if options.feature_allowlist else None


def _watched(batches: Iterable[pa.RecordBatch], seen: set[str], options: tfdv.StatsOptions) -> Iterator[pa.RecordBatch]:
    """Records the columns of each batch; a weight must be in every batch."""
    weights = options.example_weight_map.all_weight_features()
    for batch in batches:
        seen.update(batch.schema.names)
        for weight in weights - set(batch.schema.names):
            raise unknown_column(weight, batch.schema.names)
        yield batch


def _all_columns(examples: Artifact, split: str) -> list[str]:
    first = next(read_batches(examples, split), None)
    return [] if first is None else list(first.schema.names)


def _write(path: Path, result: statistics_pb2.DatasetFeatureStatisticsList) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(result.SerializeToString(deterministic=True))


def _report(split: str, result: statistics_pb2.DatasetFeatureStatisticsList, seconds: float) -> None:
    whole, *slices = result.datasets
    sliced = f", {len(slices)} slices" if slices else ""
    print(
        f"statistics of {split}: {whole.num_examples:,} rows, {len(whole.features)} features{sliced}, {seconds:.1f} s",
        flush=True,
    )
