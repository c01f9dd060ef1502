"""StatisticsGen: computes TFDV statistics of Examples.

The rows are streamed in batches through TFDV's own statistics generators. If an option needs Beam, TFDV runs on Beam in
this process, and the log says so. `sample_rate` takes the same rows each time.

The stage refuses an option that TFDV does not have, a value of the wrong type, and a split or column that is not in the
data; the error suggests the nearest name. `schema` is an input, not an option.
"""

from __future__ import annotations

from components.contract.artifacts import Examples, ExamplesSplits, ExampleStatistics, Input, Output, Schema
from components.contract.declaration import Stage
from components.contract.libraries import TENSORFLOW, VALIDATION


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
        statistics: One `FeatureStats.pb` for each split.
        schema: The feature types and domains; inferred from the data by default.
        splits: The splits to compute statistics of; all by default.
        options: TFDV's StatsOptions by name, such as `weight_feature`, `num_quantiles_histogram_buckets`,
            `feature_allowlist`, `sample_rate` or `slicing_config` (TFDV's SlicingConfig as JSON); and
            `slicing_columns`, a list of columns to slice by, one at a time.
        engine: `direct`: in this process. `beam`: for data too large for one machine.
        beam_pipeline_args: Beam's pipeline options for `beam`, such as `["--runner=FlinkRunner", ...]`; the
            DirectRunner by default.
    """
    from components.data.beam_engine import uses_beam
    from components.statistics_gen.generate import generate

    on_beam = uses_beam(engine, beam_pipeline_args)
    generate(
        examples,
        statistics,
        schema=schema,
        splits=splits,
        options=options,
        beam_pipeline_args=beam_pipeline_args if on_beam else None,
    )


STAGE = Stage(
    function=statistics_gen, image="data", loads=(TENSORFLOW, VALIDATION), after="example_gen", has_report=True
)
