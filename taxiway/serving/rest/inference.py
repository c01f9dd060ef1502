"""Decodes the bodies of `:classify` and `:regress` into tf.Examples, and encodes the results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

from taxiway.serving.rest.bodies import to_python
from taxiway.serving.rest.malformed import decode_b64, invalid, is_b64, shown, type_name

_INT64_END = 1 << 63


def _list_of(feature: feature_pb2.Feature, name: str, kind: str) -> Any:
    """The feature's list of values; its first element determines the kind of all others."""
    found = feature.WhichOneof("kind")
    if found not in (None, f"{kind}_list"):
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {str(found).removesuffix('_list')}")
    return getattr(feature, f"{kind}_list").value


def _add(value: Any, name: str, feature: feature_pb2.Feature) -> None:
    if type(value) is str:
        _list_of(feature, name, "bytes").append(value.encode())
    elif is_b64(value):
        _list_of(feature, name, "bytes").append(decode_b64(value))
    elif type(value) is float:
        _list_of(feature, name, "float").append(value)
    elif type(value) in (int, bool):
        values = _list_of(feature, name, "int64")
        if value >= _INT64_END:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        values.append(int(value))
    else:
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(value)}")


def _example(value: Any) -> example_pb2.Example:
    if type(value) is not dict:
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    example = example_pb2.Example()
    for name, content in value.items():
        feature = example.features.feature[name]
        for element in content if type(content) is list else [content]:
            _add(element, name, feature)
    return example


def decode(document: Mapping[str, Any], method: str) -> list[bytes]:
    """The serialized tf.Examples of a request, each preceded by the context, which its own features override.

    Args:
        document: `{"examples": [...], "context": {...}}`.
        method: `classify` or `regress`, for the message.

    Raises:
        ServingError: INVALID_ARGUMENT, with TF Serving's message: no examples, an example that is not an object, or a
            feature with elements of different or unsupported types.
    """
    context = _example(document["context"]).SerializeToString() if "context" in document else b""
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {shown(document)} When method is {method}, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if type(examples) is not list:
        raise invalid(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise invalid(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    return [context + _example(example).SerializeToString() for example in examples]


def _floats(values: list[float]) -> list[float]:
    return list(to_python(np.array(values, np.float32), ""))


def _labelled(classes: Sequence[classification_pb2.Class]) -> list[list[Any]]:
    scores = _floats([each.score for each in classes])
    return [[each.label, score] for each, score in zip(classes, scores, strict=True)]


def _results(values: list[Any]) -> bytes:
    return json.dumps({"results": values}, separators=(",", ":")).encode()


def encode_classifications(result: classification_pb2.ClassificationResult) -> bytes:
    """The response body of `:classify`: a list of [label, score] for each example."""
    if not result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    return _results([_labelled(each.classes) for each in result.classifications])


def encode_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """The response body of `:regress`: a number for each example."""
    if not result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    return _results(_floats([each.value for each in result.regressions]))
