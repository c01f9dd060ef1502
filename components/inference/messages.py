"""The tensors in TF Serving's messages, without a model: requests and responses of a proxy, and PredictionLogs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from components.data import prediction_logs, tensor_protos
from components.data.serving_stubs import classification_pb2, inference_pb2, model_pb2, predict_pb2, regression_pb2
from components.inference.requests import Content, Request

_MOST_FILLED = 64 << 20
"""The maximum size of a message's tensors in bytes, beyond the bytes that were sent; as for a request."""

KINDS: dict[str, tuple[Any, Any]] = {
    "Predict": (predict_pb2.PredictRequest, predict_pb2.PredictResponse),
    "Classify": (classification_pb2.ClassificationRequest, classification_pb2.ClassificationResponse),
    "Regress": (regression_pb2.RegressionRequest, regression_pb2.RegressionResponse),
    "MultiInference": (inference_pb2.MultiInferenceRequest, inference_pb2.MultiInferenceResponse),
}
"""The messages of each method."""


def read(recorded: Request, request: bytes, response: bytes) -> None:
    """Fills in what serialized messages tell: version, label, inputs and outputs.

    Args:
        recorded: The request; its `api` is the method.
        request: The request's bytes.
        response: The response's bytes; empty if there is none.

    Raises:
        ValueError: A message cannot be parsed, or its tensors do not form rows.
    """
    asked, answered = KINDS[recorded.api]
    try:
        fill(recorded, asked.FromString(request), answered.FromString(response) if response else None)
    except DecodeError as error:
        raise ValueError(f"a message cannot be parsed: {error}") from error


def fill(recorded: Request, request: Any, response: Any) -> None:
    """As `read`, for parsed messages; no response is None."""
    specs = [each.model_spec for each in (response and _parts(response)) or []] + [first_spec(request)]
    version = next((spec.version.value for spec in specs if spec.HasField("version")), None)
    recorded.version = recorded.version if version is None else version
    recorded.label = recorded.label or first_spec(request).version_label or None
    recorded.content = content(recorded.api, request, response)


def content(api: str, request: Any, response: Any) -> Content:
    """The tensors of a request and its response; no response is None."""
    if api == "Predict":
        outputs = tensor_protos.from_protos(response.outputs, _MOST_FILLED) if response else {}
        return Content(tensor_protos.from_protos(request.inputs, _MOST_FILLED), outputs)
    inputs = {"inputs": as_strings(list(prediction_logs.examples_in(request.input)))}
    return Content(inputs, results(api, response) if response else {}, are_examples=True)


def results(api: str, response: Any) -> dict[str, np.ndarray]:
    """The outputs in a response to Classify, Regress or MultiInference; those of the latter by signature."""
    if api == "Classify":
        return classifications(response.result)
    if api == "Regress":
        return regressions(response.result)
    found = {}
    for each in response.results:
        is_classes = each.WhichOneof("result") == "classification_result"
        of = classifications(each.classification_result) if is_classes else regressions(each.regression_result)
        found.update({f"{each.model_spec.signature_name}_{name}": array for name, array in of.items()})
    return found


def classifications(result: Any) -> dict[str, np.ndarray]:
    """The outputs `classes` and `scores` of a ClassificationResult, one row per example."""
    rows = [[(each.label.encode(), each.score) for each in one.classes] for one in result.classifications]
    flat = [pair for row in rows for pair in row]
    shape = (len(rows), len(rows[0]) if rows else 0)
    scores: np.ndarray = np.array([score for _, score in flat], np.float32).reshape(shape)
    classes = as_strings([label for label, _ in flat]).reshape(shape)
    return {"scores": scores, **({"classes": classes} if any(label for label, _ in flat) else {})}


def regressions(result: Any) -> dict[str, np.ndarray]:
    """The output `outputs` of a RegressionResult."""
    return {"outputs": np.array([each.value for each in result.regressions], np.float32)}


def as_strings(values: Sequence[bytes]) -> np.ndarray:
    """Bytes as a tensor of strings."""
    found: np.ndarray = np.empty(len(values), object)
    found[:] = values
    return found


def _parts(message: Any) -> list[Any]:
    return list(message.results) if hasattr(message, "results") else [message]


def first_spec(request: Any) -> Any:
    """The model spec of a request, or of its first task."""
    specs = [task.model_spec for task in request.tasks] if hasattr(request, "tasks") else [request.model_spec]
    return specs[0] if specs else model_pb2.ModelSpec()
