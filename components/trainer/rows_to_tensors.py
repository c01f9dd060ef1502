"""Converts Arrow rows to the tensors that a schema describes: the same that TFX parses from tf.Examples of these rows.

The schema's shapes and TensorRepresentations say which tensors are dense, sparse or ragged, and tfx_bsl's
TensorAdapter makes them. This module packs the rows so that any selection of them can be gathered at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig
from tfx_bsl.tfxio.tensor_representation_util import InferTensorRepresentationsFromMixedSchema

from components.contract.errors import DataError, UserError

Representation = schema_pb2.TensorRepresentation
Packed = tuple[dict[str, tf.Tensor], dict[str, tf.RaggedTensor]]
"""Rows: for each dtype, a matrix `[rows, values]` of all features of fixed shape; for other columns, ragged tensors.

In a matrix the values of a row are contiguous in memory, so that a batch takes one gather.
"""


class TensorLayout:
    """The tensors of a schema, and the columns they are made from.

    Attributes:
        arrow_schema: The columns to read, and their types.
        names: The names of the tensors.

    Raises:
        UserError: The schema describes tensors that cannot be made from its features.
    """

    def __init__(self, schema: schema_pb2.Schema) -> None:
        try:
            self._representations = InferTensorRepresentationsFromMixedSchema(schema)
            self.arrow_schema = ExamplesToRecordBatchDecoder(schema.SerializeToString()).ArrowSchema()
            self._sources = dict(_sources(self._representations))
            self._adapter = TensorAdapter(TensorAdapterConfig(self.arrow_schema, self._sources))
        except (ValueError, KeyError, RuntimeError) as error:
            raise UserError(f"the schema does not describe tensors: {error}", fix="correct the schema") from error
        if not self._representations:
            raise UserError("the schema has no features", fix="use the schema of the examples")
        self.names = sorted(self._representations)
        self._specs: dict[str, Any] = self._adapter.TypeSpecs()
        self._dense = self._dense_by_type()
        self._ragged = [source for source, spec in self._specs.items() if isinstance(spec, tf.RaggedTensorSpec)]

    @property
    def packed_spec(self) -> tuple[dict[str, tf.TypeSpec], dict[str, tf.TypeSpec]]:
        """The type specs of packed rows."""
        dense = {
            dtype: tf.TensorSpec([None, sum(map(self._size, names))], dtype) for dtype, names in self._dense.items()
        }
        return dense, {source: self._specs[source] for source in self._ragged}

    def pack(self, rows: pa.RecordBatch) -> Packed:
        """Packs rows of `arrow_schema` for gathering, in host memory.

        Raises:
            DataError: A feature of fixed shape has a wrong number of values; names the first such row.
        """
        self._check_lengths(rows)
        with tf.device("CPU:0"):
            tensors = self._adapter.ToBatchTensors(rows, produce_eager_tensors=True)
            dense = {
                dtype: tf.concat([tf.reshape(tensors[name], [-1, self._size(name)]) for name in names], axis=1)
                for dtype, names in self._dense.items()
            }
        return dense, {source: tensors[source] for source in self._ragged}

    def take(self, packed: Packed, rows: tf.Tensor) -> dict[str, Any]:
        """The tensors of some rows, given their numbers: `[batch]`, int64."""
        matrices, ragged = packed
        taken = {source: _gather_ragged(column, rows) for source, column in ragged.items()}
        for dtype, names in self._dense.items():
            parts = tf.split(tf.gather(matrices[dtype], rows), [self._size(name) for name in names], axis=1)
            taken |= {name: tf.reshape(part, [-1, *self._shape(name)]) for name, part in zip(names, parts, strict=True)}
        return {name: self._tensor(name, taken, rows) for name in self._representations}

    def _tensor(self, name: str, taken: dict[str, Any], rows: tf.Tensor) -> Any:
        representation = self._representations[name]
        kind = representation.WhichOneof("kind")
        if kind == "varlen_sparse_tensor":
            sparse = taken[name].to_sparse()
            sparse.set_shape([rows.shape[0], None])
            return sparse
        return _sparse(name, representation.sparse_tensor, taken, rows) if kind == "sparse_tensor" else taken[name]

    def _dense_by_type(self) -> dict[str, list[str]]:
        grouped: dict[str, list[str]] = {}
        for source, spec in self._specs.items():
            if isinstance(spec, tf.TensorSpec):
                grouped.setdefault(spec.dtype.name, []).append(source)
        return grouped

    def _shape(self, name: str) -> list[int]:
        return self._specs[name].shape.as_list()[1:]  # type: ignore[no-any-return]

    def _size(self, name: str) -> int:
        return math.prod(self._shape(name))

    def _check_lengths(self, rows: pa.RecordBatch) -> None:
        for name in (name for names in self._dense.values() for name in names):
            dense = self._sources[name].dense_tensor
            missing = self._size(name) if dense.HasField("default_value") else 0
            lengths = pc.fill_null(pc.list_value_length(rows.column(dense.column_name)), missing)
            row = pc.index(pc.not_equal(lengths, self._size(name)), True).as_py()
            if row >= 0:
                raise DataError(
                    f"the feature {name!r} has {lengths[row]} values in row {row + 1}, but the schema says "
                    f"{self._size(name)} in every row",
                    fix="fill missing values in the preprocessing_fn, or remove the feature's shape from the schema",
                )


def _sources(representations: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What to pack for each tensor: columns of sparse tensors are packed as ragged ones, to gather their rows."""
    for name, representation in representations.items():
        kind = representation.WhichOneof("kind")
        if kind == "varlen_sparse_tensor":
            yield name, _ragged(representation.varlen_sparse_tensor.column_name)
        elif kind == "sparse_tensor":
            yield name, _ragged(representation.sparse_tensor.value_column_name)
            for number, column in enumerate(representation.sparse_tensor.index_column_names):
                yield _index_source(name, number), _ragged(column)
        else:
            yield name, representation


def _ragged(column: str) -> Any:
    representation = Representation()
    representation.ragged_tensor.feature_path.step.append(column)
    return representation


def _index_source(name: str, number: int) -> str:
    return f"{name}, index {number}"


def _gather_ragged(column: tf.RaggedTensor, rows: tf.Tensor) -> tf.RaggedTensor:
    """Rows of a ragged tensor; their number is static if the batch size is."""
    taken = tf.gather(column, rows)
    splits = rows.shape[0] and rows.shape[0] + 1
    return tf.RaggedTensor.from_row_splits(taken.values, tf.ensure_shape(taken.row_splits, [splits]), validate=False)


def _sparse(name: str, representation: Any, taken: dict[str, Any], rows: tf.Tensor) -> tf.SparseTensor:
    """A sparse tensor from a column of values and one column of indices per dimension."""
    values = taken[name]
    indices = [taken[_index_source(name, number)].values for number in range(len(representation.index_column_names))]
    shape = [dim.size for dim in representation.dense_shape.dim]
    sparse = tf.SparseTensor(
        tf.stack([values.value_rowids(), *indices], axis=1),
        values.values,
        tf.stack([tf.size(rows, tf.int64), *shape]),
    )
    sparse.set_shape([rows.shape[0], *shape])
    return sparse if representation.already_sorted else tf.sparse.reorder(sparse)
