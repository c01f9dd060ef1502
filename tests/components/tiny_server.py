"""A minimal model server with TF Serving's gRPC API, which can inject faults.

    python -m tests.components.tiny_server serve FOLDER --port PORT --rest-port 0 --address-file FILE

The environment variable `TINY_FAULT` sets the fault, and `TINY_HOST` the address to listen on.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

Status = get_model_status_pb2.ModelVersionStatus
FAULT = os.environ.get("TINY_FAULT", "")


class Models(model_service_pb2_grpc.ModelServiceServicer):
    """Reports that the version is available, or its error."""

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        version = Status(version=1, state=Status.LOADING if FAULT == "loading" else Status.AVAILABLE)
        if FAULT == "load":
            version.state = Status.END
            version.status.error_message = "Could not find meta graph def matching supplied tags: { serve }"
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=[version])


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Runs a SavedModel's signatures."""

    def __init__(self, saved_model: Path) -> None:
        self.signatures = tf.saved_model.load(str(saved_model)).signatures

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        if FAULT == "request":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "input size does not match signature: 3 != 1")
        if FAULT == "death":
            os.kill(os.getpid(), signal.SIGKILL)
        if FAULT == "slow":
            time.sleep(0.05)
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        outputs = self._run(request, inputs)
        response = predict_pb2.PredictResponse()
        for name, values in outputs.items():
            response.outputs[name + ("s" if FAULT == "name" else "")].CopyFrom(tf.make_tensor_proto(_wrong(values)))
        return response

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:
        outputs = self._run(request, {"inputs": _serialized(request)})
        response = classification_pb2.ClassificationResponse()
        for score in outputs["scores"].numpy():
            response.result.classifications.add().classes.add(label="big", score=score[0])
        if FAULT == "rows":
            del response.result.classifications[0]
        return response

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:
        outputs = self._run(request, {"inputs": _serialized(request)})
        response = regression_pb2.RegressionResponse()
        for value in outputs["outputs"].numpy():
            response.result.regressions.add(value=value[0])
        return response

    def _run(self, request: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        return dict(self.signatures[request.model_spec.signature_name](**inputs))


def _serialized(request: Any) -> Any:
    return tf.constant([example.SerializeToString() for example in request.input.example_list.examples])


def _wrong(values: Any) -> Any:
    faults = {
        "nan": lambda: values * float("nan"),
        "dtype": lambda: tf.cast(values, tf.float64),
        "shape": lambda: tf.concat([values, values], axis=-1),
        "rows": lambda: values[:0],
        "random": lambda: values + random.random(),
    }
    return faults.get(FAULT, lambda: values)()


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--rest-port", type=int)
    parser.add_argument("--address-file", type=Path)
    options = parser.parse_args()
    print("a tiny server starts", flush=True)
    if FAULT == "start":
        sys.exit("no port is free")
    server = grpc.server(futures.ThreadPoolExecutor(4))
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(), server)
    if FAULT not in ("load", "loading"):
        served = Predictions(options.folder / "1")
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(served, server)
    host = os.environ.get("TINY_HOST", "127.0.0.1")
    port = server.add_insecure_port(f"{host}:{options.port}")
    server.start()
    if options.address_file and FAULT != "silence":
        partial = options.address_file.with_suffix(".partial")
        partial.write_text(f"{host}:{port}\n")
        partial.rename(options.address_file)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
