"""TFDV's statistics over a stream of Arrow batches: TFDV's own generators, called in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation import constants
from tensorflow_data_validation.arrow import arrow_util
from tensorflow_data_validation.statistics.generators import stats_generator, top_k_uniques_stats_generator
from tensorflow_data_validation.utils import slicing_util
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.arrow import table_util
from tfx_bsl.statistics import merge_util

from components.contract.errors import DataError
from components.statistics_gen.top_values import TopValuesGenerator
from components.upstream.tfdv import get_generators

_ROWS = 100_000  # a call of a generator costs about the same for one row as for thousands
_BYTES = 32 << 20

_BeamTopValues = top_k_uniques_stats_generator.TopKUniquesStatsGenerator
_Generators = list[stats_generator.CombinerStatsGenerator]


def beam_reason(options: tfdv.StatsOptions) -> str:
    """The option that only Beam supports; empty if the direct engine supports them all."""
    if options.experimental_num_feature_partitions > 1:
        return "experimental_num_feature_partitions"
    if options.experimental_result_partitions > 1:
        return "experimental_result_partitions"
    for generator in get_generators(options):
        if not isinstance(generator, stats_generator.CombinerStatsGenerator | _BeamTopValues):
            return f"the generator {generator.name}"
    return ""


def statistics(
    batches: Iterable[pa.RecordBatch], options: tfdv.StatsOptions
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """The statistics that `tfdv.GenerateStatistics` makes on Beam.

    One dataset, or, if the options slice, one for each slice, with `All Examples` first. A sample takes single rows,
    the same ones each time. Memory grows with features, slices and distinct strings, not with rows. If an option
    needs Beam, TFDV runs on Beam, and the log says so.

    Args:
        batches: The rows in TFXIO's form; columns may differ from batch to batch.
        options: TFDV's options.

    Raises:
        DataError: TFDV refuses the data: a weight is missing, or a feature's type changes.
    """
    if reason := beam_reason(options):
        from components.statistics_gen import beam

        print(f"statistics: {reason} needs Beam, so TFDV runs on Beam", flush=True)
        return beam.statistics(batches, options)
    return _directly(batches, options)


def _directly(
    batches: Iterable[pa.RecordBatch], options: tfdv.StatsOptions
) -> statistics_pb2.DatasetFeatureStatisticsList:
    generators = _combiners(options)
    slicers = _slicers(options)
    # The slice of all examples exists even if there are no rows.
    accumulators = {constants.DEFAULT_SLICE_KEY: _fresh(generators)}
    for batch in _grouped(_selected(batches, options)):
        _check_weights(batch, options)
        for key, rows in _slices(batch, slicers):
            accumulators[key] = _add(generators, accumulators.get(key) or _fresh(generators), rows)
    first, *others = accumulators
    datasets = [_dataset(generators, accumulators.pop(key), key) for key in [first, *sorted(others)]]
    if len(slicers) == 1:
        datasets[0].ClearField("name")
    return statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)


def _combiners(options: tfdv.StatsOptions) -> _Generators:
    generators = [
        TopValuesGenerator(options) if isinstance(generator, _BeamTopValues) else generator
        for generator in get_generators(options)
    ]
    for generator in generators:
        generator.setup()
    return generators


def _slicers(options: tfdv.StatsOptions) -> list[Any]:
    configured = slicing_util.convert_slicing_config_to_slice_functions(options.slicing_config)
    return [slicing_util.default_slicer, *(configured or options.experimental_slice_functions or [])]


def _slices(batch: pa.RecordBatch, slicers: list[Any]) -> Iterator[tuple[str, pa.RecordBatch]]:
    try:
        yield from slicing_util.generate_slices(batch, slicers)
    except ValueError as error:
        raise DataError(
            f"TFDV cannot slice the data: {error}", fix="slice by columns of strings or integers"
        ) from error


def _selected(batches: Iterable[pa.RecordBatch], options: tfdv.StatsOptions) -> Iterator[pa.RecordBatch]:
    """Samples rows and drops features that are not on the allowlist."""
    # A fixed seed: the same rows make the same artifact.
    generator = np.random.default_rng(0)
    for batch in batches:
        if options.feature_allowlist:
            batch = batch.select([name for name in options.feature_allowlist if name in batch.schema.names])
        if options.sample_rate is not None:
            batch = batch.filter(pa.array(generator.random(batch.num_rows) < options.sample_rate))
        yield batch


def _grouped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Joins small batches."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= _ROWS or size >= _BYTES:
            yield _joined(group)
            group, rows, size = [], 0, 0
    if group:
        yield _joined(group)


def _joined(group: list[pa.RecordBatch]) -> pa.RecordBatch:
    return group[0] if len(group) == 1 else table_util.MergeRecordBatches(group)


def _check_weights(batch: pa.RecordBatch, options: tfdv.StatsOptions) -> None:
    for weight in options.example_weight_map.all_weight_features():
        try:
            arrow_util.get_weight_feature(batch, weight)
        except ValueError as error:
            raise DataError(
                f"TFDV refuses the weights: {error}", fix="name a numeric column without missing values"
            ) from error


def _fresh(generators: _Generators) -> list[Any]:
    return [generator.create_accumulator() for generator in generators]


def _add(generators: _Generators, accumulators: list[Any], batch: pa.RecordBatch) -> list[Any]:
    pairs = zip(generators, accumulators, strict=True)
    try:
        # The variance of infinite values is NaN, as it should be.
        with np.errstate(invalid="ignore"):
            return [generator.add_input(accumulator, batch) for generator, accumulator in pairs]
    except (TypeError, ValueError) as error:
        raise DataError(f"TFDV refuses the data: {error}") from error


def _dataset(generators: _Generators, accumulators: list[Any], name: str) -> statistics_pb2.DatasetFeatureStatistics:
    pairs = zip(generators, accumulators, strict=True)
    try:
        parts = [generator.extract_output(generator.compact(accumulator)) for generator, accumulator in pairs]
    except AssertionError as error:
        # TFDV asserts that weighted quantiles exist.
        raise DataError(
            "a numeric feature has values only in rows of weight 0",
            fix="name another weight, or exclude such features with feature_allowlist",
        ) from error
    dataset = merge_util.merge_dataset_feature_statistics(parts).datasets[0]
    dataset.name = name
    return dataset
