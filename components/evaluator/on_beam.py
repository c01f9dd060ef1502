"""TFMA itself, on Beam: for what the direct engine does not support, and for data too large for one machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.proto import config_pb2
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder
from tfx_bsl.tfxio import tensor_adapter

from components.contract.artifacts import Artifact
from components.data import beam_examples
from components.data.examples import Piece, pieces, read_piece
from components.evaluator.rows import Representations

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
    beam_pipeline_args: Sequence[str] = (),
) -> None:
    """Runs TFMA's ExtractEvaluateAndWriteResults, which writes its files into `output`."""

    def build(begin: beam.Pipeline) -> None:
        rows = [
            begin | f"Read {split}" >> beam_examples.Read(examples, split, _piece_batches, schema=schema)
            for split in splits
        ]
        _ = (
            rows
            | "Splits" >> beam.Flatten()
            | "Evaluate"
            >> tfma.ExtractEvaluateAndWriteResults(
                eval_shared_model=models[0] if len(models) == 1 else models,
                eval_config=config,
                output_path=str(output),
                tensor_adapter_config=_adapter(examples, splits[0], schema, representations),
            )
        )

    beam_examples.run(build, beam_pipeline_args, "TFMA")


def _piece_batches(piece: Piece, schema: bytes | None) -> Iterator[pa.RecordBatch]:
    """The rows with their serialized tf.Examples beside them, as TFMA's sources give them."""
    encoder = RecordBatchToExamplesEncoder()
    for batch in read_piece(piece, batch_rows=_BATCH_ROWS, schema=schema):
        typed = batch.select([field.name for field in batch.schema if not pa.types.is_null(field.type)])
        serialized = pa.array([[example] for example in encoder.encode(typed)], pa.large_list(pa.large_binary()))
        yield pa.RecordBatch.from_arrays(
            [*typed.columns, serialized], [*typed.schema.names, constants.ARROW_INPUT_COLUMN]
        )


def _adapter(examples: Artifact, split: str, schema: bytes | None, representations: Representations) -> Any:
    if not representations:
        return None
    first = next(_piece_batches(pieces(examples, split)[0], schema))
    return tensor_adapter.TensorAdapterConfig(arrow_schema=first.schema, tensor_representations=dict(representations))
