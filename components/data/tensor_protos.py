"""TensorProtos as NumPy arrays, and back, without TensorFlow: input is checked before any memory is allocated.

A few bytes can declare a shape of millions of values, which the last value fills. So callers set how much memory
tensors may take beyond what was sent, or read a single value.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import ml_dtypes
import numpy as np

from components.data.serving_stubs import tensor_pb2, types_pb2

MOST_FILLED = 1 << 30
"""The maximum number of bytes to fill a shape if the sender is trusted: a model's own files, responses."""

_STRING_BYTES = 24
"""The size of a string object in TensorFlow, besides its characters; short strings fit inside it."""

_KINDS: dict[int, tuple[Any, str]] = {
    types_pb2.DT_FLOAT: (np.float32, "float_val"),
    types_pb2.DT_DOUBLE: (np.float64, "double_val"),
    types_pb2.DT_HALF: (np.float16, "half_val"),
    types_pb2.DT_BFLOAT16: (ml_dtypes.bfloat16, "half_val"),
    types_pb2.DT_INT8: (np.int8, "int_val"),
    types_pb2.DT_INT16: (np.int16, "int_val"),
    types_pb2.DT_INT32: (np.int32, "int_val"),
    types_pb2.DT_INT64: (np.int64, "int64_val"),
    types_pb2.DT_UINT8: (np.uint8, "int_val"),
    types_pb2.DT_UINT16: (np.uint16, "int_val"),
    types_pb2.DT_UINT32: (np.uint32, "uint32_val"),
    types_pb2.DT_UINT64: (np.uint64, "uint64_val"),
    types_pb2.DT_BOOL: (np.bool_, "bool_val"),
    types_pb2.DT_COMPLEX64: (np.complex64, "scomplex_val"),
    types_pb2.DT_COMPLEX128: (np.complex128, "dcomplex_val"),
    types_pb2.DT_STRING: (np.object_, "string_val"),
}
"""The NumPy type of each TensorFlow type, and the field that holds its values if they are not packed as bytes."""

_STORED = {"half_val": np.uint16, "scomplex_val": np.float32, "dcomplex_val": np.float64}
"""The element types of fields that do not hold the values themselves: bits, or alternating real and imaginary parts."""

_PAIRS = ("scomplex_val", "dcomplex_val")


def dtype_name(dtype: int) -> str:
    """TensorFlow's name for a type: `float`, `string`, `int64`."""
    return types_pb2.DataType.Name(dtype).removeprefix("DT_").lower() if dtype in types_pb2.DataType.values() else "?"


def numpy_dtype(dtype: int) -> np.dtype | None:
    """The NumPy type of a TensorFlow type; None for one that cannot be sent (resources, quantized types)."""
    return np.dtype(_KINDS[dtype][0]) if dtype in _KINDS else None


def from_proto(proto: Any) -> Any:
    """A TensorProto as an array; strings become an array of bytes objects.

    As in TensorFlow, the last value fills the rest of the shape, or zeros if there is no value.

    Raises:
        ValueError: Type, shape and values do not match, or too many values would be filled.
    """
    return _from_proto(proto, MOST_FILLED)[0]


def from_protos(protos: Mapping[str, Any], most: int) -> dict[str, Any]:
    """The inputs of a request as arrays; see `from_proto`.

    Args:
        protos: The inputs by name.
        most: The maximum number of bytes for all inputs together, beyond the bytes that were sent.

    Raises:
        ValueError: As for `from_proto`; names the input.
    """
    found = {}
    for name in sorted(protos):
        try:
            found[name], filled = _from_proto(protos[name], most)
        except ValueError as error:
            raise ValueError(f'Input "{name}": {error}') from error
        most -= filled
    return found


def values_in(protos: Mapping[str, Any]) -> int:
    """The number of values in a request according to its shapes, including the filled ones."""
    return sum(prod(dim.size for dim in proto.tensor_shape.dim) for proto in protos.values())


