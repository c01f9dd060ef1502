"""The behaviour that TF Serving's own end-to-end tests check; each server is a process.

What docs/serving/server.md lists as different is not here: TensorFlow Lite, the profiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

from taxiway.serving import examples
from taxiway.serving.errors import ServingError
from taxiway.serving.model.signatures import Signature, TensorInfo
from tests import forked
from tests.taxiway.serving import models, server

CODE = grpc.StatusCode
_NAMES = {
    "half_plus_two": "half_graph",
    "half_plus_two_tf2": "half_tf2",
    "half_plus_three": "bare_graph",
    "shapes": "shapes",
    "counter": "counter",
    "keras": "keras",
}


@pytest.fixture(scope="module")
def running(saved: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Server]:
    given = {name: saved(model) for name, model in _NAMES.items()}
    with server.running_all(tmp_path_factory.mktemp("tf_serving_server"), given) as running:
        yield running


def predict_request(name: str, signature: str = "", *shape: int, **inputs: float) -> predict_pb2.PredictRequest:
    """A request whose inputs are float_val, as a client without TensorFlow writes them."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in inputs.items():
        request.inputs[key].dtype = tf.float32.as_datatype_enum
        request.inputs[key].float_val.append(value)
        for size in shape:
            request.inputs[key].tensor_shape.dim.add(size=size)
    return request


def of_examples(kind: Any, name: str, signature: str, x: float) -> Any:
    request = kind()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(x)
    return request


@pytest.mark.parametrize("only_y", [True, False])
@pytest.mark.parametrize(
    ("name", "signature", "shape", "answer"),
    [
        ("half_plus_two", "serving_default", [1], 3.0),
        ("half_plus_two", "serving_default", [], 3.0),
        ("half_plus_two", "serving_default", [1, 1], 3.0),
        ("half_plus_three", "serving_default", [1], 4.0),
        ("half_plus_two_tf2", "serving_default", [1], 3.0),
        ("half_plus_two_tf2", "constant", [], 2.0),
        ("keras", "serving_default", [1, 1], 2.0),
    ],
)
def test_predict(
    running: server.Server, name: str, signature: str, shape: list[int], answer: float, only_y: bool
) -> None:
    request = predict_request(name, signature, *shape, x=2.0)
    request.output_filter.extend(["y"] if only_y else [])
    result = running.predictions.Predict(request, timeout=20)
    assert list(result.outputs) == ["y"]
    assert result.outputs["y"].dtype == tf.float32.as_datatype_enum
    assert list(result.outputs["y"].float_val) == [answer]
    assert (result.model_spec.name, result.model_spec.signature_name) == (name, signature)
    assert result.model_spec.version.value == models.VERSION


@pytest.mark.parametrize("name", ["half_plus_two", "half_plus_two_tf2"])
def test_classify_regress_and_multi_inference(running: server.Server, name: str) -> None:
    classify = of_examples(classification_pb2.ClassificationRequest, name, "classify_x_to_y", 2.0)
    result = running.predictions.Classify(classify, timeout=20)
    [[found]] = [each.classes for each in result.result.classifications]
    assert found.score == 3.0
    regress = of_examples(regression_pb2.RegressionRequest, name, "regress_x_to_y", 2.0)
    answer = running.predictions.Regress(regress, timeout=20)
    assert [each.value for each in answer.result.regressions] == [3.0]
    for spec, signature in ((result.model_spec, "classify_x_to_y"), (answer.model_spec, "regress_x_to_y")):
        assert (spec.name, spec.signature_name, spec.version.value) == (name, signature, models.VERSION)
    both = inference_pb2.MultiInferenceRequest(input=regress.input)
    for request, method in ((regress, examples.REGRESS), (classify, examples.CLASSIFY)):
        both.tasks.add(method_name=method).model_spec.CopyFrom(request.model_spec)
    first, second = running.predictions.MultiInference(both, timeout=20).results
    assert first.regression_result.regressions[0].value == 3.0
    assert second.classification_result.classifications[0].classes[0].score == 3.0
    for inferred, task in ((first, both.tasks[0]), (second, both.tasks[1])):
        assert inferred.model_spec.signature_name == task.model_spec.signature_name
        assert inferred.model_spec.version.value == models.VERSION


@pytest.mark.parametrize("signature", ["tensorflow/serving/regress", "called_float"])
def test_examples_are_accepted_for_any_declared_types(running: server.Server, signature: str) -> None:
    request = of_examples(regression_pb2.RegressionRequest, "half_plus_three", signature, 1.0)
    [result] = running.predictions.Regress(request, timeout=20).result.regressions
    assert result.value == 3.5
    request = of_examples(classification_pb2.ClassificationRequest, "half_plus_three", "classify", 1.0)
    [row] = running.predictions.Classify(request, timeout=20).result.classifications
    assert [(each.label, each.score) for each in row.classes] == [("", 3.5)]


