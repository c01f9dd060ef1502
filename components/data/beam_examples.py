"""Examples in Beam pipelines: the workers read and write them in the artifact's own layout.

The workers must see the files under the same paths as the stage: on the same machine, or on a shared file system.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.coders import BytesCoder
from apache_beam.io import WriteToTFRecord
from apache_beam.io.parquetio import WriteToParquetBatched

from components.contract.artifacts import Artifact, split_path
from components.contract.errors import DataError, TaxiwayError
from components.data import tfrecord
from components.data.beam_engine import pipeline
from components.data.examples import BATCH_ROWS, PARQUET, Piece, encode_tf_examples, pieces, read_piece


class Read(beam.PTransform):
    """A split's rows as batches in TFXIO's form. Beam distributes its row groups or files over the workers.

    Args:
        examples: An Examples artifact of any payload format.
        split: The split's name.
        read: Reads a piece with the given settings; default: `components.data.examples.read_piece`.
    """

    def __init__(
        self,
        examples: Artifact,
        split: str,
        read: Callable[..., Iterator[pa.RecordBatch]] = read_piece,
        **settings: Any,
    ) -> None:
        super().__init__()
        self._pieces: list[Piece] = pieces(examples, split)
        self._read = read
        self._settings = {"batch_rows": BATCH_ROWS, **settings} if read is read_piece else settings

    def expand(self, begin: beam.Pipeline) -> beam.PCollection:
        """The rows as a PCollection of record batches."""
        return (
            begin
            | "Pieces" >> beam.Create(self._pieces)
            | "Spread" >> beam.Reshuffle()
            | "Rows" >> beam.FlatMap(self._read, **self._settings).with_output_types(pa.RecordBatch)
        )


class Write(beam.PTransform):
    """Writes record batches in TFXIO's form as one split of an Examples artifact; Beam chooses the number of shards.

    Args:
        examples: The artifact to write; its folder must appear atomically (`components.contract.files.whole_folder`).
        split: The split's name.
        payload_format: `parquet` or `tf_example`.
        schema: The columns of every batch, needed for Parquet.
    """

    def __init__(self, examples: Artifact, split: str, payload_format: str, schema: pa.Schema) -> None:
        super().__init__()
        folder = split_path(examples, split)
        self._parquet = payload_format == PARQUET
        self._prefix = os.fspath(folder / ("data_parquet" if self._parquet else "data_tfrecord"))
        self._schema = schema

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """The names of the files that were written."""
        if self._parquet:
            sink = WriteToParquetBatched(self._prefix, self._schema, codec="zstd", file_name_suffix=".parquet")
            return batches | "Tables" >> beam.Map(_table) | "Parquet" >> sink
        sink = WriteToTFRecord(self._prefix, coder=BytesCoder(), file_name_suffix=".gz")
        return batches | "Encode" >> beam.FlatMap(encode_tf_examples) | "TFRecords" >> sink


def _table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def run(build: Callable[[beam.Pipeline], Any], beam_pipeline_args: Sequence[str], what: str) -> None:
    """Builds a pipeline, runs it and waits for the end.

    Raises:
        DataError: It failed, with Beam's message. A TaxiwayError from Taxiway's own code is passed on unchanged.
    """
    try:
        with pipeline(beam_pipeline_args) as begin:
            build(begin)
    except TaxiwayError:
        raise
    except Exception as error:
        raise DataError(f"{what} on Beam failed: {error}", fix="see the worker's traceback in the log above") from error


def collect(
    build: Callable[[beam.Pipeline], beam.PCollection], beam_pipeline_args: Sequence[str], what: str, beside: Path
) -> list[Any]:
    """Runs a pipeline and returns the elements of its last PCollection, which must be few and small.

    Args:
        build: Builds the pipeline.
        beam_pipeline_args: Beam's pipeline options.
        what: What the pipeline does, for errors.
        beside: A path on a file system that the workers share; the elements are passed in files beside it.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside.parent, prefix=f".{beside.name}-beam-") as folder:
        sink = WriteToTFRecord(os.fspath(Path(folder, "elements")), coder=BytesCoder())
        run(lambda begin: build(begin) | "Pickle" >> beam.Map(pickle.dumps) | "Keep" >> sink, beam_pipeline_args, what)
        files = sorted(Path(folder).glob("elements*"))
        return [pickle.loads(record) for file in files for record in tfrecord.read_records(file)]
