"""Requests and answers as rows of the inference table, hundreds at a time.

Requests with equal names, types and ranks are converted together; their tf.Examples are parsed in one call.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from components.data import tf_example
from components.inference import arrays
from components.inference.arrays import Rows
from components.inference.columns import INPUT, OUTPUT, REQUEST
from components.inference.conflicts import UNTYPED, fitted
from components.inference.requests import NOTHING, Content, Request, Tensors

UNREADABLE = "unreadable"
"""The reason for inputs that are left out: tf.Examples that cannot be parsed."""

_OF_REQUEST = [name for name in REQUEST.names if name not in ("row", "time", "date")]
_TYPES = {"INT": 2, "FLOAT": 3, "BYTES": 1}


class Made(NamedTuple):
    """Rows, and how many requests were recorded without their inputs and outputs, by reason."""

    rows: pa.Table
    left_out: Counter[str]


class Maker:
    """Makes rows of the requests to one signature.

    Args:
        features: The types of the features that the model parses, INT, FLOAT or BYTES, by name; None or none if nobody
            knows, which keeps all features that are sent.
    """

    def __init__(self, features: Mapping[str, str] | None = None) -> None:
        self._schema = _schema(features) if features else None
        self._decoder = self._new_decoder()
        self._are_examples = bool(features)

    def _new_decoder(self) -> Any:
        from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

        return ExamplesToRecordBatchDecoder(self._schema)

    def make(self, requests: Sequence[Request]) -> Made:
        """The rows of requests, in no order."""
        left_out = Counter[str]()
        made = [table for group in _grouped(requests) for table in self._made(group, left_out)]
        return Made(joined(made), left_out)

    def _made(self, group: list[Request], left_out: Counter[str]) -> list[pa.Table]:
        """The rows of a group; those that cannot be read are found by halving it."""
        try:
            return [self._table(group)]
        except (RuntimeError, ValueError, TypeError):
            if len(group) > 1:
                half = len(group) // 2
                return [*self._made(group[:half], left_out), *self._made(group[half:], left_out)]
        left_out[UNREADABLE] += 1
        [only] = group
        only.content = NOTHING
        return [self._table(group)]

    def _table(self, group: list[Request]) -> pa.Table:
        first = group[0].content
        counts = [_row_count(request.content.inputs) for request in group]
        rows = Rows(np.array(counts))
        if _holds_examples(group, self._are_examples):
            [name] = first.inputs
            inputs = self._features([request.content.inputs[name] for request in group])
        else:
            inputs = _columns([request.content.inputs for request in group], rows, counts[0])
        outputs = _columns([request.content.outputs for request in group], rows, counts[0])
        fields = _facts(group, rows)
        metadata = UNTYPED if first.is_untyped else None
        for prefix, found in ((INPUT, inputs), (OUTPUT, outputs)):
            for name, column in found.items():
                fields[pa.field(prefix + name, column.type, metadata=_if_number(column, metadata))] = column
        return pa.table(list(fields.values()), schema=pa.schema(list(fields)))

    def _features(self, tensors: Sequence[np.ndarray]) -> dict[str, pa.Array]:
        examples: list[bytes] = np.concatenate([tensor.reshape(-1) for tensor in tensors]).tolist()
        try:
            batch = self._decoder.DecodeBatch(examples)
        except RuntimeError:
            # A decoder that has refused a tf.Example mixes what it has read of it into later batches.
            self._decoder = self._new_decoder()
            raise
        found = {field.name: batch.column(field.name) for field in batch.schema if not pa.types.is_null(field.type)}
        return {name: arrays.of_feature(column) for name, column in found.items()}


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several tables; a value of another type than its column's goes to a column of its own."""
    schema, found = pa.schema([]), list[pa.Table]()
    for table in tables:
        table = fitted(table, schema)
        schema = pa.unify_schemas([schema, table.schema])
        found.append(table)
    return pa.concat_tables(found, promote_options="default") if found else REQUEST.empty_table()