def test_missing_inputs_have_the_signatures_defaults(running: server.Server) -> None:
    def predicted(**inputs: float) -> Any:
        return running.predictions.Predict(predict_request("shapes", "defaults", **inputs), timeout=20)

    assert list(predicted(x=2.0).outputs["y"].float_val) == [3.0]
    assert list(predicted(x=2.0, offset=10.0).outputs["y"].float_val) == [11.0]
    with pytest.raises(grpc.RpcError) as error:
        predicted(offset=10.0)
    assert error.value.code() is CODE.INVALID_ARGUMENT
    assert "Missing but required: {x}." in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        predicted(x=2.0, z=1.0)
    assert "Sent extra: {z}. Missing but required: {}." in error.value.details()


def test_reference_outputs_are_returned(running: server.Server) -> None:
    def predicted(signature: str, **inputs: float) -> list[float]:
        answer = running.predictions.Predict(predict_request("counter", signature, **inputs), timeout=20)
        assert answer.outputs["output"].dtype == tf.float32.as_datatype_enum
        return list(answer.outputs["output"].float_val)

    assert predicted("reset_counter") == [0.0]
    assert predicted("incr_counter") == [1.0]
    assert predicted("incr_counter_by", delta=3.0) == [4.0]
    assert predicted("get_counter") == [4.0]


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        ("fed_counter", "Input 0 of node AssignAdd_2 was passed float from"),
        ("sparse", '"x" is not a dense tensor but coo_sparse'),
        ("resource", '"output" has the type resource, which cannot be sent'),
        ("lost", '"output" names the tensor nowhere:0, which is not in the graph'),
    ],
)
def test_a_signature_that_cannot_be_called_is_explained(running: server.Server, signature: str, why: str) -> None:
    assert f"version {models.VERSION}: the signature '{signature}' cannot be called: {why}" in running.log.read_text()
    with pytest.raises(grpc.RpcError) as error:
        running.predictions.Predict(predict_request("counter", signature), timeout=20)
    assert (error.value.code(), why in error.value.details()) == (CODE.UNIMPLEMENTED, True)
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "counter"
    answer = running.predictions.GetModelMetadata(request, timeout=20)
    assert (answer.model_spec.name, list(answer.metadata)) == ("counter", ["signature_def"])
    found = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(found)
    assert signature in found.signature_def


def test_prometheus_metrics(running: server.Server) -> None:
    assert "# TYPE" in requests.get(f"{running.rest}/monitoring/prometheus/metrics", timeout=20).text


def test_a_configuration_file_is_reloaded_and_a_bad_one_is_not_served(
    saved: Callable[[str], Path], tmp_path: Path
) -> None:
    config = 'model_config_list: {{ config: {{ name: "{0}", base_path: "{1}", model_platform: "tensorflow" }} }}'
    for name, model in (("half_plus_two", "half_graph"), ("half_plus_three", "bare_graph")):
        models.publish(saved(model), tmp_path / name, models.VERSION)
    file = tmp_path / "model_config.txt"
    file.write_text(config.format("half_plus_two", tmp_path / "half_plus_two"))
    with server.running(tmp_path, "--config", file) as running:
        running.wait("half_plus_two", {models.VERSION: "AVAILABLE"})
        file.write_text(config.format("half_plus_three", tmp_path / "half_plus_three"))
        running.wait("half_plus_three", {models.VERSION: "AVAILABLE"})
        answer = running.predictions.Predict(predict_request("half_plus_three", "", 1, x=2.0), timeout=20)
        assert list(answer.outputs["y"].float_val) == [4.0]
        assert running.states("half_plus_two") == {}
    file.write_text("improperly formatted file")
    log = tmp_path / "ended.log"
    ended = forked.Process("taxiway", ["serve", "--config", str(file)], log)
    assert ended.wait(60) != 0
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in log.read_text()


class Reflected:
    """A client that reads the server's message types by reflection, like grpcurl."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel, self._pool = channel, descriptor_pool.DescriptorPool()
        self._stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self._seen = set[str]()

    def services(self) -> list[str]:
        """The services' names."""
        [answer] = self._asked(list_services="")
        return [each.name for each in answer.list_services_response.service]

    def describe(self, service: str) -> Any:
        """A service's descriptor, after loading all files that it needs."""
        self._add(file_containing_symbol=service)
        return self._pool.FindServiceByName(service)

    def call(self, service: str, method: str, request: dict[str, Any]) -> Any:
        """Calls a method with JSON, and returns JSON."""
        descriptor = self.describe(service).methods_by_name[method]
        kinds = [message_factory.GetMessageClass(each) for each in (descriptor.input_type, descriptor.output_type)]
        call = self._channel.unary_unary(
            f"/{service}/{method}", lambda message: message.SerializeToString(), kinds[1].FromString
        )
        answer = call(json_format.ParseDict(request, kinds[0]()), timeout=20)
        return json_format.MessageToDict(answer, preserving_proto_field_name=True)

    def _asked(self, **question: str) -> list[Any]:
        return list(self._stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)])))

    def _add(self, **question: str) -> None:
        [answer] = self._asked(**question)
        assert not answer.HasField("error_response"), (question, answer.error_response)
        for data in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name not in self._seen:
                self._seen.add(file.name)
                for name in file.dependency:
                    self._add(file_by_filename=name)
                self._pool.Add(file)


