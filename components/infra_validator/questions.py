"""The requests for a candidate: real examples, in the form that each signature takes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2, regression_pb2

from components.contract.artifacts import Examples
from components.contract.errors import DataError, UserError
from components.data.examples import encode_tf_examples, read_batches, require_splits
from components.execution.pushed_models import SAVED_MODEL
from components.infra_validator.servers.server import MODEL_NAME

Signature: TypeAlias = meta_graph_pb2.SignatureDef
Request: TypeAlias = (
    predict_pb2.PredictRequest | classification_pb2.ClassificationRequest | regression_pb2.RegressionRequest
)
_EXAMPLE_REQUESTS = {
    "tensorflow/serving/classify": classification_pb2.ClassificationRequest,
    "tensorflow/serving/regress": regression_pb2.RegressionRequest,
}


@dataclass(frozen=True)
class Question:
    """A request.

    Attributes:
        signature: The signature that it calls.
        request: The message to send.
        rows: The number of examples in it.
        is_timed: Whether its latency is measured, as it is for requests with the fewest examples that are possible.
    """

    signature: str
    request: Request
    rows: int
    is_timed: bool


class UnaskableError(Exception):
    """The examples lack what a signature needs."""


def signatures(saved_model: Path) -> dict[str, Signature]:
    """The signatures of a SavedModel's serving graph by name, without those that TensorFlow adds for itself."""
    parsed = saved_model_pb2.SavedModel.FromString((saved_model / SAVED_MODEL).read_bytes())
    served = (graph for graph in parsed.meta_graphs if tf.saved_model.SERVING in graph.meta_info_def.tags)
    found = next(served, meta_graph_pb2.MetaGraphDef()).signature_def
    return {name: found[name] for name in sorted(found) if not name.startswith("__")}


def read_examples(examples: Examples, splits: list[str], count: int) -> pa.RecordBatch:
    """The first rows in some splits, in TFXIO's form.

    Raises:
        UserError: There is no such split.
        DataError: The splits have no rows.
    """
    for split in require_splits(examples, splits):
        for batch in read_batches(examples, split, batch_rows=count):
            if batch.num_rows:
                return batch.slice(0, count)
    raise DataError(f"the splits {', '.join(splits)} of {examples.path} have no rows to send")


def questions(there: Mapping[str, Signature], wanted: list[str], rows: pa.RecordBatch) -> list[Question]:
    """The requests for every wanted signature; default: for every signature whose inputs the rows have.

    Raises:
        UserError: A wanted signature does not exist or needs inputs that the rows lack; or no signature can be called.
    """
    for name in wanted:
        if name not in there:
            raise UserError(f"the model has no signature {name!r}", fix=f"its signatures: {', '.join(there)}")
    found, refused = list[Question](), list[str]()
    for name in wanted or there:
        try:
            found += _asked(name, there[name], rows)
        except UnaskableError as reason:
            refused.append(f"the signature {name!r} {reason}")
    if refused and (wanted or not found):
        raise UserError("; ".join(refused), fix="set other `signatures`, or provide examples with these columns")
    for line in refused:
        print(f"infra_validator: not called: {line}", flush=True)
    return found


def _asked(name: str, signature: Signature, rows: pa.RecordBatch) -> list[Question]:
    """A request for each example and one for all, or requests of the signature's fixed batch size if it has one."""
    request_of = _request_maker(name, signature, rows)
    size = _settled_rows(signature)
    if size > rows.num_rows:
        raise UnaskableError(f"takes {size} examples at a time, but there are only {rows.num_rows}")
    step = max(size, 1)
    chunks = [rows.slice(start, step) for start in range(0, rows.num_rows - step + 1, step)]
    timed = [Question(name, request_of(chunk), step, is_timed=True) for chunk in chunks]
    return timed if size else [*timed, Question(name, request_of(rows), rows.num_rows, is_timed=False)]


def _settled_rows(signature: Signature) -> int:
    shapes = (info.tensor_shape for info in signature.inputs.values())
    sizes = (shape.dim[0].size for shape in shapes if not shape.unknown_rank and shape.dim)
    return max(0, next(sizes, 0))


def _request_maker(name: str, signature: Signature, rows: pa.RecordBatch) -> Any:
    if kind := _EXAMPLE_REQUESTS.get(signature.method_name):
        return lambda chunk: _example_request(kind, name, chunk)
    if set(signature.inputs) <= set(rows.schema.names) and signature.inputs:
        return lambda chunk: _predict_request(
            name, {key: _tensor(key, info, chunk.column(key)) for key, info in signature.inputs.items()}
        )
    if takes_serialized(signature):
        [(key, info)] = signature.inputs.items()
        return lambda chunk: _predict_request(
            name, {key: _shaped(key, info, np.array(encode_tf_examples(chunk), object)[:, None])}
        )
    missing = sorted(set(signature.inputs) - set(rows.schema.names))
    raise UnaskableError(f"takes {', '.join(missing)}, which the examples lack" if missing else "takes no inputs")


def takes_serialized(signature: Signature) -> bool:
    """Whether a signature seems to take serialized tf.Examples: its only input is a tensor of strings."""
    return [info.dtype for info in signature.inputs.values()] == [tf.string.as_datatype_enum]


def _example_request(kind: Any, name: str, rows: pa.RecordBatch) -> Request:
    request = kind()
    request.model_spec.name, request.model_spec.signature_name = MODEL_NAME, name
    for record in encode_tf_examples(rows):
        request.input.example_list.examples.add().ParseFromString(record)
    typed: Request = request
    return typed


def _predict_request(name: str, inputs: Mapping[str, Any]) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = MODEL_NAME, name
    for key, tensor in inputs.items():
        request.inputs[key].CopyFrom(tensor)
    return request


def _tensor(key: str, info: meta_graph_pb2.TensorInfo, column: pa.Array) -> Any:
    """A column as the tensor for an input; missing values become 0 or empty strings."""
    dtype = tf.as_dtype(info.dtype)
    lists = [row or [] for row in column.to_pylist()]
    width = max(1, *map(len, lists))
    text = dtype == tf.string
    if text != any(isinstance(value, bytes) for value in itertools.chain(*lists)) and any(lists):
        raise UnaskableError(f"takes {dtype.name} as {key}, but the examples have {column.type.value_type}")
    padded = [[*row, *[b"" if text else 0] * (width - len(row))] for row in lists]
    return _shaped(key, info, np.array(padded, object if text else dtype.as_numpy_dtype))


def _shaped(key: str, info: meta_graph_pb2.TensorInfo, values: Any) -> Any:
    """Values `[rows, width]` in the shape of an input with one or two dimensions."""
    shape = info.tensor_shape
    rank = 1 if shape.unknown_rank else len(shape.dim)
    if rank not in (1, 2):
        raise UnaskableError(f"takes a tensor of {rank} dimensions as {key}, but examples have one or two")
    if rank == 1:
        values = values[:, 0]
    elif shape.dim[1].size >= 0:
        values = _widened(values, shape.dim[1].size)
    return tf.make_tensor_proto(values, info.dtype, values.shape)


def _widened(values: Any, width: int) -> Any:
    filler = b"" if values.dtype == object else 0
    missing = max(0, width - values.shape[1])
    return np.pad(values[:, :width], ((0, 0), (0, missing)), constant_values=filler)
