"""The most frequent values of a feature and the number of distinct ones, exactly, without Beam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.arrow import arrow_util
from tensorflow_data_validation.utils import schema_util, stats_util, top_k_uniques_stats_util
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_bsl.arrow import array_util

_FEW = 1 << 18  # counted values that are collected before they are summed, so that summing costs little


class _Counts:
    """How often each value occurred, and the weight of its occurrences; grows with distinct values only."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []
        self._waiting = 0
        self._distinct = 0

    def add(self, part: pa.Table) -> None:
        """Takes columns `value`, `count` and, where weighted, `weight`; values may repeat."""
        self._parts.append(part)
        self._waiting += part.num_rows
        # Waits for as many values as are summed already: all sums together cost at most twice the last one.
        if self._waiting > max(_FEW, self._distinct):
            self.table()

    def merge(self, other: _Counts) -> None:
        self.add(other.table())

    def table(self) -> pa.Table:
        """One row a distinct value."""
        if len(self._parts) > 1:
            together = pa.concat_tables(self._parts).combine_chunks()
            amounts = {name: together[name].to_numpy() for name in together.column_names if name != "value"}
            self._parts = [_summed(together["value"].chunk(0), amounts)]
        self._waiting, self._distinct = 0, self._parts[0].num_rows
        return self._parts[0]


def _summed(values: pa.Array, amounts: dict[str, np.ndarray]) -> pa.Table:
    encoded = values.dictionary_encode()
    places = encoded.indices.to_numpy()
    size = len(encoded.dictionary)
    # Sums in double precision: exact for counts up to 2**53.
    sums = {name: np.bincount(places, amount, size).astype(_TYPES[name]) for name, amount in amounts.items()}
    return pa.table({"value": encoded.dictionary, **sums})


_TYPES = {"count": np.int64, "weight": np.float64}


class TopValuesGenerator(tfdv.CombinerStatsGenerator):
    """Does what TFDV's TopKUniquesStatsGenerator does on Beam, as a combiner, with the same results.

    Source: tensorflow_data_validation/statistics/generators/top_k_uniques_stats_generator.py. One thing differs: a
    feature without a weight, among features with one, gets no weighted values; TFDV counts batches there.
    """

    def __init__(self, options: tfdv.StatsOptions) -> None:
        super().__init__("TopValuesGenerator", options.schema)
        self._options = options
        self._bytes = set(schema_util.get_bytes_features(options.schema) if options.schema else ())
        self._categorical = schema_util.get_categorical_numeric_feature_types(options.schema) if options.schema else {}

    def create_accumulator(self) -> dict[tfdv.FeaturePath, _Counts]:
        """Counts by feature."""
        return {}

    def add_input(
        self, accumulator: dict[tfdv.FeaturePath, _Counts], batch: pa.RecordBatch
    ) -> dict[tfdv.FeaturePath, _Counts]:
        """Counts the values of a batch."""
        arrays = arrow_util.enumerate_arrays(batch, self._options.example_weight_map, enumerate_leaves_only=True)
        for path, array, weights in arrays:
            if self._is_counted(path, array.type):
                values, rows = array_util.flatten_nested(array, weights is not None)
                if len(values):
                    amounts = {"count": np.ones(len(values))} | ({} if weights is None else {"weight": weights[rows]})
                    accumulator.setdefault(path, _Counts()).add(_summed(values, amounts))
        return accumulator

    def merge_accumulators(
        self, accumulators: Iterable[dict[tfdv.FeaturePath, _Counts]]
    ) -> dict[tfdv.FeaturePath, _Counts]:
        """Adds up the counts of several accumulators."""
        merged = self.create_accumulator()
        for accumulator in accumulators:
            for path, counts in accumulator.items():
                merged.setdefault(path, _Counts()).merge(counts)
        return merged

    def extract_output(self, accumulator: dict[tfdv.FeaturePath, _Counts]) -> statistics_pb2.DatasetFeatureStatistics:
        """Top values, rank histogram and number of distinct values of every feature."""
        features = [self._feature(path, counts.table()) for path, counts in accumulator.items()]
        return statistics_pb2.DatasetFeatureStatistics(features=features)

    def _is_counted(self, path: tfdv.FeaturePath, arrow_type: pa.DataType) -> bool:
        """Strings that are not declared as bytes, and integers that the schema calls categorical."""
        kind = stats_util.get_feature_type_from_arrow_type(path, arrow_type)
        if kind == statistics_pb2.FeatureNameStatistics.STRING:
            return path not in self._bytes
        is_categorical = top_k_uniques_stats_util.output_categorical_numeric(self._categorical, path, kind)
        return bool(is_categorical) and kind == statistics_pb2.FeatureNameStatistics.INT

    def _feature(self, path: tfdv.FeaturePath, table: pa.Table) -> statistics_pb2.FeatureNameStatistics:
        options = self._options
        return top_k_uniques_stats_util.make_feature_stats_proto_topk_uniques(
            feature_path=path,
            num_top_values=options.num_top_values,
            num_rank_histogram_buckets=options.num_rank_histogram_buckets,
            num_unique=table.num_rows,
            value_count_list=self._top(table, "count"),
            weighted_value_count_list=self._top(table, "weight") if "weight" in table.column_names else None,
            frequency_threshold=options.frequency_threshold,
            weighted_frequency_threshold=options.weighted_frequency_threshold,
        )

    def _top(self, table: pa.Table, amount: str) -> list[Any]:
        """The values with the largest amounts; of equal ones the larger value, as in TFDV."""
        size = min(max(self._options.num_top_values, self._options.num_rank_histogram_buckets), table.num_rows)
        order = [(amount, "descending"), ("value", "descending")]
        top = table.take(pc.select_k_unstable(table, size, order))
        pairs = zip(top["value"].to_pylist(), top[amount].to_pylist(), strict=True)
        return [top_k_uniques_stats_util.FeatureValueCount(value, count) for value, count in pairs]
