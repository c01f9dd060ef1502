"""Examples in Beam pipelines: read and written by the workers, in the artifact's own layout.

The workers see the files under the same paths as the stage: on one machine, or on a file system that they share.
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
    """A split's rows as batches in TFXIO's form: its row groups or files are read wherever Beam puts them.

    Args:
        examples: An Examples artifact of any payload format.
        split: The split's name.
        read: Reads a piece; `components.data.examples.read_piece` by default, with these settings.
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
    """Writes record batches in TFXIO's form as one split of an Examples artifact, in as many shards as Beam likes.

    Args:
        examples: Where to; a folder that appears whole, see `components.contract.files.whole_folder`.
        split: The split's name.
        payload_format: `parquet` or `tf_example`.
        schema: The columns of every batch; for Parquet.
    """

    def __init__(self, examples: Artifact, split: str, payload_format: str, schema: pa.Schema) -> None:
        super().__init__()
        folder = split_path(examples, split)
        self._parquet = payload_format == PARQUET
        self._prefix = os.fspath(folder / ("data_parquet" if self._parquet else "data_tfrecord"))
        self._schema = schema

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """The names of the files."""
        if self._parquet:
            sink = WriteToParquetBatched(self._prefix, self._schema, codec="zstd", file_name_suffix=".parquet")
            return batches | "Tables" >> beam.Map(_table) | "Parquet" >> sink
        sink = WriteToTFRecord(self._prefix, coder=BytesCoder(), file_name_suffix=".gz")
        return batches | "Encode" >> beam.FlatMap(encode_tf_examples) | "TFRecords" >> sink


def _table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def run(build: Callable[[beam.Pipeline], Any], beam_pipeline_args: Sequence[str], what: str) -> None:
    """Builds a pipeline and runs it to its end.

    Raises:
        DataError: It failed; with Beam's own words. What our own code raised in a worker comes through as it is.
    """
    try:
        with pipeline(beam_pipeline_args) as begin:
            build(begin)
    except TaxiwayError:
        raise
    except Exception as error:
        raise DataError(f"{what} on Beam: {error}", fix="see the log above for the worker's traceback") from error


def collect(
    build: Callable[[beam.Pipeline], beam.PCollection], beam_pipeline_args: Sequence[str], what: str, beside: Path
) -> list[Any]:
    """Runs a pipeline and returns the elements of the PCollection that it ends in, few and small ones.

    Args:
        build: Makes the pipeline.
        beam_pipeline_args: Beam's pipeline options.
        what: What is done, for errors.
        beside: A path on a file system that the workers share; the elements travel through files beside it.
    """
    beside.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside.parent, prefix=f".{beside.name}-beam-") as folder:
        sink = WriteToTFRecord(os.fspath(Path(folder, "elements")), coder=BytesCoder())
        run(lambda begin: build(begin) | "Pickle" >> beam.Map(pickle.dumps) | "Keep" >> sink, beam_pipeline_args, what)
        files = sorted(Path(folder).glob("elements*"))
        return [pickle.loads(record) for file in files for record in tfrecord.read_records(file)]
