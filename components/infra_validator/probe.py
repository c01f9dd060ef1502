"""Talks to a model server over TF Serving's gRPC API: waits for the model, then sends requests."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from components.infra_validator import answers
from components.infra_validator.failure import FailedError
from components.infra_validator.questions import Question, Signature
from components.infra_validator.servers.server import MODEL_NAME, Server

_Status = get_model_status_pb2.ModelVersionStatus
_POLL_SECONDS = 0.02
_STATUS_SECONDS = 5
_REQUEST_SECONDS = 60
_ENDING_SECONDS = 3
_TIMED_REQUESTS = 200
_TIMED_SECONDS = 5
# Answers may be long. A proxy from the environment must not be used for a server beside the stage.
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
]

Latencies = dict[str, list[float]]
"""Milliseconds by signature."""


def wait_until_available(server: Server, seconds: float) -> str:
    """Waits until a server reports the model as AVAILABLE; returns the server's address.

    Raises:
        FailedError: The server exits or does not answer in time (`start`); the model does not load in time (`load`).
    """
    deadline = time.monotonic() + seconds
    while not (address := server.address()):
        _require_alive(server, "start", deadline, f"the server does not answer after {seconds:g} s")
    with _channel(address) as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        while said := _why_not_available(models):
            _require_alive(server, "load", deadline, f"the model is not AVAILABLE after {seconds:g} s: {said}")
    return address


def _require_alive(server: Server, step: str, deadline: float, late: str) -> None:
    if how := server.ended():
        raise FailedError(step, how)
    if time.monotonic() > deadline:
        raise FailedError(step, late)
    time.sleep(_POLL_SECONDS)


def _why_not_available(models: model_service_pb2_grpc.ModelServiceStub) -> str:
    """What a server reports about the model; empty once its version is AVAILABLE."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = MODEL_NAME
    try:
        versions = models.GetModelStatus(request, timeout=_STATUS_SECONDS).model_version_status
    except grpc.RpcError as error:
        return str(error.details())
    for version in versions:
        if version.state == _Status.END:
            raise FailedError("load", version.status.error_message or "the server has unloaded the model")
        if version.state == _Status.AVAILABLE:
            return ""
    return ", ".join(_Status.State.Name(version.state) for version in versions) or "no version"


def ask(
    server: Server, address: str, questions: list[Question], signatures: Mapping[str, Signature], max_latency_ms: float
) -> Latencies:
    """Sends every request twice and checks the answers, then measures the latency; with more requests if it is limited.

    Raises:
        FailedError: The server refuses a request or exits (`request`), an answer is wrong (`answer`), or answers take
            too long (`latency`).
    """
    with _channel(address) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        first = [_answered(service, server, each) for each in questions]
        for question, response in zip(questions, first, strict=True):
            known = answers.values(question, signatures[question.signature], response)
            again = _answered(service, server, question)
            answers.require_same(question, known, answers.values(question, signatures[question.signature], again))
        latencies = {
            name: _timed(service, server, group, _TIMED_REQUESTS if max_latency_ms else len(group))
            for name, group in _timed_questions(questions).items()
        }
    for name, milliseconds in latencies.items():
        _require_quick(name, milliseconds, max_latency_ms)
    return latencies


def _answered(service: prediction_service_pb2_grpc.PredictionServiceStub, server: Server, question: Question) -> Any:
    call = {
        PredictRequest: service.Predict,
        ClassificationRequest: service.Classify,
        RegressionRequest: service.Regress,
    }
    try:
        return call[type(question.request)](question.request, timeout=_REQUEST_SECONDS)
    except grpc.RpcError as error:
        raise FailedError("request", f"the signature {question.signature!r} {_why_not(server, error)}") from error


def _why_not(server: Server, error: grpc.RpcError) -> str:
    """Why a request failed: how the server exited, or else what it answered."""
    over = time.monotonic() + _ENDING_SECONDS
    # A connection breaks before the server's process has exited.
    while error.code() == grpc.StatusCode.UNAVAILABLE and time.monotonic() < over:
        if how := server.ended():
            return f"got no answer: {how}"
        time.sleep(_POLL_SECONDS)
    return f"was refused: {error.code().name}: {error.details()}"


def _timed_questions(questions: list[Question]) -> dict[str, list[Question]]:
    found: dict[str, list[Question]] = {}
    for question in questions:
        if question.is_timed:
            found.setdefault(question.signature, []).append(question)
    return found


def _timed(
    service: prediction_service_pb2_grpc.PredictionServiceStub, server: Server, questions: list[Question], count: int
) -> list[float]:
    """The latencies in milliseconds of sequential requests from one client."""
    found: list[float] = []
    over = time.monotonic() + _TIMED_SECONDS
    for question in itertools.islice(itertools.cycle(questions), count):
        began = time.perf_counter()
        _answered(service, server, question)
        found.append((time.perf_counter() - began) * 1000)
        if time.monotonic() > over:
            break
    return found


def percentile(milliseconds: list[float], percent: int) -> float:
    """The latency that this percentage of the requests does not exceed."""
    return round(float(np.percentile(milliseconds, percent, method="inverted_cdf")), 3)


def _require_quick(name: str, milliseconds: list[float], limit: float) -> None:
    slow = percentile(milliseconds, 99)
    if limit and slow > limit:
        raise FailedError(
            "latency",
            f"the 99th percentile of the signature {name!r} is {slow:g} ms, above the limit of {limit:g} ms "
            f"({len(milliseconds)} requests from one client)",
        )


def _channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, _OPTIONS)
