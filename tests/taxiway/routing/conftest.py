"""Two small model servers behind proxies, as real processes on loopback."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import yaml

from components.data.serving_stubs import model_pb2, predict_pb2, prediction_service_pb2_grpc, types_pb2
from components.data.tensor_protos import to_proto
from tests.taxiway.small_servers import Running, running, small_server


@pytest.fixture(scope="session")
def blue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with small_server(tmp_path_factory.mktemp("blue"), "--labels", "stable=1,canary=2") as server:
        yield server


@pytest.fixture(scope="session")
def green(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with small_server(tmp_path_factory.mktemp("green"), "--labels", "stable=3,canary=4") as server:
        yield server


@dataclass
class Proxy:
    """A running proxy, with a client."""

    running: Running
    file: Path

    @property
    def grpc(self) -> str:
        return self.running.addresses[0]

    @property
    def rest(self) -> str:
        return f"http://{self.running.addresses[1]}"

    @property
    def admin(self) -> str:
        return f"http://{self.running.addresses[2]}"

    def lines(self, event: str = "request") -> list[dict[str, Any]]:
        # The last line may be half written.
        entries = [json.loads(line) for line in self.running.log.read_text().rpartition("\n")[0].splitlines()]
        return [each for each in entries if each["event"] == event]

    def service(self) -> Any:
        channel = grpc.insecure_channel(self.grpc, options=[("grpc.enable_http_proxy", 0)])
        return closing(_Client(channel))

    def weights(self, body: Any = None) -> tuple[int, Any]:
        status, _, answer = http(f"{self.admin}/weights", body, method="GET" if body is None else "PUT")
        return status, answer


class _Client:
    def __init__(self, channel: Any) -> None:
        self._channel = channel
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.Predict, self.GetModelMetadata = service.Predict, service.GetModelMetadata
        self.Classify = service.Classify

    def version(self, request: Any, **more: Any) -> int:
        return int(self.Predict(request, timeout=10, **more).model_spec.version.value)

    def close(self) -> None:
        self._channel.close()


def http(url: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, headers and JSON (or text) of an answer."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.headers, _decoded(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, _decoded(error.read())


def _decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode()


def predict_request(company: str = "blue", fare: float = 1.5, model: str = "taxi", **spec: Any) -> Any:
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name=model, **spec))
    request.inputs["fare"].CopyFrom(to_proto(np.array([fare]), types_pb2.DT_FLOAT, packed=True))
    request.inputs["trips"].CopyFrom(to_proto(np.array([[2]]), types_pb2.DT_INT64, packed=True))
    request.inputs["company"].CopyFrom(to_proto(np.array([company.encode()], dtype=object), types_pb2.DT_STRING))
    return request


def predict_body(company: str = "blue", fare: float = 1.5) -> dict[str, Any]:
    return {"inputs": {"fare": [fare], "trips": [[2]], "company": [company]}}


def settings(blue: Running, weights: dict[str, float], **model: Any) -> dict[str, Any]:
    """A route.yaml of labels on one backend."""
    backend = {"grpc": blue.addresses[0], "rest": blue.addresses[1]}
    targets = {name: {"backend": "blue", "label": name, "weight": weight} for name, weight in weights.items()}
    ports = {"port": 0, "rest_port": 0, "admin_port": 0}
    return {"backends": {"blue": backend}, "models": {"taxi": {"targets": targets, **model}}, **ports}


Route = Callable[..., Proxy]


@pytest.fixture
def route(tmp_path: Path) -> Iterator[Route]:
    """`route(settings)`: a proxy with that route.yaml; it ends with the test."""
    with ExitStack() as stack:
        count = iter(range(100))

        def start(given: dict[str, Any], *options: Any) -> Proxy:
            folder = tmp_path / f"proxy{next(count)}"
            folder.mkdir()
            file = folder / "route.yaml"
            file.write_text(yaml.safe_dump(given))
            started = stack.enter_context(running(folder, "taxiway", "route", "--config", file, *options))
            return Proxy(started, file)

        yield start
