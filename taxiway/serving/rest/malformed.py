"""Parses the JSON of requests value by value, to report what is wrong and where, with TF Serving's messages.

Only for malformed requests; `bodies` converts well-formed ones as a whole, to the same arrays.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Any, NoReturn

import grpc
import numpy as np

from taxiway.serving.errors import ServingError

Dtypes = Mapping[str, np.dtype]
"""The types of a signature's inputs, by name."""

NAMES = {
    "float32": "float", "float64": "double", "float16": "half", "object": "string",
    **{name: name for name in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")},
}  # fmt: skip
"""TensorFlow's names of NumPy types; string tensors are arrays of objects."""

IN_JSON = NAMES.keys() - {"float16"}
_RANGES = {
    dtype: range(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max) + 1)
    for dtype in map(np.dtype, ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"))
}
_MAX_RANK = 64
"""NumPy's limit."""

PYTHON_TYPES: dict[str, set[type]] = {"f": {int, float}, "i": {int}, "u": {int}, "b": {bool}}
"""The Python types of JSON values that are allowed for each kind of NumPy type."""

_DEBUG_CHARACTERS = 256

_TYPES = {type(None): "Null", bool: "", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}

# Python's error messages and those of RapidJSON, TF Serving's parser.
_PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma, } or ] after a member or element.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Extra data": "The document root must not be followed by other values.",
}


def invalid(message: str) -> ServingError:
    """An INVALID_ARGUMENT error, HTTP status 400."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def type_name(value: Any) -> str:
    """RapidJSON's name for a value's type: `Null`, `False`, `True`, `Object`, `Array`, `String` or `Number`."""
    return _TYPES[type(value)] or str(value)


def shown(value: Any) -> str:
    """A value as JSON on one line, for error messages, truncated to 256 characters."""
    pieces = json.JSONEncoder(ensure_ascii=False).iterencode(value)
    # Each piece has at least one character, so a large value is not encoded as a whole.
    return "".join(islice(pieces, _DEBUG_CHARACTERS))[:_DEBUG_CHARACTERS]


def dtype_name(dtype: np.dtype) -> str:
    """TensorFlow's name of a type, as in TF Serving's messages."""
    return NAMES.get(dtype.name, dtype.name)


def is_b64(value: Any) -> bool:
    """Whether a value is `{"b64": "<string>"}`."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def decode_b64(value: dict[str, Any]) -> bytes:
    """The bytes of `{"b64": "<string>"}`; padding is optional, and whitespace is ignored.

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


def is_object(value: Any) -> bool:
    """Whether a value is a JSON object other than base64 data."""
    return type(value) is dict and not is_b64(value)


def refuse(what: str, offset: int | None = None) -> NoReturn:
    """Refuses a document that is not JSON, with RapidJSON's message."""
    raise invalid(f"JSON Parse error: {what}" + ("" if offset is None else f" at offset: {offset}"))


def _integer(digits: str) -> int | float:
    number = int(digits) if len(digits) <= 20 else None
    return number if number is not None and -(1 << 63) <= number < 1 << 64 else _decimal(digits)