def test_reflection_describes_every_service(running: server.Server) -> None:
    client = Reflected(running.channel)
    services = client.services()
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= set(services)
    for service in services:
        assert client.describe(service).methods
    tensor = {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": 1}]}, "floatVal": [2.0]}
    request = {"modelSpec": {"name": "half_plus_two"}, "inputs": {"x": tensor}}
    answer = client.call("tensorflow.serving.PredictionService", "Predict", request)
    assert answer["outputs"]["y"]["float_val"] == [3.0]
    answer = client.call("tensorflow.serving.ModelService", "GetModelStatus", {"modelSpec": {"name": "half_plus_two"}})
    assert answer["model_version_status"][0]["version"] == str(models.VERSION)


def test_a_shape_that_the_graph_rejects_is_invalid_argument() -> None:
    signature = Signature("s", "", {"x": TensorInfo("x:0", 1, np.dtype("float32"), (None, 2))}, {})
    for code, shape, found in (
        (CODE.ABORTED, [3], CODE.INVALID_ARGUMENT),
        (CODE.INTERNAL, [1, 3], CODE.INVALID_ARGUMENT),
        (CODE.INTERNAL, [1, 2], CODE.INTERNAL),
        (CODE.UNAVAILABLE, [3], CODE.UNAVAILABLE),
    ):
        error = signature.explained(ServingError(code, "words"), {"x": np.zeros(shape, np.float32)})
        assert error.code is found
        assert ("the signature has [?,2]. words" in error.message) == (found is CODE.INVALID_ARGUMENT)


STRINGS, FLOATS = np.array([[b"a", b"b"]] * 2, object), np.zeros((2, 2), np.float32)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ({"classes": STRINGS[:1], "scores": FLOATS}, "Expected classes output batch size of 2. Got: 1"),
        ({"classes": FLOATS, "scores": FLOATS}, "Expected classes Tensor of DT_STRING"),
        ({"classes": STRINGS, "scores": FLOATS[:1]}, "Expected scores output batch size of 2. Got: 1"),
        ({"classes": STRINGS, "scores": STRINGS}, "Expected scores Tensor of DT_FLOAT"),
        ({"scores": FLOATS.astype("float64")}, "Expected scores Tensor of DT_FLOAT"),
        ({"scores": FLOATS[0]}, "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        (
            {"classes": STRINGS, "scores": np.zeros((2, 3), np.float32)},
            "Tensors class and score should match in dim_size(1). Got 2 vs. 3",
        ),
    ],
)
def test_invalid_classification_outputs_are_refused(outputs: dict[str, np.ndarray], expected: str) -> None:
    with pytest.raises(ServingError) as error:
        examples.classifications(outputs, 2)
    assert (error.value.code, expected in error.value.message) == (CODE.INVALID_ARGUMENT, True), error.value.message


def test_classes_and_scores_are_optional() -> None:
    for outputs, expected in (
        ({"classes": STRINGS}, [("a", 0.0), ("b", 0.0)]),
        ({"scores": FLOATS}, [("", 0.0), ("", 0.0)]),
        ({"classes": STRINGS, "scores": FLOATS + 2}, [("a", 2.0), ("b", 2.0)]),
    ):
        result = examples.classifications(outputs, 2)
        assert [[(c.label, c.score) for c in row.classes] for row in result.classifications] == [expected] * 2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros((2, 2), np.float32), "Expected output Tensor shape to be either [batch_size] or [batch_size, 1]"),
        (np.zeros(3, np.float32), "for the batch size 2"),
        (np.zeros(2), "Expected output Tensor of DT_FLOAT. Got: float64"),
        (np.array([b"a", b"b"], object), "Expected output Tensor of DT_FLOAT. Got: string"),
    ],
)
def test_invalid_regression_outputs_are_refused(values: np.ndarray, expected: str) -> None:
    with pytest.raises(ServingError) as error:
        examples.regressions({"outputs": values}, 2)
    assert (error.value.code, expected in error.value.message) == (CODE.INVALID_ARGUMENT, True), error.value.message
