"""JSON as TF Serving's REST API reads and writes it: `NaN`, `Infinity` and `-Infinity` are numbers.

A request is read by orjson, which takes a tenth of the time; where it refuses one, or a name may be there twice, the
standard library's parser has the last word. Numbers become what RapidJSON makes of them: an integer that does not
fit into 64 bits is a float, and a float that does not fit into a double is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import islice
from typing import Any, NoReturn

import grpc
import orjson

from taxiway.serving.errors import ServingError

_DEBUG_CHARACTERS = 256

_COUNTED_DEPTH = 8
"""Objects deeper than this are not counted one by one, which sends the request to the careful parser."""

_TYPES = {type(None): "Null", bool: "", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}

# What RapidJSON, TF Serving's parser, says where Python's says something else.
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
    """An INVALID_ARGUMENT, which is HTTP's 400."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def type_name(value: Any) -> str:
    """RapidJSON's name of a value's type: `Null`, `False`, `True`, `Object`, `Array`, `String` or `Number`."""
    return _TYPES[type(value)] or str(value)


def shown(value: Any) -> str:
    """A value as JSON on one line for an error message, cut after 256 characters."""
    pieces = json.JSONEncoder(ensure_ascii=False).iterencode(value)
    # Each piece has a character at least, so that many are enough, however large the value is.
    return "".join(islice(pieces, _DEBUG_CHARACTERS))[:_DEBUG_CHARACTERS]


def _refuse(what: str, offset: int | None = None) -> NoReturn:
    raise invalid(f"JSON Parse error: {what}" + ("" if offset is None else f" at offset: {offset}"))


def _integer(digits: str) -> int | float:
    number = int(digits) if len(digits) <= 20 else None
    return number if number is not None and -(1 << 63) <= number < 1 << 64 else _decimal(digits)


def _decimal(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        _refuse("Number too big to be stored in double.")
    return number


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        _refuse(f"The name {shown(twice)} is there more than once in an object.")
    return members


_careful = json.JSONDecoder(object_pairs_hook=_members, parse_int=_integer, parse_float=_decimal)


def _parse_carefully(body: bytes) -> Any:
    try:
        text = body.decode()
        document = _careful.decode(text)
        if "\\u" in text:
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        _refuse("Invalid encoding in string.", error.start)
    except UnicodeEncodeError:
        _refuse("The surrogate pair in string is invalid.")
    except json.JSONDecodeError as error:
        _refuse(_PARSE_ERRORS.get(error.msg, error.msg), len(error.doc[: error.pos].encode()))
    except RecursionError:
        _refuse("The document is nested too deeply.")
    return document


def _names(value: Any, depth: int = 0) -> int:
    """How many names the objects in a value have, or fewer: lists are judged by their first element."""
    if depth > _COUNTED_DEPTH:
        return 0
    if type(value) is dict:
        inner: Iterable[Any] = (member for member in value.values() if type(member) in (dict, list))
        return len(value) + sum(_names(member, depth + 1) for member in inner)
    if value and type(value[0]) in (dict, list):
        return sum(_names(element, depth + 1) for element in value if type(element) in (dict, list))
    return 0


def parse(body: bytes) -> dict[str, Any]:
    """The object that a request's body holds.

    Raises:
        ServingError: INVALID_ARGUMENT: not JSON, not UTF-8, no object, a name twice in one object (TF Serving would
            take one of the two), a number beyond a double's range, or nesting beyond the parser's limit.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body.strip():
        _refuse("The document is empty.")
    try:
        document = orjson.loads(body)
        # Every name is followed by a colon: as many names as colons means that none was there twice.
        if type(document) is dict and _names(document) < body.count(b":"):
            document = _parse_carefully(body)
    except orjson.JSONDecodeError:
        document = _parse_carefully(body)
    if type(document) is not dict:
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    return document
