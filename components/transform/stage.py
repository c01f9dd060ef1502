"""Transform: analyzes the data with a preprocessing_fn, saves its graph and applies it."""

from __future__ import annotations

from components.contract.artifacts import (
    Examples,
    ExamplesSplits,
    Input,
    Output,
    PreprocessingModule,
    Schema,
    TransformGraph,
)
from components.contract.declaration import Stage
from components.contract.libraries import TENSORFLOW, TRANSFORM


def transform(
    examples: Input[Examples],
    schema: Input[Schema],
    transform_graph: Output[TransformGraph],
    transformed_examples: Output[Examples],
    module: PreprocessingModule,
    analyze_splits: ExamplesSplits = ["train"],
    transform_splits: ExamplesSplits = [],
    custom_config: dict = {},
    payload_format: str = "",
    disable_statistics: bool = False,
    engine: str = "direct",
    beam_pipeline_args: list = [],
) -> None:
    """Runs a TFX `preprocessing_fn`: analyzes the data, saves the transform graph and applies it to every split.

    The analysis runs directly, without a Beam pipeline. If the preprocessing_fn needs something that the direct engine
    does not support, the stage switches to Beam in this process and logs the reason. With `engine="beam"`, the
    analysis, the transform and the statistics run as Beam pipelines, whose workers read and write the artifacts' files.

    Args:
        examples: The rows.
        schema: Their schema.
        transform_graph: TFT's saved transform with its metadata, and the statistics before and after.
        transformed_examples: The rows after the transform.
        module: The module with `preprocessing_fn`, by import path or file.
        analyze_splits: The splits that vocabularies, means and other analyses are computed over.
        transform_splits: The splits to transform; all by default.
        custom_config: Passed to a preprocessing_fn that takes `custom_config`.
        payload_format: The format of the transformed examples: `parquet` or `tf_example`; by default that of the input
            (Parquet for request logs).
        disable_statistics: Skip the statistics before and after the transform.
        engine: `direct`: in this process. `beam`: for data too large for one machine.
        beam_pipeline_args: Beam's pipeline options for `beam`, such as `["--runner=FlinkRunner", ...]`; the
            DirectRunner by default.
    """
    from components.transform.run import Settings, run

    settings = Settings(
        module=module,
        analyze_splits=analyze_splits,
        transform_splits=transform_splits,
        custom_config=custom_config,
        payload_format=payload_format,
        disable_statistics=disable_statistics,
        engine=engine,
        beam_pipeline_args=beam_pipeline_args,
    )
    run(examples, schema, transform_graph, transformed_examples, settings)


STAGE = Stage(
    function=transform,
    has_report=True,
    image="train",
    loads=(TENSORFLOW, TRANSFORM),
    after="example_validator",
    calls=("statistics_gen",),
)
