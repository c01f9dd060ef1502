"""Request logs of a model server as Arrow: TFRecords of PredictionLog, of which the requests are read.

What was asked becomes rows, each a tf.Example:

- Classify, Regress and MultiInference: the examples of the input, each with the context where there is one.
- Predict with one string tensor of serialized tf.Examples: those.
- Predict with any other inputs: a row for each entry of dimension 0, a feature for each input; further dimensions are
  flattened, and a scalar holds for every row.

Session runs are passed over: they name tensors of a graph, not inputs.
Source: tensorflow/serving, `apis/prediction_log.proto` and `apis/input.proto`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from components.contract.errors import DataError
from components.data import tf_example, tfrecord

_TYPE_NAMES = {pa.int64(): "INT", pa.float32(): "FLOAT", pa.large_binary(): "BYTES"}
"""A schema's names of types."""

_KINDS = {"int64_list": "INT", "float_list": "FLOAT", "bytes_list": "BYTES"}

_WIDER = {"bool": np.int64, "bfloat16": np.float32}

_LISTS = {"O": "bytes_list", "i": "int64_list", "u": "int64_list", "f": "float_list"}
"""The list of a feature by NumPy's kind of type."""


_MOST_FILLED = 64 << 20
"""The most bytes that the inputs of a record take beyond what was sent: as much as a request may have."""


class Row(NamedTuple):
    """A serialized tf.Example, and the log record that it was asked in."""

    file: Path
    record: int
    example: bytes


def is_log(record: bytes) -> bool:
    """Whether a record of some TFRecord file is a PredictionLog of a request, and no tf.Example."""
    if _is_example(record):
        return False
    try:
        log = _parsed(record)
    except ValueError:
        return False
    return any(map(_names_a_model, _requests(log)))


def read_rows(files: Iterable[Path]) -> Iterator[Row]:
    """The rows that were asked for, in the order of the files and their records.

    Raises:
        DataError: A file is damaged, or a record is no PredictionLog or has inputs that do not make rows.
    """
    for file in files:
        for number, record in enumerate(tfrecord.read_records(file), 1):
            try:
                yield from (Row(file, number, example) for example in _examples(record))
            except ValueError as error:
                raise DataError(
                    f"{file}, record {number}: {error}", fix="remove the file from the logs, or write it again"
                ) from error


def read_batches(
    files: Sequence[Path], columns: list[str] | None, batch_rows: int, batch_bytes: int, schema: bytes | None
) -> Iterator[pa.RecordBatch]:
    """Streams the rows of log files in TFXIO's form.

    Args:
        files: The files; a feature has one type in all of them.
        columns: The features to read; all by default.
        batch_rows: The most rows in a batch.
        batch_bytes: A batch ends when its serialized rows are longer.
        schema: A serialized tensorflow_metadata Schema, to settle features and types.

    Raises:
        DataError: As `read_rows`, or a feature has another type than in records before or in the schema.
    """
    decoder = _Decoder(schema)
    for rows in _chunks(read_rows(files), batch_rows, batch_bytes):
        batch = decoder.decode(rows)
        yield batch if columns is None else batch.select([name for name in columns if name in batch.schema.names])


def _chunks(rows: Iterator[Row], most_rows: int, most_bytes: int) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    held = 0
    for row in rows:
        chunk.append(row)
        held += len(row.example)
        if len(chunk) == most_rows or held > most_bytes:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


class _Decoder:
    """Turns rows into batches, and remembers the type of every feature."""

    def __init__(self, schema: bytes | None) -> None:
        from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

        self._decoder = ExamplesToRecordBatchDecoder(schema)
        self._has_schema = schema is not None
        self._types = _types(self._decoder.ArrowSchema()) if self._has_schema else {}

    def decode(self, rows: list[Row]) -> pa.RecordBatch:
        serialized = [row.example for row in rows]
        if found := tf_example.first_fault(serialized, merged=True):
            row, fault = rows[found[0]], found[1]
            fix = "send tf.Examples, and set apart the logs of requests that sent something else"
            raise DataError(f"{row.file}, record {row.record}: what was asked {fault}", fix=fix)
        try:
            batch = self._decoder.DecodeBatch(serialized)
        except RuntimeError as error:
            raise self._error(rows, str(error)) from error
        types = _types(batch.schema)
        if any(self._types.get(name, kind) != kind for name, kind in types.items()):
            raise self._error(rows, "a feature changes its type")
        self._types.update(types)
        return batch

    def _error(self, rows: list[Row], otherwise: str) -> DataError:
        """Looks for the first row that does not fit: slow, and done once."""
        fix = "send every feature with one type, and set apart the logs of requests that did not"
        for row in rows:
            if wrong := self._wrong(row.example):
                return DataError(f"{row.file}, record {row.record}: {wrong}", fix=fix)
        first, last = rows[0], rows[-1]
        where = f"{first.file}, record {first.record}, to {last.file}, record {last.record}"
        return DataError(f"{where}: {otherwise}", fix=fix)

    def _wrong(self, serialized: bytes) -> str:
        kinds = {name: _KINDS[kind] for name, kind in tf_example.kinds(serialized).items()}
        for name, kind in kinds.items():
            if self._types.get(name, kind) != kind:
                said = f"the schema says {self._types[name]}" if self._has_schema else f"{self._types[name]} before"
                return f"the feature {name!r} is {kind}, and {said}"
        if not self._has_schema:
            self._types.update(kinds)
        return ""


