"""Turns a file's columns into the tensors or tf.Examples that a model's signature takes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contract.errors import DataError, UserError
from components.data.examples import encode_tf_examples, to_tfxio_form
from components.data.serving_stubs import types_pb2
from components.data.tensor_protos import dtype_name
from taxiway.prediction.examples_file import ExamplesFile, first_failing, first_missing

_ARROW: dict[int, pa.DataType] = {
    types_pb2.DT_FLOAT: pa.float32(),
    types_pb2.DT_DOUBLE: pa.float64(),
    types_pb2.DT_HALF: pa.float32(),
    types_pb2.DT_INT8: pa.int8(),
    types_pb2.DT_INT16: pa.int16(),
    types_pb2.DT_INT32: pa.int32(),
    types_pb2.DT_INT64: pa.int64(),
    types_pb2.DT_UINT8: pa.uint8(),
    types_pb2.DT_UINT16: pa.uint16(),
    types_pb2.DT_UINT32: pa.uint32(),
    types_pb2.DT_UINT64: pa.uint64(),
    types_pb2.DT_BOOL: pa.bool_(),
    types_pb2.DT_STRING: pa.binary(),
}
_FEATURES = {"INT": pa.int64(), "FLOAT": pa.float32(), "BYTES": pa.binary()}
_CastError = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


@dataclass(frozen=True)
class Input:
    """An input of a signature.

    Attributes:
        name: The input's name.
        dtype: A `types_pb2.DataType`.
        shape: The size of each dimension, -1 for any; None if the rank is unknown.
    """

    name: str
    dtype: int
    shape: tuple[int, ...] | None


Batch = dict[str, tuple[Any, int]]
"""Arrays and their types, by input name."""


@dataclass(frozen=True)
class Signature:
    """A signature's name, inputs, and names of outputs."""

    name: str
    inputs: list[Input]
    outputs: list[str]


def chosen(signatures: Mapping[str, Any], name: str) -> Signature:
    """A model's signature, from its `SignatureDef`s.

    Raises:
        UserError: The model has no signature with that name.
    """
    if name not in signatures:
        near = difflib.get_close_matches(name, signatures, n=1)
        known = ", ".join(sorted(each for each in signatures if not each.startswith("__")))
        raise UserError(
            f"the model has no signature {name!r}", fix=f"did you mean {near[0]!r}?" if near else f"it has {known}"
        )
    found = signatures[name]
    inputs = [Input(key, info.dtype, _shape(info.tensor_shape)) for key, info in sorted(found.inputs.items())]
    return Signature(name, inputs, sorted(found.outputs))


def _shape(shape: Any) -> tuple[int, ...] | None:
    return None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)


def takes_examples(signature: Signature, columns: list[str]) -> bool:
    """Whether a signature takes serialized tf.Examples: its only input is a string vector and not a column's name."""
    if len(signature.inputs) != 1 or signature.inputs[0].name in columns:
        return False
    [only] = signature.inputs
    return only.dtype == types_pb2.DT_STRING and (only.shape is None or len(only.shape) == 1)


def batches(signature: Signature, file: ExamplesFile, rows: int, schema: Path | None = None) -> Iterator[Batch]:
    """A file's rows as batches for a signature.

    Args:
        signature: The signature.
        file: The examples.
        rows: Maximum rows per batch.
        schema: A `schema.pbtxt` with the features' types, for a signature that takes tf.Examples; default: the types
            of the columns.

    Raises:
        UserError: A column is missing, or the schema cannot be read.
        DataError: A value has the wrong type or shape; names column and row.
    """
    if takes_examples(signature, file.names):
        make = _examples_maker(signature.inputs[0], file, schema)
    else:
        make = _tensors_maker(signature, file)
    first = 1
    for batch in file.batches(rows):
        if batch.num_rows:
            yield make(batch, first)
        first += batch.num_rows


def _tensors_maker(signature: Signature, file: ExamplesFile) -> Callable[[pa.RecordBatch, int], Batch]:
    for each in signature.inputs:
        if each.name not in file.names:
            near = difflib.get_close_matches(each.name, file.names, n=1)
            raise UserError(
                f"{file.path} has no column {each.name!r}, which the signature {signature.name!r} takes",
                fix=f"rename the column {near[0]!r}?" if near else f"it has {', '.join(file.names)}",
            )
        if each.dtype not in _ARROW:
            kind = types_pb2.DataType.Name(each.dtype)
            raise UserError(
                f"the input {each.name!r} takes {kind}, which columns cannot have", fix="use another signature"
            )

    def make(batch: pa.RecordBatch, first: int) -> Batch:
        return {
            each.name: (_tensor(each, _Column(file, each.name, batch.column(each.name), first)), each.dtype)
            for each in signature.inputs
        }

    return make


def _examples_maker(only: Input, file: ExamplesFile, schema: Path | None) -> Callable[[pa.RecordBatch, int], Batch]:
    types = {name: _feature_type(kind) for name, kind in file.types().items()} | _schema_types(schema)
    unused = [name for name, kind in types.items() if name in file.names and kind is None]
    if unused:
        kind = file.types()[unused[0]]
        raise DataError(
            f"{file.path}: the column {unused[0]!r} has the type {kind}, which tf.Examples do not support",
            fix="use numbers, strings, or lists of them",
        )

    def make(batch: pa.RecordBatch, first: int) -> Batch:
        columns = [_Column(file, name, batch.column(name), first) for name in batch.schema.names]
        cast = [_cast_lists(column, types[column.name]) for column in columns]
        rows = encode_tf_examples(to_tfxio_form(pa.RecordBatch.from_arrays(cast, batch.schema.names)))
        return {only.name: (np.array(rows, dtype=object), types_pb2.DT_STRING)}

    return make