def _schema(features: Mapping[str, str]) -> bytes:
    """A serialized Schema of tensorflow_metadata with features of the types INT, FLOAT or BYTES."""
    from tensorflow_metadata.proto.v0 import schema_pb2

    made = schema_pb2.Schema()
    for name, kind in sorted(features.items()):
        made.feature.add(name=name, type=_TYPES[kind])
    serialized: bytes = made.SerializeToString()
    return serialized


def _if_number(column: pa.Array, metadata: Mapping[bytes, bytes] | None) -> Mapping[bytes, bytes] | None:
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    return metadata if pa.types.is_floating(kind) else None


def _grouped(requests: Sequence[Request]) -> Iterable[list[Request]]:
    """The requests that are converted together; most have a shape that was seen before."""
    shapes: dict[Hashable, list[Request]] = defaultdict(list)
    for request in requests:
        shapes[_shape(request.content)].append(request)
    groups: dict[Hashable, list[Request]] = defaultdict(list)
    for alike in shapes.values():
        groups[_structure(alike[0].content)].extend(alike)
    return groups.values()


def _shape(content: Content) -> Hashable:
    inputs, outputs, are_examples, is_untyped = content
    asked = [(name, array.dtype.num, array.shape) for name, array in inputs.items()]
    answered = [(name, array.dtype.num, array.shape) for name, array in outputs.items()]
    return tuple(asked), tuple(answered), are_examples, is_untyped


def _structure(content: Content) -> Hashable:
    """What requests that are converted together have in common."""
    rows = _row_count(content.inputs)
    return content.are_examples, content.is_untyped, *_kinds(content.inputs, rows), None, *_kinds(content.outputs, rows)


def _kinds(tensors: Tensors, rows: int) -> list[tuple[Any, ...]]:
    return [(name, tensors[name].dtype, arrays.layout(tensors[name], rows)) for name in sorted(tensors)]


def _row_count(inputs: Tensors) -> int:
    """The number of rows: the common first dimension of all inputs; 1 if they have none, or no rows."""
    sizes = {len(array) for array in inputs.values() if array.ndim}
    return max(sizes.pop(), 1) if len(sizes) == 1 else 1


def _holds_examples(group: Sequence[Request], are_parsed: bool) -> bool:
    """Whether the only input holds serialized tf.Examples, one per row."""
    first = group[0].content
    if len(first.inputs) != 1:
        return False
    [(name, tensor)] = first.inputs.items()
    if tensor.dtype != object or not tensor.ndim or any(_is_odd(each.content.inputs[name]) for each in group):
        return False
    return (
        are_parsed
        or first.are_examples
        or all(
            tf_example.is_framed(value) for each in group for value in each.content.inputs[name].reshape(-1).tolist()
        )
    )


def _is_odd(tensor: np.ndarray) -> bool:
    return not tensor.size or tensor.size != len(tensor)


def _columns(tensors: Sequence[Tensors], rows: Rows, first_rows: int) -> dict[str, pa.Array]:
    found = {}
    for name in sorted(tensors[0]):
        how = arrays.layout(tensors[0][name], first_rows)
        found[name] = arrays.column([each[name] for each in tensors], rows, how)
    return found


def _facts(group: Sequence[Request], rows: Rows) -> dict[pa.Field, pa.Array]:
    """What is known of each request, for each of its rows."""
    micros = np.array([request.time for request in group]) * 1e6
    found = {"time": pa.array(micros.astype(np.int64)).cast(pa.timestamp("us", "UTC"))}
    for name in _OF_REQUEST:
        found[name] = pa.array(list(map(attrgetter(name), group)), REQUEST.field(name).type)
    places = pa.array(rows.requests)
    repeated = {name: array if len(rows.counts) == len(places) else array.take(places) for name, array in found.items()}
    repeated["row"] = pa.array(rows.numbers, pa.int32())
    return {REQUEST.field(name).remove_metadata(): array for name, array in repeated.items()}
