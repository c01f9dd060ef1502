"""The REST side over real SavedModels, as a process: what the tests of test_rest*.py talk to.

    python -m tests.taxiway.serving.rest_server FOLDER

`half_plus_two`, version 123, is TF Serving's own example: y = x / 2 + 2 as `serving_default`, `classify_x_to_y` and
`regress_x_to_y`. `mixed` has two inputs and three outputs. Prints the address once it listens.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
from aiohttp import web
from google.protobuf import json_format
from prometheus_client import CollectorRegistry
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    regression_pb2,
)

from taxiway.serving import rest
from taxiway.serving.errors import ServingError

VERSION = 123
CHECKOUT = Path(__file__).parents[3]


def _half_plus_two(tf: Any) -> tuple[Any, dict[str, Any]]:
    module = tf.Module()
    module.half = tf.Variable(0.5)
    spec = {"x": tf.io.FixedLenFeature([], tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, "x")])
    def predict(x: Any) -> dict[str, Any]:
        return {"y": x * module.half + 2.0}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify(inputs: Any) -> dict[str, Any]:
        return {"scores": tf.io.parse_example(inputs, spec)["x"][:, None] * module.half + 2.0}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def regress(inputs: Any) -> dict[str, Any]:
        return {"outputs": tf.io.parse_example(inputs, spec)["x"][:, None] * module.half + 2.0}

    return module, {"serving_default": predict, "classify_x_to_y": classify, "regress_x_to_y": regress}


def _mixed(tf: Any) -> tuple[Any, dict[str, Any]]:
    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float32, "number"), tf.TensorSpec([None], tf.string, "word")]
    )
    def predict(number: Any, word: Any) -> dict[str, Any]:
        return {"doubled": number * 2.0, "same": tf.identity(word), "raw_bytes": tf.identity(word)}

    return tf.Module(), {"serving_default": predict}


class _Model:
    version = VERSION

    def __init__(self, tf: Any, name: str, folder: Path) -> None:
        self.name = name
        self._tf = tf
        self._loaded = tf.saved_model.load(str(folder))

    def signature(self, name: str) -> Any:
        name = name or "serving_default"
        if name not in self._loaded.signatures:
            raise ServingError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        specs = self._loaded.signatures[name].structured_input_signature[1]
        return SimpleNamespace(inputs={key: _info(spec) for key, spec in specs.items()})

    async def predict(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = {key: self._tf.constant(value) for key, value in inputs.items()}
        try:
            outputs = self._loaded.signatures[name or "serving_default"](**tensors)
        except (self._tf.errors.OpError, TypeError, ValueError) as error:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        return {key: value.numpy() for key, value in outputs.items()}

    async def _scores(self, name: str, output: str, examples: Sequence[bytes]) -> list[float]:
        signature = self.signature(name)
        if list(signature.inputs) != ["inputs"]:
            raise ServingError(grpc.StatusCode.INVALID_ARGUMENT, "Expected a signature of examples")
        outputs = await self.predict(name, {"inputs": np.array(examples, object)})
        return [float(row[0]) for row in outputs[output]]

    async def classify(self, name: str, examples: Sequence[bytes]) -> Any:
        result = classification_pb2.ClassificationResult()
        for score in await self._scores(name, "scores", examples):
            result.classifications.add().classes.add(score=score)
        return result

    async def regress(self, name: str, examples: Sequence[bytes]) -> Any:
        result = regression_pb2.RegressionResult()
        for value in await self._scores(name, "outputs", examples):
            result.regressions.add(value=value)
        return result


def _info(spec: Any) -> Any:
    return SimpleNamespace(
        dtype=spec.dtype.as_numpy_dtype, shape=None if spec.shape.rank is None else tuple(spec.shape)
    )


class _Operations:
    metrics = SimpleNamespace(registry=CollectorRegistry())

    def __init__(self, models: Mapping[str, _Model]) -> None:
        self._models = models

    def _found(self, spec: Any) -> _Model:
        if spec.version_label not in ("", "stable"):
            raise ServingError(
                grpc.StatusCode.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}"
            )
        if spec.name not in self._models or (spec.HasField("version") and spec.version.value != VERSION):
            wanted = (
                f"Specific({spec.name}, {spec.version.value})" if spec.HasField("version") else f"Latest({spec.name})"
            )
            raise ServingError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
        return self._models[spec.name]

    @asynccontextmanager
    async def lease(self, spec: Any) -> AsyncIterator[_Model]:
        yield self._found(spec)

    def status(self, spec: Any) -> Any:
        self._found(spec)
        status = {"version": str(VERSION), "state": "AVAILABLE", "status": {}}
        return json_format.ParseDict({"model_version_status": [status]}, get_model_status_pb2.GetModelStatusResponse())

    def metadata(self, spec: Any) -> Any:
        model = self._found(spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        signature = signatures.signature_def["serving_default"]
        signature.method_name = "tensorflow/serving/predict"
        for key in model.signature("").inputs:
            signature.inputs[key].name = key
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = model.name
        answer.model_spec.version.value = model.version
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def ready(self) -> bool:
        return True

    def names(self) -> Sequence[str]:
        return list(self._models)

    def labels(self, _name: str) -> Mapping[str, int]:
        return {"stable": VERSION}


def _loaded(folder: Path) -> dict[str, _Model]:
    import tensorflow as tf

    models = {}
    for name, build in (("half_plus_two", _half_plus_two), ("mixed", _mixed)):
        module, signatures = build(tf)
        tf.saved_model.save(module, str(folder / name / str(VERSION)), signatures=signatures)
        models[name] = _Model(tf, name, folder / name / str(VERSION))
    return models


async def _serve(folder: Path) -> None:
    runner = web.AppRunner(rest.application(_Operations(_loaded(folder))), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The address of a server that ends with the block."""
    command = [sys.executable, "-m", "tests.taxiway.serving.rest_server", str(folder)]
    with Popen(command, stdout=PIPE, text=True, cwd=CHECKOUT) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
