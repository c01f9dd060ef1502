"""Clients for TF Serving's API over gRPC and REST."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np
import urllib3

from components.contract.errors import ServiceError, TaxiwayError, UserError
from components.data import tensor_protos
from components.data.serving_stubs import get_model_metadata_pb2, model_pb2, predict_pb2, prediction_service_pb2_grpc
from taxiway.network import http_client
from taxiway.network.tls import Tls, grpc_channel_credentials
from taxiway.prediction.signatures import Batch, Signature

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s/:]+):(\d{1,5})")
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True)
class Model:
    """The model to call: its name, and optionally a version or label."""

    name: str
    version: int | None = None
    label: str = ""

    def __str__(self) -> str:
        return (
            self.name
            + (f" version {self.version}" if self.version is not None else "")
            + (f" label {self.label!r}" if self.label else "")
        )


class Client(Protocol):
    """A connection to a model server."""

    def signatures(self) -> dict[str, Any]:
        """The model's `SignatureDef`s by name."""

    def predict(self, signature: Signature, batch: Batch) -> dict[str, Any]:
        """The outputs of a batch, arrays by name."""


class GrpcClient:
    """A client over gRPC."""

    def __init__(self, address: str, model: Model, tls: Tls | None, seconds: float) -> None:
        import grpc

        self._address, self._model, self._seconds = address, model, seconds
        # Ignore the environment's HTTP proxy.
        options = [*_UNLIMITED, ("grpc.enable_http_proxy", 0)]
        self._channel = (
            grpc.insecure_channel(address, options)
            if tls is None
            else grpc.secure_channel(address, grpc_channel_credentials(tls), options)
        )
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def signatures(self) -> dict[str, Any]:
        """The model's `SignatureDef`s by name."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.CopyFrom(self._spec())
        response = self._call(self._service.GetModelMetadata, request)
        found = get_model_metadata_pb2.SignatureDefMap()
        if not response.metadata["signature_def"].Unpack(found):
            raise ServiceError(f"{self._address} sent no signatures of the model {self._model}")
        return dict(found.signature_def)

    def predict(self, signature: Signature, batch: Batch) -> dict[str, Any]:
        """The outputs of a batch, arrays by name."""
        request = predict_pb2.PredictRequest(model_spec=self._spec(signature.name))
        for name, (array, dtype) in batch.items():
            request.inputs[name].CopyFrom(tensor_protos.to_proto(array, dtype, packed=True))
        outputs = self._call(self._service.Predict, request).outputs
        try:
            return {name: tensor_protos.from_proto(outputs[name]) for name in sorted(outputs)}
        except ValueError as error:
            raise ServiceError(f"the response of {self._address} cannot be decoded: {error}") from error

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _spec(self, signature: str = "") -> Any:
        spec = model_pb2.ModelSpec(name=self._model.name, signature_name=signature)
        if self._model.version is not None:
            spec.version.value = self._model.version
        if self._model.label:
            spec.version_label = self._model.label
        return spec

    def _call(self, method: Any, request: Any) -> Any:
        import grpc

        try:
            return method(request, timeout=self._seconds)
        except grpc.RpcError as error:
            code, said = error.code(), str(error.details())
        raise _refusal(self._address, self._model, code.name, said, self._seconds)


_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}
"""gRPC codes of HTTP statuses, as in TF Serving."""


class RestClient:
    """A client over REST."""

    def __init__(self, url: str, model: Model, tls: Tls | None, seconds: float) -> None:
        self._server, self._model, self._seconds = url, model, seconds
        version = f"/versions/{model.version}" if model.version is not None else ""
        label = f"/labels/{quote(model.label, safe='')}" if model.label else ""
        self._url = f"{url.rstrip('/')}/v1/models/{quote(model.name, safe='')}{version}{label}"
        self._pool = http_client.pool(tls, seconds)

    def signatures(self) -> dict[str, Any]:
        """The model's `SignatureDef`s by name."""
        from google.protobuf import json_format

        answer = self._call(f"{self._url}/metadata")
        try:
            sent = answer["metadata"]["signature_def"]
            found = json_format.ParseDict(sent, get_model_metadata_pb2.SignatureDefMap(), ignore_unknown_fields=True)
        except (KeyError, TypeError, json_format.ParseError) as error:
            raise ServiceError(f"{self._server} sent no signatures of the model {self._model}: {error}") from error
        return dict(found.signature_def)

    def predict(self, signature: Signature, batch: Batch) -> dict[str, Any]:
        """The outputs of a batch, arrays by name."""
        inputs = {name: _jsonable(array.tolist()) for name, (array, _) in batch.items()}
        answer = self._call(f"{self._url}:predict", {"signature_name": signature.name, "inputs": inputs})
        outputs = answer.get("outputs")
        named = outputs if isinstance(outputs, dict) and len(signature.outputs) > 1 else {signature.outputs[0]: outputs}
        return {name: _array(values) for name, values in sorted(named.items())}

    def close(self) -> None:
        """Closes the connections."""
        self._pool.clear()

    def _call(self, url: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        try:
            response = self._pool.request(
                "POST" if data else "GET", url, body=data, headers={"Content-Type": "application/json"}, redirect=False
            )
        except urllib3.exceptions.NewConnectionError as error:
            raise _refusal(self._server, self._model, "UNAVAILABLE", _reason(error), self._seconds) from error
        except urllib3.exceptions.TimeoutError:
            raise _refusal(self._server, self._model, "DEADLINE_EXCEEDED", "", self._seconds) from None
        except urllib3.exceptions.HTTPError as error:
            raise _refusal(self._server, self._model, "UNAVAILABLE", _reason(error), self._seconds) from error
        status, text = response.status, response.data
        answer = _object(text)
        if answer is None:
            raise ServiceError(
                f"{self._server} answered HTTP {status} without a JSON object: {text[:200].decode(errors='replace')}",
                fix="give the REST address of a model server",
            )
        if status != HTTPStatus.OK:
            code, said = _CODES.get(status, f"HTTP {status}"), str(answer.get("error", answer))
            raise _refusal(self._server, self._model, code, said, self._seconds)
        return answer


def _reason(error: Exception) -> str:
    """urllib3's message without the connection's repr at the start."""
    return str(error).partition("): ")[2] or str(error)


def _object(text: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        return found if isinstance(found, dict) else None
    return None


def _jsonable(value: Any) -> Any:
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _array(values: Any) -> Any:
    """The array in a JSON response, with strings as bytes."""
    flat = _plain(values)
    array = np.array(flat)
    return array if array.dtype.kind in "bifu" else np.array(flat, dtype=object)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict) and isinstance(value.get("b64"), str):
        return base64.b64decode(value["b64"])
    return value.encode() if isinstance(value, str) else value


def _refusal(server: str, model: Model, code: str, said: str, seconds: float) -> TaxiwayError:
    """The error for a status, with the server's message."""
    if code == "UNAVAILABLE":
        return ServiceError(
            f"the server at {server} does not answer: {said}", fix="start it, or correct the address and the TLS files"
        )
    if code == "DEADLINE_EXCEEDED":
        return ServiceError(f"the server at {server} did not answer within {seconds:g} s", fix="use a longer --timeout")
    if code == "NOT_FOUND":
        return UserError(
            f"the server at {server} has no model {model}: {said}", fix="correct --model, --version or --label"
        )
    if code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"):
        return UserError(f"the model {model} refused the request: {said}")
    return ServiceError(f"the server at {server} failed: {code}: {said}")


def connect(server: str, model: Model, *, rest: bool, tls: Tls | None, seconds: float) -> GrpcClient | RestClient:
    """Creates a client; sends nothing yet.

    Args:
        server: `host:port`, or an `http://` or `https://` URL, which means REST.
        model: The model to call.
        rest: Whether `host:port` is a REST address.
        tls: Certificates; None for plain text.
        seconds: The timeout of a request.

    Raises:
        UserError: The address is not valid.
    """
    if server.startswith(("http://", "https://")):
        return RestClient(server, model, tls, seconds)
    if not _ADDRESS.fullmatch(server):
        raise UserError(f"{server!r} is not a server address", fix="write host:port, or http://host:port for REST")
    if rest:
        return RestClient(f"{'https' if tls else 'http'}://{server}", model, tls, seconds)
    return GrpcClient(server, model, tls, seconds)
