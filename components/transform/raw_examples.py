"""The rows that a preprocessing_fn sees: Examples as Arrow batches of exactly the schema's types, and as tensors."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder
from tfx_bsl.tfxio import tensor_representation_util
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig

from components.contract.artifacts import Artifact
from components.contract.errors import DataError, UserError
from components.data.examples import Piece, column_of, read_batches, read_piece

Representations = Mapping[str, schema_pb2.TensorRepresentation]

BATCH_ROWS = 30_000
"""Rows of a batch. A call of TensorFlow costs the same for few rows as for many; larger batches only take memory."""

_TYPE_NAMES = {pa.int64(): "INT", pa.float32(): "FLOAT", pa.large_binary(): "BYTES"}


def read_schema(artifact: Artifact) -> schema_pb2.Schema:
    """The schema of a Schema artifact.

    Raises:
        UserError: It is not a schema in text form; the message names the line.
    """
    path = artifact.path / "schema.pbtxt"
    try:
        return text_format.Parse(path.read_text(), schema_pb2.Schema())
    except text_format.ParseError as error:
        raise UserError(f"{path} is not a schema: {error}", fix="write it as TFDV does (write_schema_text)") from error


@dataclass(frozen=True)
class TensorBatch:
    """Tensors by name, and the place of their rows, for errors."""

    tensors: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class RawExamples:
    """An Examples artifact and its schema.

    Attributes:
        examples: The rows, of either payload format.
        schema: What the features are: types, shapes, sparse and ragged tensors.
        tensors: The tensors to read; all by default. Only the columns under them are read.
    """

    examples: Artifact
    schema: schema_pb2.Schema
    tensors: tuple[str, ...] | None = None

    def of(self, tensors: Collection[str]) -> RawExamples:
        """The same rows with these tensors only."""
        return RawExamples(self.examples, self.schema, tuple(sorted(tensors)))

    @functools.cached_property
    def specs(self) -> Mapping[str, tf.TypeSpec]:
        """The type of every tensor of the schema, read or not: the signature of the transform graph.

        Raises:
            UserError: The schema describes tensors that cannot be made from its features.
        """
        try:
            specs = TensorAdapter(_adapter_config(self.schema, self._representations)).TypeSpecs()
        except ValueError as error:
            raise UserError(f"the schema does not describe tensors: {error}", fix="correct schema.pbtxt") from error
        # Representations come from a proto map, which has no order.
        return dict(sorted(specs.items()))

    @property
    def read_specs(self) -> Mapping[str, tf.TypeSpec]:
        """The types of the tensors that are read."""
        return {name: self.specs[name] for name in self.adapter_config.tensor_representations}

    @functools.cached_property
    def adapter_config(self) -> TensorAdapterConfig:
        """How batches become tensors, as TFT on Beam takes it."""
        config = _adapter_config(self._read_schema, self._read_representations)
        return TensorAdapterConfig(config.arrow_schema, config.tensor_representations, dict(self.specs))

    @functools.cached_property
    def _adapter(self) -> TensorAdapter:
        return TensorAdapter(self.adapter_config)

    @functools.cached_property
    def _representations(self) -> Representations:
        found: Representations = tensor_representation_util.InferTensorRepresentationsFromMixedSchema(self.schema)
        return found

    @functools.cached_property
    def _read_representations(self) -> Representations:
        wanted = self._representations if self.tensors is None else self.tensors
        return {name: self._representations[name] for name in wanted}

    @functools.cached_property
    def _read_schema(self) -> schema_pb2.Schema:
        """The features that the read tensors are made from, in the schema's order."""
        columns = {
            path.initial_step()
            for representation in self._read_representations.values()
            for path in tensor_representation_util.GetSourceColumnsFromTensorRepresentation(representation)
        }
        return schema_pb2.Schema(feature=[feature for feature in self.schema.feature if feature.name in columns])

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """Streams a split; every batch has the schema's columns, a missing one as nulls.

        Raises:
            DataError: A column has another type than the schema says.
        """
        for batch in read_batches(self.examples, split, **self._reading):
            yield self._conformed(batch, f"split {split!r} of {self.examples.path}")

    def piece_batches(self, piece: Piece) -> Iterator[pa.RecordBatch]:
        """Streams a part of a split as `batches` does, for a reader that makes tensors elsewhere.

        Raises:
            DataError: A column has another type, or a row another length, than the schema says.
        """
        group = "" if piece.row_group is None else f"row group {piece.row_group} of "
        source, first_row = f"{group}{piece.file}", 1
        for batch in read_piece(piece, **self._reading):
            conformed = self._conformed(batch, source)
            if error := self._length_error(conformed, source, first_row):
                raise error
            yield conformed
            first_row += batch.num_rows

    @property
    def _reading(self) -> dict[str, Any]:
        columns = self.adapter_config.arrow_schema.names
        return {"columns": columns, "batch_rows": BATCH_ROWS, "schema": self._read_schema.SerializeToString()}

    def _conformed(self, batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
        arrow_schema = self.adapter_config.arrow_schema
        columns = [_column(batch, field, where) for field in arrow_schema]
        return pa.RecordBatch.from_arrays(columns, schema=arrow_schema)

    def tensor_batches(self, splits: Iterable[str]) -> Iterator[TensorBatch]:
        """Streams splits as tensors.

        Raises:
            DataError: Rows do not have the shape that the schema says.
        """
        for split in splits:
            first_row = 1
            for batch in self.batches(split):
                yield self._to_tensors(batch, split, first_row)
                first_row += batch.num_rows

    def _to_tensors(self, batch: pa.RecordBatch, split: str, first_row: int) -> TensorBatch:
        source = f"split {split!r} of {self.examples.path}"
        try:
            tensors = self._adapter.ToBatchTensors(batch)
        except ValueError as error:
            rows = f"rows {first_row} to {first_row + batch.num_rows - 1} of {source}"
            other = DataError(f"{rows}: {error}: {error.__cause__}", fix="correct the data or the schema")
            raise self._length_error(batch, source, first_row) or other from error
        return TensorBatch(tensors, f"rows {first_row} to {first_row + batch.num_rows - 1} of {source}")

    def _length_error(self, batch: pa.RecordBatch, source: str, first_row: int) -> DataError | None:
        """Finds the first row whose number of values is not that of its dense tensor."""
        for name, representation in self.adapter_config.tensor_representations.items():
            if representation.HasField("dense_tensor"):
                size = math.prod(dim.size for dim in representation.dense_tensor.shape.dim)
                row, found = _first_of_other_length(batch.column(representation.dense_tensor.column_name), size)
                if row >= 0:
                    return DataError(
                        f"row {first_row + row} of {source}: {name!r} has {found} values, the schema says {size}",
                        fix="fill the gap, or give the feature no fixed shape in the schema "
                        "(schema_gen: infer_feature_shape=false)",
                    )
        return None


def _adapter_config(schema: schema_pb2.Schema, representations: Representations) -> TensorAdapterConfig:
    decoder = example_coder.ExamplesToRecordBatchDecoder(schema.SerializeToString())
    return TensorAdapterConfig(decoder.ArrowSchema(), dict(representations))


def _column(batch: pa.RecordBatch, field: pa.Field, where: str) -> pa.Array:
    column = column_of(batch, field)
    if column.type != field.type:
        raise DataError(
            f"the column {field.name!r} in {where} is {_type_name(column.type)}, "
            f"the schema says {_type_name(field.type)}",
            fix="correct the schema, or the column in the raw data",
        )
    return column


def _type_name(kind: pa.DataType) -> str:
    return _TYPE_NAMES.get(getattr(kind, "value_type", kind), str(kind))


def _first_of_other_length(column: pa.Array, size: int) -> tuple[int, int]:
    """The first row with another number of values, and this number; row -1 if there is none."""
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    row = pc.index(pc.not_equal(lengths, size), True).as_py()
    return row, lengths[row].as_py() if row >= 0 else size