def _types(schema: pa.Schema) -> dict[str, str]:
    """The types of features by name; one without a value has none."""
    named = {field.name: _TYPE_NAMES.get(_innermost(field.type), "") for field in schema}
    return {name: kind for name, kind in named.items() if kind}


def _innermost(kind: pa.DataType) -> pa.DataType:
    return _innermost(kind.value_type) if pa.types.is_large_list(kind) else kind


def _examples(record: bytes) -> Iterator[bytes]:
    """The rows of one record; what is wrong with it is raised as a ValueError."""
    for request in _requests(_parsed(record)):
        if not _names_a_model(request):
            raise ValueError("is no PredictionLog of a request: it names no model")
        if hasattr(request, "inputs"):
            yield from _of_tensors(request.inputs)
        elif hasattr(request, "input"):
            yield from _of_input(request.input)


def _requests(log: Any) -> list[Any]:
    kind = log.WhichOneof("log_type")
    request = getattr(log, kind).request
    return list(request) if kind == "predict_streamed_log" else [request]


def _names_a_model(request: Any) -> bool:
    """Other messages may happen to parse; they do not happen to name a model."""
    return any(one.model_spec.name for one in getattr(request, "tasks", [request]))


def _parsed(record: bytes) -> Any:
    # The stubs load TensorFlow, which readers of other payload formats do without.
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    try:
        log = PredictionLog.FromString(record)
    except DecodeError as error:
        raise ValueError("is no PredictionLog") from error
    if log.WhichOneof("log_type") is None:
        raise ValueError("is no PredictionLog of a request")
    return log


def _of_input(given: Any) -> Iterator[bytes]:
    """The examples of a `tensorflow.serving.Input`."""
    if given.WhichOneof("kind") != "example_list_with_context":
        yield from (example.SerializeToString() for example in given.example_list.examples)
        return
    # Messages in a row are one message, in which the later value of a feature holds: so TF Serving merges them.
    context = given.example_list_with_context.context.SerializeToString()
    yield from (context + example.SerializeToString() for example in given.example_list_with_context.examples)


def _of_tensors(inputs: Mapping[str, Any]) -> Iterable[bytes]:
    from components.data import tensor_protos

    arrays = tensor_protos.from_protos(inputs, _MOST_FILLED)
    arrays = {name: _cast(name, arrays[name]) for name in sorted(arrays)}
    if len(arrays) == 1:
        [array] = arrays.values()
        if array.dtype == object and array.ndim and array.size == len(array):
            values: list[bytes] = array.ravel().tolist()
            if all(map(_is_example, values)):
                return values
    return _named(arrays)


def _cast(name: str, array: np.ndarray) -> np.ndarray:
    array = array.astype(_WIDER.get(array.dtype.name, array.dtype), copy=False)
    if array.dtype.kind not in _LISTS:
        raise ValueError(f"the input {name!r} is {array.dtype.name}, which is no type of a feature")
    return array


def _is_example(value: bytes) -> bool:
    """Whether bytes have the frame of a serialized tf.Example: one field 1 with all that there is, or nothing.

    A text or an image does not begin with a byte 10 and its own length.
    """
    if not value:
        return True
    length, shift = 0, 0
    for position, byte in enumerate(value[1:11], 2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value[0] == 0x0A and position + length == len(value)
    return False


def _named(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    sizes = {name: len(array) for name, array in arrays.items() if array.ndim}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name!r} {size}" for name, size in sizes.items())
        raise ValueError(f"the inputs have different numbers of rows: {shown}")
    rows = next(iter(sizes.values()), 1)
    columns = [_features(name, array, rows) for name, array in arrays.items()]
    for features in zip(*columns, strict=True):
        yield _example(dict(zip(arrays, features, strict=True)))


def _example(features: Mapping[str, Any]) -> bytes:
    from tensorflow.core.example.example_pb2 import Example
    from tensorflow.core.example.feature_pb2 import Features

    serialized: bytes = Example(features=Features(feature=features)).SerializeToString()
    return serialized


def _features(name: str, array: np.ndarray, rows: int) -> Iterator[Any]:
    """An input as the feature of each row."""
    from tensorflow.core.example.feature_pb2 import Feature

    kind = _LISTS[array.dtype.kind]
    whole = array if array.ndim else np.broadcast_to(array, rows)
    for values in whole.reshape(rows, math.prod(whole.shape[1:])).tolist():
        try:
            yield Feature(**{kind: {"value": values}})
        except ValueError as error:
            raise ValueError(f"the input {name!r}: {error}") from error
