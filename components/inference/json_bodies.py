"""The tensors in the JSON bodies of TF Serving's REST API, without a model.

JSON does not tell the types of numbers: they are read as `double`, and take the type of their column in the table.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from components.data.serving_stubs import example_pb2
from components.inference.messages import as_strings
from components.inference.requests import Content, Request

_GZIP_MAGIC, _GZIP_FORMAT = b"\x1f\x8b", 31
_MOST_BYTES = 64 << 20

_INTEGERS = 1 << 53
"""Larger integers are no exact doubles."""


def read(recorded: Request, request: bytes, response: bytes) -> None:
    """Fills in the inputs and outputs; see `messages.read`.

    Raises:
        ValueError: A body is not JSON, or its values do not form tensors.
    """
    asked, answered = orjson.loads(_plain(request)), orjson.loads(_plain(response)) if response else {}
    if recorded.api == "Predict":
        outputs = _tensors(answered, "predictions", "outputs")
        recorded.content = Content(_tensors(asked, "instances", "inputs"), outputs, is_untyped=True)
        return
    context = _example(asked["context"]) if "context" in asked else b""
    inputs = {"inputs": as_strings([context + _example(each) for each in asked["examples"]])}
    recorded.content = Content(inputs, _results(recorded.api, answered), are_examples=True)


def _plain(body: bytes) -> bytes:
    """A body without its compression, cut at a limit."""
    if not body.startswith(_GZIP_MAGIC):
        return body
    return zlib.decompressobj(_GZIP_FORMAT).decompress(body, _MOST_BYTES)


def _tensors(document: Mapping[str, Any], rows_key: str, columns_key: str) -> dict[str, np.ndarray]:
    """The tensors in row format or in column format; a single one has no name."""
    if rows_key in document:
        rows = document[rows_key]
        if not _is_object(rows[0]):
            return {columns_key: _tensor(rows)}
        return {name: _tensor([row[name] for row in rows]) for name in rows[0]}
    if columns_key not in document:
        return {}
    columns = document[columns_key]
    if not _is_object(columns):
        return {columns_key: _tensor(columns)}
    return {name: _tensor(value) for name, value in columns.items()}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() != {"b64"}


def _tensor(value: Any) -> np.ndarray:
    flat, shape = _flat(value)
    found: np.ndarray
    if all(isinstance(each, bool) for each in flat):
        found = np.array(flat, np.bool_)
    elif any(isinstance(each, str | dict) for each in flat):
        found = as_strings([_bytes(each) for each in flat])
    else:
        is_large = all(isinstance(each, int) for each in flat) and any(abs(each) > _INTEGERS for each in flat)
        found = np.array(flat, np.int64 if is_large else np.float64)
    return found.reshape(shape)


def _flat(value: Any) -> tuple[list[Any], tuple[int, ...]]:
    """All values of nested lists, and their shape.

    Raises:
        ValueError: They are not rectangular.
    """
    level: list[Any] = [value]
    shape: tuple[int, ...] = ()
    while level and isinstance(level[0], list):
        sizes = {len(each) if isinstance(each, list) else -1 for each in level}
        if len(sizes) > 1:
            raise ValueError("lists of different lengths")
        shape = (*shape, sizes.pop())
        level = [inner for each in level for inner in each]
    if any(isinstance(each, list) or each is None for each in level):
        raise ValueError("values of different depths, or null")
    return level, shape


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, dict) or value.keys() != {"b64"}:
        raise ValueError("a string among other values")
    return base64.b64decode(value["b64"])


def _example(features: Mapping[str, Any]) -> bytes:
    """The tf.Example of an object, as TF Serving converts it."""
    example = example_pb2.Example()
    for name, value in features.items():
        values = value if isinstance(value, list) else [value]
        feature = example.features.feature[name]
        if values and isinstance(values[0], str | dict):
            feature.bytes_list.value.extend(map(_bytes, values))
        elif values and all(isinstance(each, int) for each in values):
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    serialized: bytes = example.SerializeToString()
    return serialized


def _results(api: str, document: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The outputs in a response to `:classify` or `:regress`."""
    if "results" not in document:
        return {}
    results = document["results"]
    if api == "Regress":
        return {"outputs": np.array(results, np.float32)}
    scores = np.array([[score for _, score in row] for row in results], np.float32)
    labels = [label.encode() for row in results for label, _ in row]
    found = {"scores": scores}
    return {**found, "classes": as_strings(labels).reshape(scores.shape)} if any(labels) else found
