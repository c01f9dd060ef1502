"""The request logs of a model server as Arrow. They are TFRecords of PredictionLog; only the requests are read.

Requests become rows, each of them a tf.Example:

- Classify, Regress and MultiInference: the examples in the input, each merged with the context if there is one.
- Predict with a single string tensor of serialized tf.Examples: these examples.
- Predict with any other inputs: one row for each index of dimension 0, one feature for each input. Further dimensions
  are flattened, and a scalar applies to every row.

Session runs are skipped: they name tensors of a graph, not inputs.
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
"""The names of the types in a schema."""

_KINDS = {"int64_list": "INT", "float_list": "FLOAT", "bytes_list": "BYTES"}

_WIDER = {"bool": np.int64, "bfloat16": np.float32}

_LISTS = {"O": "bytes_list", "i": "int64_list", "u": "int64_list", "f": "float_list"}
"""The field of a tf.Example's feature for each NumPy type kind."""


_MOST_FILLED = 64 << 20
"""The maximum size of a record's decoded inputs in bytes, beyond the bytes that were sent; as for a request."""


class Row(NamedTuple):
    """A serialized tf.Example, and the log record that it came from."""

    file: Path
    record: int
    example: bytes


def is_log(record: bytes) -> bool:
    """Whether a record of a TFRecord file is the PredictionLog of a request, and not a tf.Example."""
    if tf_example.is_framed(record):
        return False
    try:
        log = _parsed(record)
    except ValueError:
        return False
    return any(map(_names_a_model, _requests(log)))


def examples(record: bytes) -> list[bytes]:
    """The rows of one record, as serialized tf.Examples; raises a ValueError if anything is wrong with it."""
    return list(_examples(record))


def read_rows(files: Iterable[Path]) -> Iterator[Row]:
    """The rows in the requests, in the order of the files and records.

    Raises:
        DataError: A file is damaged, or a record is not a PredictionLog or has inputs that do not form rows.
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
        files: The files; a feature must have the same type in all of them.
        columns: The features to read; default: all.
        batch_rows: The maximum number of rows in a batch.
        batch_bytes: A batch ends once its serialized rows exceed this size.
        schema: A serialized tensorflow_metadata Schema that determines features and types.

    Raises:
        DataError: As for `read_rows`; or a feature's type differs from the schema or from earlier records.
    """
    decoder = _Decoder(schema)
    for rows in tfrecord.chunks(read_rows(files), batch_rows, batch_bytes, size=lambda row: len(row.example)):
        batch = decoder.decode(rows)
        yield batch if columns is None else batch.select([name for name in columns if name in batch.schema.names])


class _Decoder:
    """Decodes rows to batches, and remembers the type of every feature."""

    def __init__(self, schema: bytes | None) -> None:
        from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

        self._decoder = ExamplesToRecordBatchDecoder(schema)
        self._has_schema = schema is not None
        self._types = _types(self._decoder.ArrowSchema()) if self._has_schema else {}

    def decode(self, rows: list[Row]) -> pa.RecordBatch:
        serialized = [row.example for row in rows]
        if found := tf_example.first_fault(serialized, merged=True):
            row, fault = rows[found[0]], found[1]
            fix = "send tf.Examples, and remove the logs of requests that sent anything else"
            raise DataError(f"{row.file}, record {row.record}: the request's example {fault}", fix=fix)
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
        """An error for the first row that does not fit. The search is slow, but happens only once."""
        fix = "send every feature with a single type, and remove the logs of requests that did not"
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
                where = "in the schema" if self._has_schema else "in earlier records"
                return f"the feature {name!r} is {kind}, but {self._types[name]} {where}"
        if not self._has_schema:
            self._types.update(kinds)
        return ""


def _types(schema: pa.Schema) -> dict[str, str]:
    """The types of features by name, without features that have no values."""
    named = {field.name: _TYPE_NAMES.get(_innermost(field.type), "") for field in schema}
    return {name: kind for name, kind in named.items() if kind}


def _innermost(kind: pa.DataType) -> pa.DataType:
    return _innermost(kind.value_type) if pa.types.is_large_list(kind) else kind


def _examples(record: bytes) -> Iterator[bytes]:
    """The rows of one record; raises a ValueError if anything is wrong with it."""
    for request in _requests(_parsed(record)):
        if not _names_a_model(request):
            raise ValueError("is not the PredictionLog of a request: it names no model")
        if hasattr(request, "inputs"):
            yield from _of_tensors(request.inputs)
        elif hasattr(request, "input"):
            yield from examples_in(request.input)


def _requests(log: Any) -> list[Any]:
    kind = log.WhichOneof("log_type")
    request = getattr(log, kind).request
    return list(request) if kind == "predict_streamed_log" else [request]


def _names_a_model(request: Any) -> bool:
    """Whether a request names a model: other messages may happen to parse, but they do not name one."""
    return any(one.model_spec.name for one in getattr(request, "tasks", [request]))


def _parsed(record: bytes) -> Any:
    # The stubs load TensorFlow, which readers of other payload formats do not need.
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    try:
        log = PredictionLog.FromString(record)
    except DecodeError as error:
        raise ValueError("is not a PredictionLog") from error
    if log.WhichOneof("log_type") is None:
        raise ValueError("is not the PredictionLog of a request")
    return log


def examples_in(given: Any) -> Iterator[bytes]:
    """The examples of a `tensorflow.serving.Input`."""
    if given.WhichOneof("kind") != "example_list_with_context":
        yield from (example.SerializeToString() for example in given.example_list.examples)
        return
    # Concatenated messages parse as one, in which the last value of a feature wins. TF Serving merges them this way.
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
            if all(map(tf_example.is_framed, values)):
                return values
    return _named(arrays)


def _cast(name: str, array: np.ndarray) -> np.ndarray:
    array = array.astype(_WIDER.get(array.dtype.name, array.dtype), copy=False)
    if array.dtype.kind not in _LISTS:
        raise ValueError(f"the input {name!r} is {array.dtype.name}, which a tf.Example cannot hold")
    return array


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
    """An input as one feature per row."""
    from tensorflow.core.example.feature_pb2 import Feature

    kind = _LISTS[array.dtype.kind]
    whole = array if array.ndim else np.broadcast_to(array, rows)
    for values in whole.reshape(rows, math.prod(whole.shape[1:])).tolist():
        try:
            yield Feature(**{kind: {"value": values}})
        except ValueError as error:
            raise ValueError(f"the input {name!r}: {error}") from error
