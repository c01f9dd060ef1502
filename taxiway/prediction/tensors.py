"""TensorProto and NumPy arrays, without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from taxiway.serving_stubs import tensor_pb2, types_pb2

_NUMPY: dict[int, Any] = {
    types_pb2.DT_FLOAT: np.float32,
    types_pb2.DT_DOUBLE: np.float64,
    types_pb2.DT_HALF: np.float16,
    types_pb2.DT_INT8: np.int8,
    types_pb2.DT_INT16: np.int16,
    types_pb2.DT_INT32: np.int32,
    types_pb2.DT_INT64: np.int64,
    types_pb2.DT_UINT8: np.uint8,
    types_pb2.DT_UINT16: np.uint16,
    types_pb2.DT_UINT32: np.uint32,
    types_pb2.DT_UINT64: np.uint64,
    types_pb2.DT_BOOL: np.bool_,
}
_VALUES = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
}
"""The field that holds the values where they are not packed as bytes; `int_val` for the other integers."""


def dtype_name(dtype: int) -> str:
    """A type as people write it: `float32`, `string`."""
    return "string" if dtype == types_pb2.DT_STRING else np.dtype(_NUMPY[dtype]).name if dtype in _NUMPY else str(dtype)


def to_proto(array: Any, dtype: int) -> Any:
    """An array of numbers, or of bytes, as a TensorProto."""
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if dtype == types_pb2.DT_STRING:
        proto.string_val.extend(array.reshape(-1).tolist())
    else:
        proto.tensor_content = np.ascontiguousarray(array, _NUMPY[dtype]).tobytes()
    return proto


def from_proto(proto: Any) -> Any:
    """A TensorProto as an array; texts are an array of bytes objects.

    Raises:
        ValueError: Its type is none of numbers, booleans and strings, or its values do not fill its shape.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.dtype == types_pb2.DT_STRING:
        return _filled(np.array(proto.string_val, dtype=object), shape)
    if proto.dtype not in _NUMPY:
        raise ValueError(f"tensors of type {types_pb2.DataType.Name(proto.dtype)} are not read")
    kind = _NUMPY[proto.dtype]
    if proto.tensor_content:
        return np.frombuffer(proto.tensor_content, kind).reshape(shape)
    if proto.dtype == types_pb2.DT_HALF:
        return _filled(np.array(proto.half_val, np.uint16).view(np.float16), shape)
    return _filled(np.array(getattr(proto, _VALUES.get(proto.dtype, "int_val")), kind), shape)


def _filled(values: Any, shape: list[int]) -> Any:
    """The values in a shape; where there are fewer, the last one fills the rest, as in TensorFlow."""
    missing = int(np.prod(shape)) - len(values)
    if missing > 0 and len(values):
        values = np.concatenate([values, np.repeat(values[-1:], missing)])
    return values.reshape(shape)
