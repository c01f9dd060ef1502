"""The proxy reads the sticky key from requests in every form that TF Serving accepts."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from components.data.serving_stubs import (
    classification_pb2,
    example_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
    types_pb2,
)
from components.data.tensor_protos import to_proto
from taxiway.routing.request_fields import answered_version, feature_of_grpc, feature_of_rest, requested_model
from tests.taxiway.routing.conftest import predict_request


def example(company: str = "blue") -> Any:
    message = example_pb2.Example()
    message.features.feature["company"].bytes_list.value.append(company.encode())
    message.features.feature["trips"].int64_list.value.append(7)
    message.features.feature["fare"].float_list.value.append(0.1)
    message.features.feature["none"].float_list.SetInParent()
    return message


SERIALIZED = {"b64": base64.b64encode(example().SerializeToString()).decode()}


def of_rest(name: str, **body: Any) -> bytes | None:
    return feature_of_rest(json.dumps(body).encode(), name)


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [{"company": "blue"}, {"company": "red"}]},
        {"instances": [{"company": ["blue"]}]},
        {"instances": [{"company": {"b64": "Ymx1ZQ=="}}]},
        {"instances": [SERIALIZED]},
        {"instances": [{"examples": SERIALIZED}]},
        {"inputs": {"company": ["blue", "red"]}},
        {"inputs": {"company": [["blue"]], "fare": [1]}},
        {"inputs": {"examples": [SERIALIZED]}},
        {"inputs": [SERIALIZED]},
        {"examples": [{"company": "blue"}]},
    ],
)
def test_a_sticky_feature_is_read_from_a_rest_request(body: dict[str, Any]) -> None:
    assert of_rest("company", **body) == b"blue"
    assert of_rest("colour", **body) is None


NO_KEY = [
    b"",
    b"{",
    b"[" * 99_999,
    b"[]",
    b"1",
    b'{"instances": [1]}',
    b'{"instances": [[]]}',
    b'{"instances": [{"company": {"b64": "?"}}]}',
    b'{"inputs": {"b64": "AAAA"}}',
]


@pytest.mark.parametrize("body", NO_KEY)
def test_a_body_without_the_feature_has_no_key(body: bytes) -> None:
    assert feature_of_rest(body, "company") in (None, b"")


def test_a_sticky_feature_is_read_from_a_grpc_request() -> None:
    assert feature_of_grpc("Predict", predict_request("blue").SerializeToString(), "company") == b"blue"
    serialized = predict_pb2.PredictRequest()
    serialized_examples = np.array([example().SerializeToString()], dtype=object)
    serialized.inputs["examples"].CopyFrom(to_proto(serialized_examples, types_pb2.DT_STRING))
    requests = {"Predict": serialized}
    for name, kind in (
        ("Classify", classification_pb2.ClassificationRequest),
        ("Regress", regression_pb2.RegressionRequest),
        ("MultiInference", inference_pb2.MultiInferenceRequest),
    ):
        requests[name] = kind()
        requests[name].input.example_list.examples.append(example())
    for name, request in requests.items():
        assert feature_of_grpc(name, request.SerializeToString(), "company") == b"blue"
        assert feature_of_grpc(name, request.SerializeToString(), "colour") is None
        assert feature_of_grpc(name, request.SerializeToString(), "none") is None
        assert feature_of_grpc(name, b"\xff", "company") is None
    context = classification_pb2.ClassificationRequest()
    context.input.example_list_with_context.context.CopyFrom(example("shared"))
    context.input.example_list_with_context.examples.add()
    assert feature_of_grpc("Classify", context.SerializeToString(), "company") == b"shared"
    assert feature_of_grpc("Classify", b"", "company") is None
    assert feature_of_grpc("Predict", b"", "company") is None


@pytest.mark.parametrize(("name", "value"), [("trips", 7), ("fare", 0.1), ("trips", 7.0)])
def test_a_number_is_the_same_key_over_both_apis(name: str, value: Any) -> None:
    request = classification_pb2.ClassificationRequest()
    request.input.example_list.examples.append(example())
    by_grpc = feature_of_grpc("Classify", request.SerializeToString(), name)
    assert by_grpc == of_rest(name, instances=[{name: value}]) == of_rest(name, instances=[SERIALIZED])


def test_the_requested_model_version_and_label_are_read() -> None:
    several = inference_pb2.MultiInferenceRequest()
    several.tasks.add().model_spec.name = "a"
    several.tasks.add().model_spec.name = "b"
    assert requested_model("MultiInference", several.SerializeToString()) is None
    assert requested_model("MultiInference", b"") is None
    assert requested_model("Predict", b"\xff") is None
    several.tasks[1].model_spec.name = "a"
    several.tasks[1].model_spec.version_label = "canary"
    requested = requested_model("MultiInference", several.SerializeToString())
    assert requested is not None
    assert requested.is_pinned


def test_the_version_of_an_answer_is_read() -> None:
    response = inference_pb2.MultiInferenceResponse()
    response.results.add().model_spec.version.value = 3
    assert answered_version("MultiInference", response.SerializeToString()) == 3
    assert answered_version("Predict", b"") is None
