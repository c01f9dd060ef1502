"""The gRPC API of a real server, called through the public stubs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import hypothesis
import numpy as np
import pytest
import requests
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import strategies as st
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    regression_pb2,
)

from tests.taxiway.serving import models, server

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
CODE = grpc.StatusCode


@pytest.fixture(autouse=True)
def _alive(both: server.Server) -> Iterator[None]:
    """Asserts that the server still answers after each test."""
    yield
    np.testing.assert_array_equal(both.predict("half_plus_two", x=[1.0])["y"], np.array([2.5], np.float32))


def refused(call: Callable[..., Any], request: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=20)
    return error.value.code(), error.value.details()


def example(**values: float) -> tf.train.Example:
    result = tf.train.Example()
    for name, value in values.items():
        result.features.feature[name].float_list.value.append(value)
    return result


def of_examples(kind: Any, signature: str, *given: tf.train.Example, context: tf.train.Example | None = None) -> Any:
    request = kind()
    request.model_spec.name, request.model_spec.signature_name = "half_plus_two", signature
    if context:
        request.input.example_list_with_context.context.CopyFrom(context)
        request.input.example_list_with_context.examples.extend(given)
    else:
        request.input.example_list.examples.extend(given)
    return request


def test_predict_answers_as_the_documented_example(both: server.Server) -> None:
    request = server.request("half_plus_two", "serving_default", x=[1.0, 2.0, 5.0])
    answer = both.predictions.Predict(request, timeout=20)
    # TF Serving sends values in the typed field, where clients read them.
    assert list(answer.outputs["y"].float_val) == [2.5, 3.0, 4.5]
    assert answer.outputs["y"].dtype == tf.float32.as_datatype_enum
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("half_plus_two", models.VERSION)
    assert answer.model_spec.signature_name == "serving_default"


def test_versions_and_labels_are_chosen(both: server.Server) -> None:
    request = server.request("half_plus_two", x=[1.0])
    request.model_spec.version.value = models.VERSION
    assert both.predictions.Predict(request, timeout=20).model_spec.version.value == models.VERSION
    request = server.request("half_plus_two", x=[1.0])
    request.model_spec.version_label = "stable"
    assert both.predictions.Predict(request, timeout=20).model_spec.version.value == models.VERSION


def test_an_output_filter_chooses_outputs(both: server.Server) -> None:
    request = server.request("mixed", number=[1.0], word=np.array([b"a"], object))
    request.output_filter.extend(["doubled"])
    assert list(both.predictions.Predict(request, timeout=20).outputs) == ["doubled"]
    request.output_filter.append("other")
    code, message = refused(both.predictions.Predict, request)
    assert (code, "output tensor alias not found in signature: other" in message) == (CODE.INVALID_ARGUMENT, True)
    request.output_filter[1] = "doubled"
    assert "duplicate output tensor alias: doubled" in refused(both.predictions.Predict, request)[1]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"name": "none"}, CODE.NOT_FOUND, "Servable not found for request: Latest(none)"),
        ({"name": ""}, CODE.INVALID_ARGUMENT, "Missing ModelSpec"),
        ({"version": 9}, CODE.NOT_FOUND, "Servable not found for request: Specific(half_plus_two, 9)"),
        ({"version_label": "best"}, CODE.INVALID_ARGUMENT, "Unrecognized servable version label: best"),
        ({"signature_name": "s"}, CODE.FAILED_PRECONDITION, 'Serving signature key "s" not found'),
        ({"name": "../../etc/passwd"}, CODE.NOT_FOUND, "Servable not found for request: Latest(../../etc/passwd)"),
    ],
)
def test_unknown_models_versions_and_signatures_are_not_found(
    both: server.Server, change: dict[str, Any], code: grpc.StatusCode, message: str
) -> None:
    request = server.request("half_plus_two", x=[1.0])
    for name, value in change.items():
        if name == "version":
            request.model_spec.version.value = value
        else:
            setattr(request.model_spec, name, value)
    error = refused(both.predictions.Predict, request)
    assert (error[0], message in error[1]) == (code, True), error


def tensor(**fields: Any) -> Any:
    proto = tf.make_tensor_proto(np.zeros(0, np.float32))
    del proto.tensor_shape.dim[:]
    proto.ClearField("tensor_content")
    for size in fields.pop("shape", []):
        proto.tensor_shape.dim.add(size=size)
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(proto, name).extend(value)
        else:
            setattr(proto, name, value)
    return proto


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (
            {},
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        ({"z": tensor(shape=[1], float_val=[1.0])}, "Sent extra: {z}. Missing but required: {x}."),
        ({"x": tf.make_tensor_proto([1, 2])}, 'Input "x": expects it to be float but int32 is provided'),
        ({"x": tf.make_tensor_proto(["a"])}, 'Input "x": expects it to be float but string is provided'),
        ({"x": tensor(shape=[2], float_val=[1.0, 2.0, 3.0])}, 'Input "x": it has 3 values, but its shape [2] holds 2'),
        ({"x": tensor(shape=[-1], float_val=[1.0])}, 'Input "x": its shape [-1] has a negative size'),
        ({"x": tensor(shape=[1 << 40], float_val=[1.0])}, 'Input "x": its shape [1099511627776] needs more than'),
        ({"x": tensor(shape=[1 << 62, 1 << 62], float_val=[1.0])}, "needs more than 64 MiB"),
        ({"x": tensor(shape=[150_000_000], float_val=[1.0])}, "its shape [150000000] needs more than 64 MiB beyond"),
        ({"x": tensor(shape=[0, 150_000_000])}, "its shape [0,150000000] needs more than 64 MiB beyond"),
        (
            {"x": tensor(shape=[10_000], dtype=7, string_val=[b"a" * 10_000])},
            "its shape [10000] needs more than 64 MiB",
        ),
        (
            {name: tensor(shape=[100_000_000], float_val=[1.0]) for name in "xyz"},
            "Sent extra: {y,z}.",  # nothing is allocated for inputs that the signature lacks
        ),
        ({"x": tensor(shape=[1] * 40, float_val=[1.0])}, 'Input "x": its shape has 40 dimensions'),
        (
            {"x": tensor(shape=[1], tensor_content=b"123")},
            "its tensor_content of 3 bytes is not a whole number of values",
        ),
        ({"x": tensor(shape=[1], dtype=20)}, 'Input "x": tensors of type resource cannot be sent'),
        ({"x": tensor(shape=[1], dtype=0)}, 'Input "x": tensors of type invalid cannot be sent'),
    ],
)
def test_invalid_inputs_are_refused(both: server.Server, inputs: dict[str, Any], expected: str) -> None:
    request = server.request("half_plus_two")
    for name, proto in inputs.items():
        request.inputs[name].CopyFrom(proto)
    code, message = refused(both.predictions.Predict, request)
    assert (code, expected in message) == (CODE.INVALID_ARGUMENT, True), message


def test_the_graph_decides_which_shapes_are_valid(both: server.Server) -> None:
    answer = both.predict("mixed", number=[[1.0]], word=np.array([b"a"], object))
    np.testing.assert_array_equal(answer["doubled"], np.array([[2.0]], np.float32))


def test_fewer_values_fill_a_shape_as_in_tensorflow(both: server.Server) -> None:
    request = server.request("half_plus_two")
    request.inputs["x"].CopyFrom(tensor(shape=[2, 2], float_val=[1.0, 2.0]))
    answer = both.predictions.Predict(request, timeout=20)
    np.testing.assert_array_equal(tf.make_ndarray(answer.outputs["y"]), [[2.5, 3.0], [3.0, 3.0]])
    request.inputs["x"].CopyFrom(tensor(shape=[3]))
    assert list(both.predictions.Predict(request, timeout=20).outputs["y"].float_val) == [2.0, 2.0, 2.0]


def test_regress_and_classify(both: server.Server) -> None:
    given = example(x=80.0), example(x=2.0)
    answer = both.predictions.Regress(of_examples(regression_pb2.RegressionRequest, "regress_x_to_y", *given))
    assert [each.value for each in answer.result.regressions] == [42.0, 3.0]
    assert answer.model_spec.signature_name == "regress_x_to_y"
    answer = both.predictions.Classify(of_examples(classification_pb2.ClassificationRequest, "labelled", *given))
    assert [[(each.label, each.score) for each in row.classes] for row in answer.result.classifications] == [
        [("up", 80.0), ("down", -80.0)],
        [("up", 2.0), ("down", -2.0)],
    ]
    request = of_examples(classification_pb2.ClassificationRequest, "classify_x_to_y", *given)
    [first, _] = both.predictions.Classify(request).result.classifications
    assert [(each.label, each.score) for each in first.classes] == [("", 42.0)]


def test_a_context_is_merged_into_each_example(both: server.Server) -> None:
    request = of_examples(
        regression_pb2.RegressionRequest, "regress_x_to_y", example(), example(x=2.0), context=example(x=80.0)
    )
    assert [each.value for each in both.predictions.Regress(request).result.regressions] == [42.0, 3.0]


@pytest.mark.parametrize(
    ("signature", "given", "message"),
    [
        ("regress_x_to_y", [], "Input is empty"),
        ("none", [example(x=1.0)], 'Serving signature key "none" not found'),
        ("", [example(x=1.0)], 'Expected one input Tensor "inputs" of serialized tf.Examples'),
        ("classify_x_to_y", [example(x=1.0)], "No regression outputs found in SignatureDef"),
        ("regress_x_to_y", [example()], "Feature: x (data type: float) is required"),
    ],
)
def test_examples_that_cannot_be_regressed_are_refused(
    both: server.Server, signature: str, given: list[Any], message: str
) -> None:
    request = of_examples(regression_pb2.RegressionRequest, signature, *given)
    error = refused(both.predictions.Regress, request)
    assert (error[0], message in error[1]) == (CODE.INVALID_ARGUMENT, True), error


def multi_inference(*tasks: tuple[str, str, str]) -> inference_pb2.MultiInferenceRequest:
    request = inference_pb2.MultiInferenceRequest()
    for name, signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = name, signature
    request.input.example_list.examples.append(example(x=80.0))
    return request


def test_multi_inference(both: server.Server) -> None:
    half = "half_plus_two"
    request = multi_inference((half, "regress_x_to_y", REGRESS), (half, "labelled", CLASSIFY))
    first, second = both.predictions.MultiInference(request, timeout=20).results
    assert first.regression_result.regressions[0].value == 42.0
    assert first.model_spec.version.value == models.VERSION
    assert second.classification_result.classifications[0].classes[0].label == "up"
    assert second.model_spec.signature_name == "labelled"


@pytest.mark.parametrize(
    ("tasks", "code", "message"),
    [
        ([], CODE.INVALID_ARGUMENT, "Inference request has no tasks"),
        (
            [("half_plus_two", "labelled", CLASSIFY), ("mixed", "x", CLASSIFY)],
            CODE.INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [("half_plus_two", "labelled", CLASSIFY)] * 2,
            CODE.INVALID_ARGUMENT,
            "Duplicate evaluation of signature: labelled",
        ),
        ([("half_plus_two", "labelled", "m")], CODE.UNIMPLEMENTED, "Unsupported signature method_name: m"),
    ],
)
def test_invalid_multi_inference_requests_are_refused(
    both: server.Server, tasks: list[Any], code: grpc.StatusCode, message: str
) -> None:
    error = refused(both.predictions.MultiInference, multi_inference(*tasks))
    assert (error[0], message in error[1]) == (code, True), error


def test_model_metadata(both: server.Server) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "half_plus_two"
    answer = both.predictions.GetModelMetadata(request, timeout=20)
    assert answer.model_spec.version.value == models.VERSION
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["serving_default"].method_name == "tensorflow/serving/predict"
    assert "regress_x_to_y" in signatures.signature_def
    request.metadata_field.append("other")
    assert refused(both.predictions.GetModelMetadata, request) == (
        CODE.INVALID_ARGUMENT,
        "Metadata field other is not supported",
    )
    del request.metadata_field[:]
    assert "at least one metadata_field" in refused(both.predictions.GetModelMetadata, request)[1]


def test_model_status(both: server.Server) -> None:
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "half_plus_two"
    [version] = both.models.GetModelStatus(request, timeout=20).model_version_status
    assert (version.version, version.state) == (models.VERSION, server.State.AVAILABLE)
    request.model_spec.version.value = 9
    assert refused(both.models.GetModelStatus, request) == (
        CODE.NOT_FOUND,
        "Could not find version 9 of model half_plus_two",
    )
    request.model_spec.name = "none"
    assert refused(both.models.GetModelStatus, request)[1] == "Could not find any versions of model none"
    empty = get_model_status_pb2.GetModelStatusRequest()
    assert refused(both.models.GetModelStatus, empty) == (CODE.INVALID_ARGUMENT, "Missing ModelSpec")


HEALTH_NAMES = [
    "",
    "PredictionService",
    "ModelService",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
]


def test_health_and_reflection(both: server.Server) -> None:
    health = health_pb2_grpc.HealthStub(both.channel)
    for service in HEALTH_NAMES:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=20)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    stub = reflection_pb2_grpc.ServerReflectionStub(both.channel)
    questions = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="tensorflow.serving.ModelService"),
    ]
    listed, described = stub.ServerReflectionInfo(iter(questions), timeout=20)
    names = {each.name for each in listed.list_services_response.service}
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= names
    assert described.file_descriptor_response.file_descriptor_proto


def test_requests_are_counted_under_tf_servings_names(both: server.Server) -> None:
    both.predict("half_plus_two", x=[1.0, 2.0])
    requests.post(f"{both.rest}/v1/models/half_plus_two:predict", json={"instances": [1.0]}, timeout=20)
    refused(both.predictions.Predict, server.request("none"))
    for path in ("/metrics", "/monitoring/prometheus/metrics"):
        text = requests.get(both.rest + path, timeout=20).text
        for line in (
            ':tensorflow:serving:request_count{model_name="half_plus_two",status="OK"}',
            ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"}',
            ':tensorflow:serving:request_latency_bucket{API="Predict",entrypoint="GRPC",le="10.0",model_name="half_plus_two"}',
            ':tensorflow:serving:request_latency_count{API="predict",entrypoint="REST",model_name="half_plus_two"}',
            ':tensorflow:serving:runtime_latency_count{API="Predict",model_name="half_plus_two",runtime="TF1"}',
            ':tensorflow:serving:request_example_counts_sum{model="half_plus_two"}',
            ":tensorflow:cc:saved_model:load_attempt_count{",
            f'taxiway_model_version_state{{model_name="half_plus_two",version="{models.VERSION}"}} 30.0',
        ):
            assert line in text, line


@pytest.mark.parametrize("method", ["Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"])
def test_invalid_protobuf_messages_are_refused(both: server.Server, method: str) -> None:
    call = both.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
    for junk in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", bytes(range(256))):
        with pytest.raises(grpc.RpcError) as error:
            call(junk, timeout=20)
        assert error.value.code() in (CODE.INTERNAL, CODE.INVALID_ARGUMENT, CODE.UNKNOWN)


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(st.binary(max_size=300), st.sampled_from(["Predict", "Classify", "MultiInference"]))
def test_fuzzed_messages_are_answered(both: server.Server, junk: bytes, method: str) -> None:
    call = both.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
    code = call.future(junk, timeout=20).code()
    assert code not in (CODE.UNAVAILABLE, CODE.DEADLINE_EXCEEDED)


def test_a_request_that_is_too_large_is_refused(both: server.Server) -> None:
    request = server.request("half_plus_two", x=np.zeros(17 << 20, np.float32))
    code, message = refused(both.predictions.Predict, request)
    assert code == CODE.RESOURCE_EXHAUSTED
    assert "larger than max" in message


def test_tensors_of_every_type_are_returned(saved: Callable[[str], Path], tmp_path: Path) -> None:
    models.publish(saved("types"), tmp_path / "types", 1)
    given: dict[str, np.ndarray] = {}
    for kind in ("float16", "float32", "float64", "complex64", "complex128"):
        given[kind] = np.array([[1.5, -2.25], [3.0, 0.0]], kind)
    given["bfloat16"] = np.array([[1.5, -2.0]] * 2, tf.bfloat16.as_numpy_dtype)
    given["bool"] = np.array([[True, False]] * 2)
    given["string"] = np.array([[b"a", b"\xff\x00"], [b"", b"\xc3\xbc"]], object)
    for bits in (8, 16, 32, 64):
        given[f"int{bits}"] = np.array([[np.iinfo(f"int{bits}").min, -1]] * 2, f"int{bits}")
        given[f"uint{bits}"] = np.array([[np.iinfo(f"uint{bits}").max, 1]] * 2, f"uint{bits}")
    with server.running(tmp_path, tmp_path / "types") as running:
        running.wait("types", {1: "AVAILABLE"})
        answer = running.predict("types", **given)
    assert answer.keys() == {f"{name}_back" for name in given}
    for name, array in given.items():
        assert answer[f"{name}_back"].dtype == array.dtype, name
        np.testing.assert_array_equal(answer[f"{name}_back"], array)


@pytest.fixture(scope="module")
def slow(saved: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    folder = tmp_path_factory.mktemp("slow")
    models.publish(saved("slow"), folder / "slow", 1)
    with server.running(folder, folder / "slow", "--max-waiting", "6") as running:
        running.wait("slow", {1: "AVAILABLE"})
        yield running


def test_a_deadline_is_respected(slow: server.Server) -> None:
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as error:
        slow.predict("slow", timeout=0.05, x=[[1.0]])
    assert error.value.code() == CODE.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 5
    assert slow.predict("slow", x=[[1.0, 2.0]])["y"] == [3.0]


def test_a_disconnected_client_does_no_harm(slow: server.Server) -> None:
    calls = [slow.predictions.Predict.future(server.request("slow", x=[[1.0]])) for _ in range(4)]
    for call in calls:
        call.cancel()
    assert slow.predict("slow", x=[[2.0]])["y"] == [2.0]


def test_requests_beyond_the_limit_are_refused_immediately(slow: server.Server) -> None:
    calls = [slow.predictions.Predict.future(server.request("slow", x=[[float(n)]]), timeout=60) for n in range(40)]
    codes = [call.code() for call in calls]
    assert set(codes) == {CODE.OK, CODE.UNAVAILABLE}
    assert "requests are waiting for the model" in calls[codes.index(CODE.UNAVAILABLE)].details()
    answered = [n for n, code in enumerate(codes) if code == CODE.OK]
    assert len(answered) >= 6
    for n in answered:
        assert list(calls[n].result().outputs["y"].float_val) == [float(n)]
    assert slow.predict("slow", x=[[2.0]])["y"] == [2.0]


def test_grpc_and_rest_give_the_same_answers_concurrently(both: server.Server) -> None:
    wrong: list[Any] = []

    def ask(n: int) -> None:
        for k in range(20):
            x = float(n * 100 + k)
            answer = both.predict("half_plus_two", x=[x])["y"].tolist()
            url = f"{both.rest}/v1/models/half_plus_two:predict"
            body = requests.post(url, data=json.dumps({"instances": [x]}), timeout=20).json()
            if answer != [x / 2 + 2] or body != {"predictions": answer}:
                wrong.append((x, answer, body))

    threads = [threading.Thread(target=ask, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_reload_cannot_reach_other_folders(both: server.Server) -> None:
    for base_path, code, message in (
        ("/etc", CODE.PERMISSION_DENIED, "is outside the folders that this server was started with"),
        ("half_plus_two", CODE.INVALID_ARGUMENT, "is not absolute"),
        ("", CODE.INVALID_ARGUMENT, "base_path is ''"),
    ):
        request = model_management_pb2.ReloadConfigRequest()
        request.config.model_config_list.config.add(name="x", base_path=base_path)
        error = refused(both.models.HandleReloadConfigRequest, request)
        assert (error[0], message in error[1]) == (code, True), error
    empty = model_management_pb2.ReloadConfigRequest()
    assert "no model_config_list" in refused(both.models.HandleReloadConfigRequest, empty)[1]
