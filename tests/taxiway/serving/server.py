"""A real model server as a process, and a client that uses the public stubs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests import forked
from tests.taxiway.serving import models

CHECKOUT = Path(__file__).parents[3]
State = get_model_status_pb2.ModelVersionStatus


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[bytes] | forked.Process
    address: str
    rest: str
    log: Path
    channel: grpc.Channel

    @property
    def predictions(self) -> Any:
        return prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    @property
    def models(self) -> Any:
        return model_service_pb2_grpc.ModelServiceStub(self.channel)

    def states(self, name: str) -> dict[int, str]:
        """The states of a model's versions by number."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        try:
            statuses = self.models.GetModelStatus(request, timeout=20).model_version_status
        except grpc.RpcError:
            return {}
        return {each.version: State.State.Name(each.state) for each in statuses}

    def error(self, name: str, version: int) -> str:
        """Why a version was not loaded."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        request.model_spec.version.value = version
        [statuses] = self.models.GetModelStatus(request, timeout=20).model_version_status
        return str(statuses.status.error_message)

    def wait(self, name: str, wanted: dict[int, str], seconds: float = 60) -> None:
        """Waits until versions have certain states."""
        deadline = time.monotonic() + seconds
        while not wanted.items() <= (states := self.states(name)).items():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"{states}\n{self.log.read_text()}"
            time.sleep(0.02)

    def predict(self, name: str, timeout: float = 30, **inputs: Any) -> dict[str, np.ndarray]:
        """Calls the default signature."""
        answer = self.predictions.Predict(request(name, **inputs), timeout=timeout)
        return {key: tf.make_ndarray(value) for key, value in answer.outputs.items()}

    def rss_mb(self) -> float:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> int:
        """Sends SIGTERM, waits, and returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def request(name: str, signature: str = "", **inputs: Any) -> predict_pb2.PredictRequest:
    """A request with the inputs as float32; arrays keep their type."""
    found = predict_pb2.PredictRequest()
    found.model_spec.name = name
    found.model_spec.signature_name = signature
    for key, value in inputs.items():
        array = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
        found.inputs[key].CopyFrom(tf.make_tensor_proto(array))
    return found


def ask(url: str, body: Any = None) -> tuple[int, Any]:
    """Sends a REST request: POST if there is a body; bytes unchanged, anything else as JSON."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    response = requests.request("GET" if body is None else "POST", url, data=data, timeout=30)
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, response.json()


@contextmanager
def running(
    folder: Path, *arguments: str | Path, cold: bool = False, env: dict[str, str] | None = None
) -> Iterator[Server]:
    """Starts `taxiway serve` with these arguments; it listens when the block begins, and is killed afterwards.

    Args:
        folder: For its log and its addresses.
        arguments: The arguments of `serve`.
        cold: Whether it has to load TensorFlow by itself, as users' servers do.
        env: More environment variables for a cold start.
    """
    addresses, log = folder / "addresses", folder / "server.log"
    addresses.unlink(missing_ok=True)
    options = ["--port", "0", "--rest-port", "0", "--address-file", str(addresses), "--poll-seconds", "0.05"]
    words = ["serve", *options, *map(str, arguments)]
    process = _cold(words, log, env or {}) if cold or env else forked.Process("taxiway", words, log)
    try:
        deadline = time.monotonic() + 60
        while not addresses.is_file():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        address, rest = addresses.read_text().split()
        # The local subchannel pool prevents a shared connection with other channels of this process.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(address, options) as channel:
            yield Server(process, address, f"http://{rest}", log, channel)
    finally:
        process.kill()
        process.wait()


@contextmanager
def running_all(folder: Path, saved: Mapping[str, Path], stable: str = "") -> Iterator[Server]:
    """A server with models by name, each with `models.VERSION`; one of them has the label `stable` on it."""
    configs = []
    for name, model in saved.items():
        models.publish(model, folder / name, models.VERSION)
        label = f'version_labels {{ key: "stable" value: {models.VERSION} }}' if name == stable else ""
        configs.append(f'config {{ name: "{name}" base_path: "{name}" model_platform: "tensorflow" {label} }}')
    (folder / "models.config").write_text(f"model_config_list: {{ {' '.join(configs)} }}")
    with running(folder, "--config", folder / "models.config") as started:
        for name in saved:
            started.wait(name, {models.VERSION: "AVAILABLE"})
        yield started


def _cold(words: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command, variables = [sys.executable, "-m", "taxiway", *words], {**os.environ, **environment}
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=CHECKOUT, env=variables)
