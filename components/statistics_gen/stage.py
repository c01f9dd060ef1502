"""StatisticsGen: Examples become TFDV statistics.

The rows are streamed in batches through TFDV's own statistics generators. Options that only Beam can carry out go to
TFDV on Beam, in this process, and the log says so. `sample_rate` takes the same rows each time.

Refused, with the nearest name: an option that TFDV does not have, a value of the wrong type, a split or a column that
is not in the data. `schema` is an input, not an option.
"""

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
            `feature_allowlist`, `sample_rate` or `slicing_config` (TFDV's SlicingConfig as JSON); and
            `slicing_columns`, a list of columns to slice by, each on its own.
    """
    from components.statistics_gen.generate import generate

    generate(examples, statistics, schema, splits, options)
