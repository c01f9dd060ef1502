"""Transform: a preprocessing_fn is analysed over the data, and its graph written and applied."""

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
    """Runs a TFX `preprocessing_fn`: analyses the data, saves the transform graph, applies it to every split.

    The analysis is evaluated directly, without a Beam pipeline; a preprocessing_fn that needs what the direct way
    does not do goes to Beam in this process by itself, and the log says so. With `engine="beam"` the analysis, the
    transform and the statistics run as Beam pipelines, whose workers read and write the artifacts' files themselves.

    Args:
        examples: The rows.
        schema: Their schema.
        transform_graph: TFT's saved transform with its metadata, and statistics before and after.
        transformed_examples: The rows after the transform.
        module: The module with `preprocessing_fn`, by import path or file.
        analyze_splits: The splits that vocabularies, means and other analyses are computed over.
        transform_splits: The splits to transform; all by default.
        custom_config: Handed to a preprocessing_fn that takes `custom_config`.
        payload_format: Of the transformed examples: `parquet`, `tf_example`, or as the input where empty (Parquet
            for request logs).
        disable_statistics: Skip the statistics before and after the transform.
        engine: `direct`, in this process; or `beam`, for data that one machine does not hold.
        beam_pipeline_args: Beam's pipeline options for `beam`, such as `["--runner=FlinkRunner", ...]`; the
            DirectRunner by default.
    """
    from components.transform.run import Settings, run

    settings = Settings(
        module,
        analyze_splits,
        transform_splits,
        custom_config,
        payload_format,
        disable_statistics,
        engine,
        beam_pipeline_args,
    )
    run(examples, schema, transform_graph, transformed_examples, settings)
