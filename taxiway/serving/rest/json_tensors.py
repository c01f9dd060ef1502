"""Tensors as JSON values: nested lists of numbers, booleans and strings, and `{"b64": "..."}` for bytes.

Well-formed values are converted as a whole. What is not is walked value by value as TF Serving does it, to say what
is wrong where.
"""

from __future__ import annotations

import base64
import binascii
from itertools import chain
from typing import Any

import grpc
import numpy as np
import orjson

from taxiway.serving.errors import ServingError
from taxiway.serving.rest.encoding import invalid, shown, type_name

NAMES = {
    "float32": "float", "float64": "double", "float16": "half", "object": "string",
    **{name: name for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")},
}  # fmt: skip
"""TensorFlow's names of NumPy's types; tensors of strings are arrays of objects."""

_IN_JSON = NAMES.keys() - {"float16"}
_RANGES = {
    dtype: range(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max) + 1)
    for dtype in map(np.dtype, ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"))
}
_MAX_RANK = 64
"""NumPy's limit."""

_PYTHON_TYPES: dict[str, set[type]] = {"f": {int, float}, "i": {int}, "u": {int}, "b": {bool}}


def dtype_name(dtype: np.dtype) -> str:
    """TensorFlow's name of a type, as TF Serving's messages have it."""
    return NAMES.get(dtype.name, dtype.name)


def is_b64(value: Any) -> bool:
    """Whether a value is `{"b64": "<string>"}`."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def decode_b64(value: dict[str, Any]) -> bytes:
    """The bytes of `{"b64": "<string>"}`; the padding may be missing, and spaces are skipped.

    Raises:
        ServingError: INVALID_ARGUMENT: not of that form, or not base64.
    """
    if not is_b64(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    text = value["b64"]
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        compact = "".join(text.split()).rstrip("=")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError as error:
        raise invalid("Unable to base64 decode") from error


def _shape(value: Any) -> tuple[int, ...]:
    shape = []
    while type(value) is list:
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _leaf_types(value: Any) -> set[type]:
    """The types of all values at the level of the first one, seen without a step of Python for each."""
    rank = len(_shape(value))
    if rank == 0:
        return {type(value)}
    for _ in range(rank - 1):
        value = chain.from_iterable(value)
    return set(map(type, value))


def _numbers(value: Any, dtype: np.dtype) -> np.ndarray:
    # NumPy alone would take a boolean for a number, and a list with one long string for an array of such strings.
    if not _leaf_types(value) <= _PYTHON_TYPES[dtype.kind]:
        raise ValueError
    with np.errstate(over="ignore"):  # infinite, as in TF Serving
        array: np.ndarray = np.array(value, dtype)
    return array


def _strings(value: Any) -> np.ndarray:
    array: np.ndarray = np.empty((), object)
    array[()] = value
    if type(value) is list:
        array = np.array(value, object)
    flat = array.ravel().tolist()
    if array.shape != _shape(value) or not set(map(type, flat)) <= {str, dict}:
        raise ValueError
    encoded = [text.encode() if type(text) is str else decode_b64(text) for text in flat]
    return shaped(array.shape, encoded, array.dtype)


def shaped(shape: tuple[int, ...], flat: list[Any], dtype: np.dtype) -> np.ndarray:
    """The array of a shape and its values in order."""
    array: np.ndarray = np.empty(len(flat), dtype)
    with np.errstate(over="ignore"):
        array[:] = flat
    return array.reshape(shape)


def _is_number(value: Any, dtype: np.dtype) -> bool:
    if type(value) not in _PYTHON_TYPES[dtype.kind]:
        return False
    return dtype not in _RANGES or value in _RANGES[dtype]


def _cell(value: Any, dtype: np.dtype) -> Any:
    name = dtype_name(dtype)
    if type(value) is dict and name == "string":
        return decode_b64(value)
    if type(value) is not dict and dtype.name not in _IN_JSON:
        raise ServingError(grpc.StatusCode.UNIMPLEMENTED, f"Conversion of JSON Value: {shown(value)} to type: {name}")
    if type(value) is str and name == "string":
        return value.encode()
    if type(value) is dict or name == "string" or not _is_number(value, dtype):
        raise invalid(f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: {name}")
    return value


def _fill(value: Any, level: int, shape: tuple[int, ...], dtype: np.dtype, flat: list[Any]) -> None:
    if type(value) is not list:
        if level != len(shape):
            raise invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        flat.append(_cell(value, dtype))
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for element in value:
        _fill(element, level + 1, shape, dtype, flat)


def at_once(value: Any, dtype: np.dtype) -> np.ndarray | None:
    """The array of a well-formed value, or None where it has to be walked."""
    if dtype.name not in _IN_JSON:
        return None
    try:
        return _strings(value) if dtype.kind == "O" else _numbers(value, dtype)
    except (ValueError, TypeError, OverflowError, ServingError):
        return None


def flattened(value: Any, dtype: np.dtype) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of a value and what it holds, converted value by value.

    Raises:
        ServingError: INVALID_ARGUMENT: a value of another type, out of the type's range, or lists that are not
            rectangular; UNIMPLEMENTED: a type that has no form in JSON.
    """
    shape = _shape(value)
    if len(shape) > _MAX_RANK:
        raise invalid(f"Encountered list at unexpected level: {_MAX_RANK} expected < {_MAX_RANK}")
    flat: list[Any] = []
    _fill(value, 0, shape, dtype, flat)
    return shape, flat


def from_json(value: Any, dtype: np.dtype) -> np.ndarray:
    """The array of a value: a scalar or a nested list. Raises what `flattened` raises."""
    array = at_once(value, dtype)
    return shaped(*flattened(value, dtype), dtype) if array is None else array


def is_finite(array: np.ndarray) -> bool:
    """Whether an array holds neither NaN nor an infinity."""
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _text(value: bytes | str, name: str) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise invalid(
            f"Failed to write JSON value for tensor: {name} holds bytes that are not UTF-8 text. "
            "An output whose name ends with _bytes is written as base64"
        ) from error


def _string_cells(array: np.ndarray, name: str) -> list[Any]:
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in array.ravel().tolist()]
    return [_text(value, name) for value in array.ravel().tolist()]


def to_python(array: np.ndarray, name: str) -> Any:
    """An array as nested lists (a scalar as itself) of what JSON can hold; `name` is the output's, see `to_json`.

    A float32 becomes the double whose shortest decimal is its own: 0.2, not 0.20000000298.
    """
    if array.dtype.kind == "O":
        return shaped(array.shape, _string_cells(array, name), array.dtype).tolist()
    if array.dtype.name == "float32":
        return array.astype("U32").astype(np.float64).tolist() if not is_finite(array) else _shortest(array)
    return array.tolist()


def _shortest(array: np.ndarray) -> Any:
    return orjson.loads(orjson.dumps(to_orjson(array), option=orjson.OPT_SERIALIZE_NUMPY))


def to_orjson(array: np.ndarray) -> Any:
    """A finite array of numbers as orjson takes it."""
    return np.ascontiguousarray(array) if array.ndim else array[()]


def check_writable(array: np.ndarray) -> None:
    """Raises INVALID_ARGUMENT where a type has no form in JSON."""
    if array.dtype.name not in _IN_JSON:
        raise invalid(f"Failed to write JSON value for tensor type: {dtype_name(array.dtype)}")
