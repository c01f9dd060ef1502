"""Decodes and encodes JSON bodies: documents, tensors, and the requests and responses of `:predict`.

`NaN`, `Infinity` and `-Infinity` are numbers. orjson, which is ten times faster, parses a request first; if it fails,
or a name may occur twice in an object, the standard library's parser decides. Numbers are converted as in RapidJSON:
an integer of more than 64 bits becomes a float, and a float beyond the range of a double is an error.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import orjson

from taxiway.serving.errors import ServingError
from taxiway.serving.rest import malformed
from taxiway.serving.rest.malformed import IN_JSON, PYTHON_TYPES, Dtypes, decode_b64, dtype_name, invalid, shown

Format = Literal["row", "column"]

_COUNTED_DEPTH = 8
"""Deeper objects are not counted, which sends the request to the standard library's parser."""


def _names(value: Any, depth: int = 0) -> int:
    """At most the number of names in all objects of a value: lists are judged by their first element."""
    if depth > _COUNTED_DEPTH:
        return 0
    if type(value) is dict:
        inner = [member for member in value.values() if type(member) in (dict, list)]
        return len(value) + sum([_names(member, depth + 1) for member in inner])
    if value and type(value[0]) in (dict, list):
        return sum([_names(element, depth + 1) for element in value if type(element) in (dict, list)])
    return 0


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object in a request's body.

    Raises:
        ServingError: INVALID_ARGUMENT: not JSON, not UTF-8, not an object, a name twice in one object (TF Serving uses
            one of the two), a number beyond the range of a double, or nested too deeply.
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body.strip():
        malformed.refuse("The document is empty.")
    try:
        document = orjson.loads(body)
        # Every name is followed by a colon, so as many names as colons means no duplicates.
        if type(document) is dict and _names(document) < body.count(b":"):
            document = malformed.parse(body)
    except orjson.JSONDecodeError:
        document = malformed.parse(body)
    if type(document) is not dict:
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    return document


def _leaf_types(value: Any) -> set[type]:
    """The types of all values at the level of the first one, without a Python loop over values."""
    level: Iterable[Any] = [value]
    while type(value) is list:
        value, level = value[0] if value else None, chain.from_iterable(level)
    return set(map(type, level))


def _numbers(value: Any, dtype: np.dtype) -> np.ndarray:
    # NumPy would convert booleans to numbers, and pad a list of strings to the longest.
    if not _leaf_types(value) <= PYTHON_TYPES[dtype.kind]:
        raise ValueError
    with np.errstate(over="ignore"):  # becomes infinity, as in TF Serving
        array: np.ndarray = np.array(value, dtype)
    return array


def _strings(value: Any) -> np.ndarray:
    array: np.ndarray = np.empty((), object)
    array[()] = value
    if type(value) is list:
        array = np.array(value, object)
    flat = array.reshape(-1)
    if not set(map(type, flat.tolist())) <= {str, dict}:  # lists of different lengths remain lists
        raise ValueError
    flat[:] = [text.encode() if type(text) is str else decode_b64(text) for text in flat.tolist()]
    return array


def at_once(value: Any, dtype: np.dtype) -> np.ndarray | None:
    """The array of a well-formed value; None if it has to be converted value by value."""
    if dtype.name not in IN_JSON:
        return None
    try:
        return _strings(value) if dtype.kind == "O" else _numbers(value, dtype)
    except (ValueError, TypeError, OverflowError, ServingError):
        return None


def from_json(value: Any, dtype: np.dtype) -> np.ndarray:
    """The array of a value: a scalar or a nested list. Raises as `malformed.flattened`."""
    array = at_once(value, dtype)
    return malformed.shaped(*malformed.flattened(value, dtype), dtype) if array is None else array


def is_finite(array: np.ndarray) -> bool:
    """Whether an array has neither NaN nor infinities."""
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _text(value: bytes | str, name: str) -> str:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise invalid(
            f"Failed to write JSON value for tensor: {name} contains bytes that are not UTF-8. "
            "Outputs whose names end with _bytes are written as base64"
        ) from error


def _string_cells(array: np.ndarray, name: str) -> list[Any]:
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in array.ravel().tolist()]
    return [_text(value, name) for value in array.ravel().tolist()]


def to_python(array: np.ndarray, name: str) -> Any:
    """An array as nested lists of JSON values, a scalar as one value; `name` is the output's name.

    A float32 is written with its shortest decimal representation: 0.2, not 0.20000000298.
    """
    if array.dtype.kind == "O":
        cells: np.ndarray = np.empty(array.shape, object)
        cells.reshape(-1)[:] = _string_cells(array, name)
        return cells.tolist()
    if array.dtype.name == "float32":
        return array.astype("U32").astype(np.float64).tolist() if not is_finite(array) else _shortest(array)
    return array.tolist()


def _shortest(array: np.ndarray) -> Any:
    return orjson.loads(orjson.dumps(to_orjson(array), option=orjson.OPT_SERIALIZE_NUMPY))


def to_orjson(array: np.ndarray) -> Any:
    """A finite numeric array in a form that orjson accepts."""
    return np.ascontiguousarray(array) if array.ndim else array[()]


