"""StatisticsGen: Examples become TFDV statistics.

The rows are streamed in batches through TFDV's own statistics generators. Options that only Beam can carry out go to
TFDV on Beam, in this process, and the log says so. `sample_rate` takes the same rows each time.

Refused, with the nearest name: an option that TFDV does not have, a value of the wrong type, a split or a column that
is not in the data. `schema` is an input, not an option.
"""

from __future__ import annotations

from components.contract.artifacts import Examples, ExamplesSplits, ExampleStatistics, Input, Output, Schema


def statistics_gen(
    examples: Input[Examples],
    statistics: Output[ExampleStatistics],
    schema: Input[Schema] | None = None,
    splits: ExamplesSplits = [],
    options: dict = {},
    engine: str = "direct",
    beam_pipeline_args: list = [],
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
        engine: `direct`, in this process; or `beam`, for data that one machine does not hold.
        beam_pipeline_args: Beam's pipeline options for `beam`, such as `["--runner=FlinkRunner", ...]`; the
            DirectRunner by default.
    """
    from components.data.beam_engine import uses_beam
    from components.statistics_gen.generate import generate

    on_beam = uses_beam(engine, beam_pipeline_args)
    generate(examples, statistics, schema, splits, options, beam_pipeline_args if on_beam else None)