def first_value(proto: Any) -> Any:
    """The first value of a tensor; bytes for a string. The shape and the other values are ignored.

    Raises:
        ValueError: The tensor has no value, or a type that cannot be sent.
    """
    kind, field = _kind(proto)
    size = np.dtype(kind).itemsize
    if proto.tensor_content and kind is not np.object_:
        values = np.frombuffer(proto.tensor_content[:size], kind)
    else:
        values = _unpacked(getattr(proto, field)[: 1 + (field in _PAIRS)], kind, field)
    if not len(values):
        raise ValueError("it has no value")
    return values[0]


def _from_proto(proto: Any, most: int) -> tuple[Any, int]:
    """The array, and the number of bytes that were filled in."""
    kind, field = _kind(proto)
    if proto.tensor_shape.unknown_rank:
        raise ValueError("its shape has no rank")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if shape and min(shape) < 0:
        raise ValueError(f"its shape {_shown(shape)} has a negative size")
    if len(shape) > 32:
        raise ValueError(f"its shape has {len(shape)} dimensions")
    values = _packed(proto, kind) if proto.tensor_content else _unpacked(getattr(proto, field), kind, field)
    return _filled(values, shape, most)


def _kind(proto: Any) -> tuple[Any, str]:
    if proto.dtype not in _KINDS:
        raise ValueError(f"tensors of type {dtype_name(proto.dtype)} cannot be sent")
    return _KINDS[proto.dtype]


def to_proto(array: np.ndarray, dtype: int, *, packed: bool = False) -> Any:
    """An array as a TensorProto.

    Args:
        array: The values; strings are bytes objects.
        dtype: The TensorFlow type.
        packed: Whether to send numbers as bytes, which is faster, or in the typed field, as TF Serving does.
    """
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    kind, field = _KINDS[dtype]
    flat = np.ascontiguousarray(array, kind).reshape(-1)
    if packed and kind is not np.object_:
        proto.tensor_content = flat.tobytes()
    else:
        stored = flat.view(_STORED[field]) if field in _STORED else flat
        getattr(proto, field).extend(stored.tolist())
    return proto


def _packed(proto: Any, kind: Any) -> Any:
    if kind is np.object_:
        raise ValueError("strings must be in string_val")
    if len(proto.tensor_content) % np.dtype(kind).itemsize:
        raise ValueError(f"its tensor_content of {len(proto.tensor_content)} bytes is not a whole number of values")
    return np.frombuffer(proto.tensor_content, kind)


def _unpacked(values: Any, kind: Any, field: str) -> Any:
    try:
        stored = np.array(values, _STORED.get(field, kind))
    except OverflowError as error:
        raise ValueError(f"a value is too large for {np.dtype(kind).name}") from error
    if field in _STORED and stored.nbytes % np.dtype(kind).itemsize:
        raise ValueError("a complex number has no imaginary part")
    return stored.view(kind) if field in _STORED else stored


def _filled(values: np.ndarray, shape: list[int], most: int) -> tuple[Any, int]:
    size = prod(shape)
    if len(values) > size:
        raise ValueError(f"it has {len(values)} values, but its shape {_shown(shape)} holds {size}")
    last = values[-1] if len(values) else b"" if values.dtype == object else 0
    each = _STRING_BYTES + len(last) if isinstance(last, bytes) else values.itemsize
    # A size of 0 does not make a shape safe: a sum over that dimension has the size of the others.
    if (prod(size or 1 for size in shape) - len(values)) * each > most:
        raise ValueError(f"its shape {_shown(shape)} needs more than {most >> 20} MiB beyond the values that were sent")
    if len(values) == size:
        return values.reshape(shape), 0
    filled = np.full(size, last, values.dtype)
    filled[: len(values)] = values
    return filled.reshape(shape), (size - len(values)) * each


def _shown(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape[:8]))}{',...' if len(shape) > 8 else ''}]"