def check_writable(array: np.ndarray) -> None:
    """Raises INVALID_ARGUMENT for a type that JSON does not support."""
    if array.dtype.name not in IN_JSON:
        raise invalid(f"Failed to write JSON value for tensor type: {dtype_name(array.dtype)}")


def _is_object(value: Any) -> bool:
    """Whether a value is a JSON object other than base64 data."""
    return type(value) is dict and not ("b64" in value and malformed.is_b64(value))


def _columns(instances: list[Any], names: Sequence[str]) -> dict[str, Any] | None:
    """The instances' values by input; None if an instance is not an object with exactly these names."""
    try:
        if set(map(type, instances)) != {dict} or set(map(len, instances)) != {len(names)}:
            return None
        return {name: list(map(itemgetter(name), instances)) for name in names}
    except KeyError:
        return None


def _rows_at_once(instances: list[Any], dtypes: Dtypes) -> dict[str, np.ndarray] | None:
    columns = _columns(instances, sorted(dtypes)) if _is_object(instances[0]) else {min(dtypes): instances}
    arrays: dict[str, np.ndarray] = {}
    for name, column in (columns or {}).items():
        array = at_once(column, dtypes[name])
        if array is None:
            return None
        arrays[name] = array
    return arrays or None


def _from_rows(instances: Any, dtypes: Dtypes, document: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if type(instances) is not list:
        raise invalid(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid(f"JSON Value: {shown(document)} No values in 'instances' array")
    if type(instances[0]) is not dict and len(dtypes) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            f"tensorinfo_map: {','.join(sorted(dtypes))}"
        )
    arrays = _rows_at_once(instances, dtypes)
    return malformed.rows(instances, dtypes) if arrays is None else arrays


def _named(inputs: dict[str, Any], name: str, dtype: np.dtype) -> np.ndarray:
    if name not in inputs:
        raise invalid(f"Missing named input: {name} in 'inputs' object.")
    try:
        return from_json(inputs[name], dtype)
    except ServingError as error:
        raise ServingError(error.code, malformed.failed(f"key: {name} of 'inputs' object", error)) from error


def _from_columns(inputs: Any, dtypes: Dtypes) -> dict[str, np.ndarray]:
    if not _is_object(inputs):
        if len(dtypes) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                f"tensorinfo_map: {','.join(sorted(dtypes))}"
            )
        return {min(dtypes): from_json(inputs, dtypes[min(dtypes)])}
    arrays = {name: _named(inputs, name, dtypes[name]) for name in sorted(dtypes)}
    if unknown := sorted(inputs.keys() - dtypes.keys()):
        raise invalid(f"JSON object: does not have named input: {unknown[0]}")
    return arrays


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request names; "" for none.

    Raises:
        ServingError: INVALID_ARGUMENT: it is not a string.
    """
    name = document.get("signature_name", "")
    if type(name) is not str:
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def decode(document: Mapping[str, Any], dtypes: Dtypes) -> tuple[Format, dict[str, np.ndarray]]:
    """The format of a request and its inputs by name; strings are arrays of `bytes` objects.

    Raises:
        ServingError: INVALID_ARGUMENT, with TF Serving's message: an input that is missing, unknown or of the wrong
            type, lists that are not rectangular, instances of different shapes, both formats or neither.
    """
    if not dtypes:
        raise invalid(f"Failed to get input map for signature: {signature_name(document) or 'DEFAULT'}")
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist"
        )
    if "instances" in document:
        return "row", _from_rows(document["instances"], dtypes, document)
    if "inputs" in document:
        return "column", _from_columns(document["inputs"], dtypes)
    raise invalid("Missing 'inputs' or 'instances' key")


def _check_rows(outputs: Mapping[str, np.ndarray]) -> None:
    size = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size not in (None, len(array)):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)


def _answer(outputs: Mapping[str, Any], form: Format) -> Any:
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    if form == "column":
        return outputs
    return [dict(zip(outputs, cells, strict=True)) for cells in zip(*outputs.values(), strict=True)]


def encode(outputs: Mapping[str, np.ndarray], form: Format) -> bytes:
    """The response body: "predictions" in row format, "outputs" in column format.

    Raises:
        ServingError: INVALID_ARGUMENT: no outputs, a type that JSON does not support, or in row format outputs of
            different batch sizes.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    for array in outputs.values():
        check_writable(array)
    if form == "row":
        _check_rows(outputs)
    key = "predictions" if form == "row" else "outputs"
    as_lists = {"O"} if form == "column" or len(outputs) == 1 else {"O", *"biuf"}
    if not all(map(is_finite, outputs.values())):
        values = {name: to_python(array, name) for name, array in outputs.items()}
        return json.dumps({key: _answer(values, form)}, separators=(",", ":")).encode()
    values = {
        name: to_python(array, name) if array.dtype.kind in as_lists else to_orjson(array)
        for name, array in outputs.items()
    }
    return orjson.dumps({key: _answer(values, form)}, option=orjson.OPT_SERIALIZE_NUMPY)