def _schema_types(schema: Path | None) -> dict[str, pa.DataType]:
    """The types of a schema's features, by name."""
    if schema is None:
        return {}
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        parsed = text_format.Parse(schema.read_text(), schema_pb2.Schema())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the schema {schema} cannot be read: {error}", fix="give a schema.pbtxt") from error
    except text_format.ParseError as error:
        raise UserError(
            f"the schema {schema} cannot be parsed: {error}", fix="use the one that the run wrote"
        ) from error
    names = {feature.name: schema_pb2.FeatureType.Name(feature.type) for feature in parsed.feature}
    return {name: _FEATURES[kind] for name, kind in names.items() if kind in _FEATURES}


def _feature_type(kind: pa.DataType) -> pa.DataType | None:
    """The type in a tf.Example for a column's type; None if it is not supported."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return None if pa.types.is_nested(kind.value_type) else _feature_type(kind.value_type)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float32()
    return pa.binary() if _is_text(kind) else None


@dataclass(frozen=True)
class _Column:
    """A part of a column: its values, and the row number of the first."""

    file: ExamplesFile
    name: str
    values: pa.Array
    first: int

    def wrong(self, index: int, wanted: str) -> DataError:
        """The error for a value of the wrong type."""
        value = self.values[index].as_py()
        return DataError(
            f"{self.file.path}: the column {self.name!r} has {value!r:.60} in row {self.first + index}, not {wanted}",
            fix="correct the value, or remove the row",
        )

    def missing(self, index: int) -> DataError:
        """The error for a missing value."""
        return DataError(
            f"{self.file.path}: the column {self.name!r} has no value in row {self.first + index}",
            fix="add it, or remove the row",
        )


def _is_text(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    )


def _depth(kind: pa.DataType) -> int:
    return 1 + _depth(kind.value_type) if pa.types.is_list(kind) or pa.types.is_large_list(kind) else 0


def _leaf(kind: pa.DataType) -> pa.DataType:
    return _leaf(kind.value_type) if _depth(kind) else kind


def _listed(kind: pa.DataType, depth: int) -> pa.DataType:
    return pa.list_(_listed(kind, depth - 1)) if depth else kind


def _cast(column: _Column, wanted: pa.DataType) -> pa.Array:
    """Casts values, or lists of them, to another type; strings become numbers in CSV only."""
    target = _listed(wanted, _depth(column.values.type))
    leaf = _leaf(column.values.type)

    def works(part: pa.Array) -> bool:
        try:
            part.cast(target)
        except _CastError:
            return False
        return file_is_text or _is_text(leaf) == _is_text(wanted) or part.null_count == len(part)

    file_is_text = column.file.is_text
    if not works(column.values):
        index = first_failing(column.values, works)
        raise column.wrong(index, f"of the type {'string' if _is_text(wanted) else wanted}")
    return column.values.cast(target)


def _cast_lists(column: _Column, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_null(column.values.type):
        return column.values
    return _cast(column, wanted)


def _tensor(wanted: Input, column: _Column) -> Any:
    """A column as the array for an input: one value per row, or lists of equal lengths."""
    if (index := first_missing(column.values)) is not None:
        raise column.missing(index)
    flat, shape = _cast(column, _ARROW[wanted.dtype]), [len(column.values)]
    while _depth(flat.type):
        flat, length = _flattened(flat, shape, column)
        shape.append(length)
    if flat.null_count:
        raise column.missing(first_missing(flat) // max(1, int(np.prod(shape[1:]))))  # type: ignore[operator]
    array = np.array(flat.to_pylist(), dtype=object) if _is_text(flat.type) else flat.to_numpy(zero_copy_only=False)
    return _fitted(array.reshape(shape), wanted, column)


def _flattened(lists: pa.Array, shape: list[int], column: _Column) -> tuple[pa.Array, int]:
    """The elements of lists of equal lengths, and the length."""
    lengths = pc.list_value_length(lists)
    length = lengths[0].as_py()
    index = pc.index(pc.not_equal(pc.fill_null(lengths, -1), length if length is not None else -2), True).as_py()
    if index >= 0:
        row = index // max(1, int(np.prod(shape[1:])))
        raise column.wrong(row, f"a list as long as in row {column.first}")
    return lists.flatten(), length


def _fitted(array: Any, wanted: Input, column: _Column) -> Any:
    """The array with the input's rank: one value per row may stand for a list of one."""
    if wanted.shape is None:
        return array
    if array.ndim == len(wanted.shape) - 1 and wanted.shape[-1] in (1, -1):
        array = array[..., np.newaxis]
    sizes = wanted.shape[1:]
    if array.ndim != len(wanted.shape) or any(w not in (-1, s) for w, s in zip(sizes, array.shape[1:], strict=True)):
        raise DataError(
            f"{column.file.path}: the column {column.name!r} has the shape {list(array.shape[1:])} per row; "
            f"the input takes {list(sizes)}",
            fix=f"use values of type {dtype_name(wanted.dtype)} and that shape",
        )
    return array
