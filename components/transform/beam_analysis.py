"""The analysis of a preprocessing_fn by TFT on Beam, for what is not evaluated directly."""

from __future__ import annotations

import collections
from pathlib import Path

import apache_beam as beam
import tensorflow_transform.beam as tft_beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.errors import DataError
from components.transform.preprocessing import PreprocessingFn
from components.transform.raw_examples import RawExamples


def analyze(preprocessing_fn: PreprocessingFn, raw: RawExamples, splits: list[str], graph: Path, scratch: Path) -> None:
    """Analyses splits on Beam's DirectRunner and writes TFT's `transform_fn` and `transformed_metadata`.

    Args:
        preprocessing_fn: The user's function.
        raw: The rows.
        splits: The splits to analyse.
        graph: The folder of the TransformGraph.
        scratch: A folder for temporary files.

    Raises:
        DataError: The rows do not fit the schema, or make the preprocessing_fn fail.
    """
    try:
        _run(preprocessing_fn, raw, splits, graph, scratch)
    except ValueError as error:
        # Beam does not tell which rows; where they do not fit the schema, reading them again does.
        collections.deque(raw.tensor_batches(splits), maxlen=0)
        raise DataError(f"TFT on Beam: {error}", mend="correct the rows, or let preprocessing_fn take them") from error


def _run(preprocessing_fn: PreprocessingFn, raw: RawExamples, splits: list[str], graph: Path, scratch: Path) -> None:
    options = PipelineOptions(["--runner=DirectRunner", "--direct_num_workers=1", "--direct_running_mode=in_memory"])
    # Splits are read where they are used: rows in beam.Create would travel inside the pipeline, compressed.
    with (
        beam.Pipeline(options=options) as pipeline,
        tft_beam.Context(temp_dir=str(scratch), use_deep_copy_optimization=True),
    ):
        rows = pipeline | "Splits" >> beam.Create(splits) | "Read" >> beam.FlatMap(raw.batches)
        transform_fn = (rows, raw.adapter_config) | "Analyze" >> tft_beam.AnalyzeDataset(preprocessing_fn)
        _ = transform_fn | "Write" >> tft_beam.WriteTransformFn(str(graph))
