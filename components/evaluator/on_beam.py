"""TFMA itself, on Beam's in-process runner: for what the direct way does not do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow_model_analysis as tfma
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.proto import config_pb2
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder
from tfx_bsl.tfxio import tensor_adapter

from components.artifacts import Artifact
from components.evaluator.rows import Representations
from components.examples import read_batches

_BATCH_ROWS = 1000


def evaluate(
    config: config_pb2.EvalConfig,
    models: list[tfma.EvalSharedModel],
    examples: Artifact,
    splits: list[str],
    output: Path,
    *,
    schema: bytes | None,
    representations: Representations,
) -> None:
    """Runs TFMA's ExtractEvaluateAndWriteResults, which writes its files into `output`."""
    # A transform that reads, instead of a beam.Create of batches, which would put the data into the pipeline.
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        (
            pipeline
            | "Splits" >> beam.Create(splits)
            | "Read" >> beam.FlatMap(_batches, examples, schema).with_output_types(pa.RecordBatch)
            | "Evaluate"
            >> tfma.ExtractEvaluateAndWriteResults(
                eval_shared_model=models[0] if len(models) == 1 else models,
                eval_config=config,
                output_path=str(output),
                tensor_adapter_config=_adapter(examples, splits[0], schema, representations),
            )
        )


def _batches(split: str, examples: Artifact, schema: bytes | None) -> Iterator[pa.RecordBatch]:
    """The rows with their serialized tf.Examples beside them, as TFMA's sources give them."""
    encoder = RecordBatchToExamplesEncoder()
    for batch in read_batches(examples, split, batch_rows=_BATCH_ROWS, schema=schema):
        typed = batch.select([field.name for field in batch.schema if not pa.types.is_null(field.type)])
        serialized = pa.array([[example] for example in encoder.encode(typed)], pa.large_list(pa.large_binary()))
        yield pa.RecordBatch.from_arrays(
            [*typed.columns, serialized], [*typed.schema.names, constants.ARROW_INPUT_COLUMN]
        )


def _adapter(examples: Artifact, split: str, schema: bytes | None, representations: Representations) -> Any:
    if not representations:
        return None
    first = next(_batches(split, examples, schema))
    return tensor_adapter.TensorAdapterConfig(arrow_schema=first.schema, tensor_representations=dict(representations))
