"""The analysis of a preprocessing_fn by TFT on Beam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import apache_beam as beam
import tensorflow_data_validation as tfdv
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.data import beam_examples
from components.transform.preprocessing import PreprocessingFn
from components.transform.raw_examples import RawExamples

_WHAT = "the analysis of preprocessing_fn"


def analyze(
    preprocessing_fn: PreprocessingFn,
    *,
    raw: RawExamples,
    splits: list[str],
    graph: Path,
    scratch: Path,
    beam_pipeline_args: Sequence[str] = (),
    options: tfdv.StatsOptions | None = None,
) -> statistics_pb2.DatasetFeatureStatisticsList | None:
    """Analyzes splits in one pipeline and writes TFT's `transform_fn` and `transformed_metadata`.

    Args:
        preprocessing_fn: The user's function.
        raw: The rows.
        splits: The splits to analyze.
        graph: The folder of the TransformGraph.
        scratch: A folder for temporary files.
        beam_pipeline_args: Beam's pipeline options; the workers see both folders.
        options: TFDV's options, for statistics of the same rows; none by default.

    Raises:
        DataError: The rows do not fit the schema, or make the preprocessing_fn fail.
    """

    def write_graph(begin: beam.Pipeline) -> beam.PCollection:
        reads = [begin | f"Read {name}" >> beam_examples.Read(raw.examples, name, raw.piece_batches) for name in splits]
        rows = reads | "Rows" >> beam.Flatten()
        with tft_beam.Context(temp_dir=str(scratch), use_deep_copy_optimization=True):
            transform_fn = (rows, raw.adapter_config) | "Analyze" >> tft_beam.AnalyzeDataset(preprocessing_fn)
            _ = transform_fn | "Write" >> tft_beam.WriteTransformFn(str(graph))
        return rows

    if options is None:
        beam_examples.run(write_graph, beam_pipeline_args, _WHAT)
        return None
    return with_statistics(write_graph, beam_pipeline_args, _WHAT, scratch, options)


def with_statistics(
    build: Callable[[beam.Pipeline], beam.PCollection],
    beam_pipeline_args: Sequence[str],
    what: str,
    scratch: Path,
    options: tfdv.StatsOptions,
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Runs a pipeline that ends in rows, and returns their statistics by TFDV.

    Args:
        build: Makes the pipeline.
        beam_pipeline_args: Beam's pipeline options.
        what: What is done, for errors.
        scratch: A folder for temporary files, which the workers see.
        options: TFDV's options.
    """

    def computed(begin: beam.Pipeline) -> beam.PCollection:
        rows = build(begin)
        return (
            rows
            | "Statistics" >> tfdv.GenerateStatistics(options)
            | "Merge" >> tfdv.MergeDatasetFeatureStatisticsList()
        )

    (found,) = beam_examples.collect(computed, beam_pipeline_args, what, scratch / "statistics")
    return found  # type: ignore[no-any-return]
