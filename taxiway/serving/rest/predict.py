"""The bodies of `:predict`: requests in row ("instances") and column ("inputs") format, and their answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import orjson

from taxiway.serving.errors import ServingError
from taxiway.serving.rest.encoding import invalid, shown
from taxiway.serving.rest.json_tensors import (
    at_once,
    check_writable,
    flattened,
    from_json,
    is_b64,
    is_finite,
    shaped,
    to_orjson,
    to_python,
)

Format = Literal["row", "column"]
Dtypes = Mapping[str, np.dtype]
"""The types of a signature's inputs by name."""


def _is_object(value: Any) -> bool:
    return type(value) is dict and not is_b64(value)


def _failed(where: str, error: ServingError) -> str:
    return f"Failed to process {where}. Error: {error.code.name}: {error.message}"


def _columns(instances: list[Any], names: Sequence[str]) -> dict[str, Any] | None:
    """The instances' values by input, or None where an instance is not an object with exactly these names."""
    try:
        if set(map(type, instances)) != {dict} or set(map(len, instances)) != {len(names)}:
            return None
        return {name: list(map(itemgetter(name), instances)) for name in names}
    except KeyError:
        return None


def _rows_at_once(instances: list[Any], dtypes: Dtypes) -> dict[str, np.ndarray] | None:
    named = _is_object(instances[0])
    columns = _columns(instances, sorted(dtypes)) if named else {min(dtypes): instances}
    arrays = {name: at_once(column, dtypes[name]) for name, column in (columns or {}).items()}
    return {name: array for name, array in arrays.items() if array is not None} if _all(arrays) else None


def _all(arrays: Mapping[str, np.ndarray | None]) -> bool:
    return bool(arrays) and all(array is not None for array in arrays.values())


@dataclass
class _Rows:
    """An input's values of all instances so far, and the shape that each has."""

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
    if not _is_object(instance):
        raise invalid(f"Expecting object but got list at item {item} of input list")
    for name, value in instance.items():
        try:
            _add(value, name, dtypes, rows)
        except ServingError as error:
            raise invalid(_failed(f"element: {item} key: {name} of 'instances' list", error)) from error
    if instance.keys() != dtypes.keys():
        raise invalid(
            f"Failed to process element: {item} of 'instances' list. JSON object: {shown(instance)} "
            f"keys must be equal to: {','.join(sorted(dtypes))}"
        )


def _add_value(item: int, instance: Any, dtypes: Dtypes, rows: dict[str, _Rows]) -> None:
    if _is_object(instance):
        raise invalid(f"Expecting value/list but got object at item {item} of input list")
    try:
        _add(instance, min(dtypes), dtypes, rows)
    except ServingError as error:
        raise invalid(_failed(f"element: {item} of 'instances' list", error)) from error


def rows_walked(instances: list[Any], dtypes: Dtypes) -> dict[str, np.ndarray]:
    """The inputs of a request in row format, instance by instance; see `decode`."""
    rows: dict[str, _Rows] = {}
    add = _add_object if _is_object(instances[0]) else _add_value
    for item, instance in enumerate(instances):
        add(item, instance, dtypes, rows)
    return {name: shaped((len(instances), *row.shape), row.flat, dtypes[name]) for name, row in rows.items()}


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
    return rows_walked(instances, dtypes) if arrays is None else arrays


def _named(inputs: dict[str, Any], name: str, dtype: np.dtype) -> np.ndarray:
    if name not in inputs:
        raise invalid(f"Missing named input: {name} in 'inputs' object.")
    try:
        return from_json(inputs[name], dtype)
    except ServingError as error:
        raise ServingError(error.code, _failed(f"key: {name} of 'inputs' object", error)) from error


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
    """The signature that a request names, "" for none.

    Raises:
        ServingError: INVALID_ARGUMENT: it is no string.
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
        ServingError: INVALID_ARGUMENT, in TF Serving's words: an input that is missing, unknown or of another type,
            lists that are not rectangular, instances of different shapes, both formats at once or none.
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
    """The body that answers a request: "predictions" in row format, "outputs" in column format.

    Raises:
        ServingError: INVALID_ARGUMENT: no outputs, a type that JSON does not have, in row format outputs that are
            not of one batch size.
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