def _decimal(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        refuse("Number too big to be stored in double.")
    return number


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        refuse(f"The name {shown(twice)} occurs more than once in an object.")
    return members


_careful = json.JSONDecoder(object_pairs_hook=_members, parse_int=_integer, parse_float=_decimal)


def parse(body: bytes) -> Any:
    """The value in a body; raises as `bodies.parse`."""
    try:
        text = body.decode()
        document = _careful.decode(text)
        if "\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        refuse("Invalid encoding in string.", error.start)
    except UnicodeEncodeError:
        refuse("The surrogate pair in string is invalid.")
    except json.JSONDecodeError as error:
        refuse(_PARSE_ERRORS.get(error.msg, error.msg), len(error.doc[: error.pos].encode()))
    except RecursionError:
        refuse("The document is nested too deeply.")
    return document


def _shape(value: Any) -> tuple[int, ...]:
    shape = []
    while type(value) is list:
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def shaped(shape: tuple[int, ...], flat: list[Any], dtype: np.dtype) -> np.ndarray:
    """The array with a shape and its flat values."""
    array: np.ndarray = np.empty(len(flat), dtype)
    with np.errstate(over="ignore"):
        array[:] = flat
    return array.reshape(shape)


def _is_number(value: Any, dtype: np.dtype) -> bool:
    if type(value) not in PYTHON_TYPES[dtype.kind]:
        return False
    return dtype not in _RANGES or value in _RANGES[dtype]


def _cell(value: Any, dtype: np.dtype) -> Any:
    name = dtype_name(dtype)
    if type(value) is dict and name == "string":
        return decode_b64(value)
    if type(value) is not dict and dtype.name not in IN_JSON:
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


def flattened(value: Any, dtype: np.dtype) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of a value and its elements, converted one by one.

    Raises:
        ServingError: INVALID_ARGUMENT: a value of the wrong type or out of range, or lists that are not rectangular;
            UNIMPLEMENTED: a type that JSON does not support.
    """
    shape = _shape(value)
    if len(shape) > _MAX_RANK:
        raise invalid(f"Encountered list at unexpected level: {_MAX_RANK} expected < {_MAX_RANK}")
    flat: list[Any] = []
    _fill(value, 0, shape, dtype, flat)
    return shape, flat


def failed(where: str, error: ServingError) -> str:
    """TF Serving's message for the place of an error."""
    return f"Failed to process {where}. Error: {error.code.name}: {error.message}"


@dataclass
class _Rows:
    """An input's values in all instances so far, and the shape of each instance."""

    shape: tuple[int, ...]
    flat: list[Any]


def _add(value: Any, name: str, dtypes: Dtypes, rows: dict[str, _Rows]) -> None:
    if name not in dtypes:
        raise invalid(f"JSON object: does not have named input: {name}")
    shape, flat = flattened(value, dtypes[name])
    first = rows.setdefault(name, _Rows(shape, [])).shape
    if prod(first) != prod(shape):
        raise invalid(f"Expecting tensor size: {prod(first)} but got: {prod(shape)}")
    if first != shape:
        raise invalid(f"Expecting shape {_shape_text(first)} but got: {_shape_text(shape)}")
    rows[name].flat += flat


def _shape_text(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _add_object(item: int, instance: Any, dtypes: Dtypes, rows: dict[str, _Rows]) -> None:
    if not is_object(instance):
        raise invalid(f"Expecting object but got list at item {item} of input list")
    for name, value in instance.items():
        try:
            _add(value, name, dtypes, rows)
        except ServingError as error:
            raise invalid(failed(f"element: {item} key: {name} of 'instances' list", error)) from error
    if instance.keys() != dtypes.keys():
        raise invalid(
            f"Failed to process element: {item} of 'instances' list. JSON object: {shown(instance)} "
            f"keys must be equal to: {','.join(sorted(dtypes))}"
        )


def _add_value(item: int, instance: Any, dtypes: Dtypes, rows: dict[str, _Rows]) -> None:
    if is_object(instance):
        raise invalid(f"Expecting value/list but got object at item {item} of input list")
    try:
        _add(instance, min(dtypes), dtypes, rows)
    except ServingError as error:
        raise invalid(failed(f"element: {item} of 'instances' list", error)) from error


def rows(instances: list[Any], dtypes: Dtypes) -> dict[str, np.ndarray]:
    """The inputs of a request in row format, instance by instance; see `bodies.decode`."""
    found: dict[str, _Rows] = {}
    add = _add_object if is_object(instances[0]) else _add_value
    for item, instance in enumerate(instances):
        add(item, instance, dtypes, found)
    return {name: shaped((len(instances), *row.shape), row.flat, dtypes[name]) for name, row in found.items()}
