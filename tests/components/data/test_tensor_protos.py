"""Decoded tensors compared with TensorFlow's own, and how much memory a small request can allocate."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.contract.errors import DataError
from components.data import prediction_logs, tensor_protos, tfrecord
from components.data.serving_stubs import predict_pb2, tensor_pb2, types_pb2
from taxiway.routing.request_fields import feature_of_grpc

KINDS = ["float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
KINDS += ["uint64", "bool", "complex64", "complex128"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packed", [True, False])
def test_decoded_tensors_equal_those_of_tensorflow(kind: str, packed: bool) -> None:
    import tensorflow as tf

    dtype = tf.as_dtype(kind)
    array = np.array([[1, 0], [3, 4]]).astype(dtype.as_numpy_dtype)
    sent = tensor_protos.to_proto(array, dtype.as_datatype_enum, packed=packed)
    assert np.array_equal(tf.make_ndarray(sent), array)
    assert np.array_equal(tensor_protos.from_proto(sent), array)
    assert tensor_protos.first_value(sent) == 1
    repeated = tf.make_tensor_proto(array[:1, :1].reshape(1), shape=[2, 2])
    assert np.array_equal(tensor_protos.from_proto(repeated), np.ones((2, 2), array.dtype))


def test_string_tensors_and_unknown_types() -> None:
    import tensorflow as tf

    array = np.array([b"a", b"\xff"], dtype=object)
    sent = tensor_protos.to_proto(array, types_pb2.DT_STRING, packed=True)
    assert tf.make_ndarray(sent).tolist() == array.tolist()
    assert tensor_protos.first_value(sent) == b"a"
    assert tensor_protos.from_proto(tf.make_tensor_proto([["a"], ["b"]])).tolist() == [[b"a"], [b"b"]]
    for read in (tensor_protos.from_proto, tensor_protos.first_value):
        with pytest.raises(ValueError, match="tensors of type qint8 cannot be sent"):
            read(tensor_pb2.TensorProto(dtype=types_pb2.DT_QINT8))
    with pytest.raises(ValueError, match="it has no value"):
        tensor_protos.first_value(tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT))


# How much memory a small request can allocate


def vast(**inputs: int) -> Any:
    """A small request: each input has a large shape, and one value to fill it."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "taxi"
    for name, size in inputs.items():
        tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[7.0])
        tensor.tensor_shape.dim.add(size=size)
        request.inputs[name].CopyFrom(tensor)
    return request


def peak_mb(call: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_a_router_decodes_only_one_value() -> None:
    serialized = vast(fare=150_000_000).SerializeToString()
    found: list[Any] = []
    assert peak_mb(lambda: found.append(feature_of_grpc("Predict", serialized, "fare"))) < 1
    assert found == [b"7"]


def test_the_inputs_of_a_request_share_one_budget() -> None:
    request = vast(a=100_000_000, b=100_000_000)

    def read() -> None:
        with pytest.raises(ValueError, match=r'^Input "a": its shape \[100000000\] needs more than 64 MiB beyond'):
            tensor_protos.from_protos({"a": request.inputs["a"], "b": request.inputs["b"]}, 64 << 20)

    assert peak_mb(read) < 1
    small = vast(a=10_000, b=10_000)
    inputs = {"a": small.inputs["a"], "b": small.inputs["b"]}
    assert {name: len(array) for name, array in tensor_protos.from_protos(inputs, 80_000).items()} == {
        "a": 10_000,
        "b": 10_000,
    }
    with pytest.raises(ValueError, match=r'^Input "b"'):
        tensor_protos.from_protos(inputs, 79_000)


def test_a_request_log_of_such_a_request_is_refused(tmp_path: Path) -> None:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    log.predict_log.request.CopyFrom(vast(fare=150_000_000))
    with (tmp_path / "log").open("wb") as file:
        tfrecord.write_records(file, [log.SerializeToString()])

    def read() -> None:
        with pytest.raises(DataError, match=r'log, record 1: Input "fare": its shape \[150000000\] needs more than'):
            list(prediction_logs.read_rows([tmp_path / "log"]))

    assert peak_mb(read) < 1


def test_the_shape_of_a_rest_request_is_that_of_its_values() -> None:
    from taxiway.routing.request_fields import feature_of_rest

    body = json.dumps({"inputs": {"fare": {"dtype": "DT_FLOAT", "shape": [150_000_000], "float_val": [7.0]}}})
    assert peak_mb(lambda: feature_of_rest(body.encode(), "fare")) < 1
