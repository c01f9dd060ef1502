"""StatisticsGen: Examples become TFDV statistics."""

from __future__ import annotations

from components.artifacts import Examples, ExampleStatistics, Input, Output, Schema


def statistics_gen(
    examples: Input[Examples],
    statistics: Output[ExampleStatistics],
    schema: Input[Schema] | None = None,
    splits: list = [],
    options: dict = {},
) -> None:
    """Computes TFDV statistics of every split.

    Args:
        examples: The rows.
        statistics: `FeatureStats.pb` a split.
        schema: Feature types and domains to go by; without one they are inferred.
        splits: The splits to look at; all by default.
        options: TFDV's StatsOptions by name, such as `weight_feature`, `num_quantiles_histogram_buckets`,
            `feature_allowlist`, `sample_rate`, `slicing_columns` (a list of columns to slice by) or `slicing_sqls`.
    """
    raise NotImplementedError
