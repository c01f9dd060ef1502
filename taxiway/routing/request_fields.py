"""Reads the few fields of a request that the proxy needs, and sets the label; the rest is forwarded as bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from components.data.serving_stubs import (
    classification_pb2,
    example_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
    types_pb2,
)
from components.data.tensor_protos import first_value

_REQUESTS = {
    "Predict": predict_pb2.PredictRequest,
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "MultiInference": inference_pb2.MultiInferenceRequest,
}
_RESPONSES = {
    "Predict": predict_pb2.PredictResponse,
    "Classify": classification_pb2.ClassificationResponse,
    "Regress": regression_pb2.RegressionResponse,
    "MultiInference": inference_pb2.MultiInferenceResponse,
}
SPLIT = tuple(_REQUESTS)
"""The methods whose requests are split; others go to the main target."""


@dataclass(frozen=True)
class RequestedModel:
    """The model of a request, whether the request names a version or label itself, and the label."""

    model: str
    is_pinned: bool
    label: str


def requested_model(method: str, request: bytes) -> RequestedModel | None:
    """The model of a gRPC request; None if it cannot be parsed (the backend will report the error)."""
    try:
        if method == "MultiInference":
            specs = [task.model_spec for task in inference_pb2.MultiInferenceRequest.FromString(request).tasks]
        else:
            # In all other requests ModelSpec is field 1, the only field of this message; the rest is not parsed.
            specs = [get_model_status_pb2.GetModelStatusRequest.FromString(request).model_spec]
    except DecodeError:
        return None
    if len({spec.name for spec in specs}) != 1:
        return None
    return RequestedModel(
        specs[0].name, any(spec.WhichOneof("version_choice") for spec in specs), specs[0].version_label
    )


def labelled(method: str, request: bytes, label: str) -> bytes:
    """The request with a version label added.

    Protobuf merges message fields that occur twice, so an appended label becomes part of the request.
    """
    if method == "MultiInference":
        parsed = inference_pb2.MultiInferenceRequest.FromString(request)
        for task in parsed.tasks:
            task.model_spec.version_label = label
        return bytes(parsed.SerializeToString())
    spec = model_pb2.ModelSpec(version_label=label)
    return request + bytes(get_model_status_pb2.GetModelStatusRequest(model_spec=spec).SerializeToString())


def answered_version(method: str, response: bytes) -> int | None:
    """The version named in a gRPC response; None if it names none."""
    parsed = _RESPONSES[method].FromString(response)
    specs = [each.model_spec for each in parsed.results] if method == "MultiInference" else [parsed.model_spec]
    return next((spec.version.value for spec in specs if spec.HasField("version")), None)


def content(method: str, response: bytes) -> Any:
    """A gRPC response without its model spec, to compare the responses of two versions."""
    parsed = _RESPONSES[method].FromString(response)
    for each in parsed.results if method == "MultiInference" else [parsed]:
        each.ClearField("model_spec")
    return parsed


def feature_of_grpc(method: str, request: bytes, name: str) -> bytes | None:
    """A feature of the first example of a gRPC request; None if it is missing."""
    try:
        parsed = _REQUESTS[method].FromString(request)
        return _of_inputs(parsed.inputs, name) if method == "Predict" else _of_input(parsed.input, name)
    except (DecodeError, ValueError, IndexError):
        return None


def _of_inputs(inputs: Mapping[str, Any], name: str) -> bytes | None:
    if name in inputs:
        return _key(first_value(inputs[name]))
    if len(inputs) == 1:
        [only] = inputs.values()
        if only.dtype == types_pb2.DT_STRING:
            return _of_example(example_pb2.Example.FromString(only.string_val[0]), name)
    return None


def _of_input(given: Any, name: str) -> bytes | None:
    if given.WhichOneof("kind") == "example_list_with_context":
        examples = given.example_list_with_context
        first = _of_example(examples.examples[0], name)
        return _of_example(examples.context, name) if first is None else first
    return _of_example(given.example_list.examples[0], name)


def _of_example(example: Any, name: str) -> bytes | None:
    if name not in example.features.feature:
        return None
    feature = example.features.feature[name]
    kind = feature.WhichOneof("kind")
    return _key(getattr(feature, kind).value[0]) if kind else None


def feature_of_rest(body: bytes, name: str) -> bytes | None:
    """A feature of the first example of a REST request; None if it is missing or the body is not JSON."""
    try:
        request = json.loads(body)
        rows = request.get("instances") or request.get("examples") or request.get("inputs")
        return _of_row(_first(rows), name)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, DecodeError):
        return None


def _first(value: Any) -> Any:
    while isinstance(value, list):
        value = value[0]
    return value


def _of_row(row: Any, name: str) -> bytes | None:
    """A feature of an example or of columns: a value with that name, or a feature of a serialized tf.Example."""
    if name in row:
        value = _first(row[name])
        return base64.b64decode(value["b64"]) if isinstance(value, dict) else _key(value)
    serialized = row if row.keys() == {"b64"} else _first(next(iter(row.values())))
    return _of_example(example_pb2.Example.FromString(base64.b64decode(serialized["b64"])), name)


def _key(value: Any) -> bytes | None:
    """The same bytes for the same value in every API and type; floats are rounded to float32, the narrowest."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if value is None:
        return None
    number = value if isinstance(value, int) else np.float32(value)
    return str(int(number) if number == int(number) else number).encode()
