"""The REST side of the model server: TF Serving's HTTP API over the operations that gRPC uses too."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from operator import attrgetter
from typing import Any, Protocol
from urllib.parse import urlsplit

import grpc
import numpy as np
import orjson
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import Message
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)

from taxiway.network import http_server
from taxiway.serving.errors import ServingError
from taxiway.serving.rest import inference, openapi, page, predict
from taxiway.serving.rest.bodies import RefusedError, compressed, computed, read
from taxiway.serving.rest.encoding import invalid, parse
from taxiway.serving.rest.routes import METRICS_PATHS, Action, is_model_path, matching, model_spec, routes

_log = logging.getLogger(__name__)


class Model(Protocol):
    """A version of a model while it is leased: it stays loaded."""

    def signature(self, name: str) -> Any:
        """The signature, "" for the default: its `inputs` by name, each with `dtype` and `shape`."""

    async def predict(self, signature_name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a signature on tensors."""

    async def classify(self, signature_name: str, examples: Sequence[bytes]) -> classification_pb2.ClassificationResult:
        """Runs a signature on serialized tf.Examples."""

    async def regress(self, signature_name: str, examples: Sequence[bytes]) -> regression_pb2.RegressionResult:
        """Runs a signature on serialized tf.Examples."""


class Operations(Protocol):
    """What the REST side needs of the server; every method raises ServingError."""

    metrics: Any

    def lease(self, spec: model_pb2.ModelSpec) -> AbstractAsyncContextManager[Model]:
        """The version that a request names, or the latest."""

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """The states of a model's versions."""

    def metadata(self, spec: model_pb2.ModelSpec) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """A version's signatures."""

    def ready(self) -> bool:
        """Whether every model has a version that is available."""

    def names(self) -> Sequence[str]:
        """The models that are configured."""

    def known_name(self, name: str) -> str:
        """The name, where a model has it; "" else."""

    def labels(self, name: str) -> Mapping[str, int]:
        """A model's labels and the versions they point at."""


MAX_BODY_BYTES = 64 << 20
"""The largest body that is read, after decompression."""

TIMEOUT_SECONDS = 30.0
"""How long a request may take, as TF Serving's --rest_api_timeout_in_ms, and how long a body may stand still."""

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
"""As in TF Serving's http_rest_api_util.cc."""

_CODE = grpc.StatusCode
HTTP_STATUS = {
    _CODE.OK: 200,
    _CODE.CANCELLED: 499,
    _CODE.UNKNOWN: 500,
    _CODE.INVALID_ARGUMENT: 400,
    _CODE.DEADLINE_EXCEEDED: 504,
    _CODE.NOT_FOUND: 404,
    _CODE.ALREADY_EXISTS: 409,
    _CODE.PERMISSION_DENIED: 403,
    _CODE.RESOURCE_EXHAUSTED: 429,
    _CODE.FAILED_PRECONDITION: 400,
    _CODE.ABORTED: 409,
    _CODE.OUT_OF_RANGE: 400,
    _CODE.UNIMPLEMENTED: 501,
    _CODE.INTERNAL: 500,
    _CODE.UNAVAILABLE: 503,
    _CODE.DATA_LOSS: 500,
    _CODE.UNAUTHENTICATED: 401,
}
"""HTTP's status for gRPC's codes, as TF Serving's http_server.cc has it."""

_CODE_NAMES = {status: code.name for code, status in reversed(HTTP_STATUS.items())}
"""The code that most often stands behind a status."""


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def _target(request: web.Request) -> str:
    """The path and query as sent; proxies may send a whole URL."""
    raw = request.raw_path
    if raw.startswith("/"):
        return raw
    parts = urlsplit(raw)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _printed(message: Message) -> str:
    return str(
        json_format.MessageToJson(
            message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True, indent=None
        )
    )


def _dtypes(model: Model, name: str) -> dict[str, np.dtype]:
    try:
        signature = model.signature(name)
    except ServingError as error:
        if error.code is not _CODE.FAILED_PRECONDITION:
            raise
        shown = name or "serving_default"
        raise invalid(f'Serving signature name: "{shown}" not found in signature def') from error
    return {key: np.dtype(info.dtype) for key, info in signature.inputs.items()}


async def _example(operations: Operations, name: str) -> str:
    """A request that the latest version's default signature takes, or "" where there is none."""
    try:
        async with operations.lease(model_pb2.ModelSpec(name=name)) as model:
            inputs = model.signature("").inputs
            return page.example_body({key: (np.dtype(i.dtype).kind, i.shape) for key, i in inputs.items()})
    except ServingError:
        return ""


async def _on_page(operations: Operations, name: str) -> page.Model:
    labels = operations.labels(name)
    try:
        found = operations.status(model_pb2.ModelSpec(name=name)).model_version_status
    except ServingError:  # no version was seen yet
        found = []
    versions = [
        page.Version(
            each.version,
            get_model_status_pb2.ModelVersionStatus.State.Name(each.state),
            each.status.error_message,
            sorted(label for label, version in labels.items() if version == each.version),
        )
        for each in found
    ]
    return page.Model(name, sorted(versions, key=attrgetter("number"), reverse=True), await _example(operations, name))


def _preflight(request: web.Request) -> web.Response:
    if not re.search("https?://", request.headers.get("Origin", "")):
        raise ServingError(_CODE.FAILED_PRECONDITION, "Origin header is missing in CORS preflight")
    return web.Response()


class _Rest:
    def __init__(
        self,
        operations: Operations,
        *,
        max_body_bytes: int,
        timeout_seconds: float,
        metrics_paths: Sequence[str],
        cors: bool,
    ) -> None:
        self._operations = operations
        self._routes = routes(metrics_paths)
        self._max_body_bytes = max_body_bytes
        self._timeout = timeout_seconds
        self._cors = _CORS if cors else {}
        self._openapi_document = orjson.dumps(openapi.document(self._routes))
        self._actions: dict[Action, Callable[[web.Request, model_pb2.ModelSpec], Awaitable[web.Response]]] = {
            "predict": self._predict,
            "classify": self._classify,
            "regress": self._regress,
            "status": self._status,
            "metadata": self._metadata,
            "metrics": self._metrics,
            "live": self._live,
            "ready": self._ready,
            "openapi": self._openapi,
            "page": self._page,
        }

    async def answer(self, request: web.Request) -> web.Response:
        """The answer to any request: an error is a JSON object with the key "error"."""
        began = time.perf_counter()
        response = await self._answered(request)
        if is_model_path(_target(request)):
            response.headers.update(self._cors)
        self._count(request, response.status, time.perf_counter() - began)
        return response

    async def _answered(self, request: web.Request) -> web.Response:
        try:
            return await compressed(await self._routed(request), request)
        except RefusedError as refused:
            response = http_server.error(str(refused), refused.status, **refused.headers)
        except ServingError as error:
            response = http_server.error(error.message, HTTP_STATUS.get(error.code, 500))
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            response = http_server.error("Internal error; the server's log says more", 500)
        if not request.content.is_eof():
            response.force_close()  # the rest of the body is not waited for
        return response

    def _count(self, request: web.Request, status: int, seconds: float) -> None:
        """Counts the requests that a model answers, by gRPC's codes as TF Serving does."""
        for route, parts in matching(_target(request), self._routes):
            if route.method == request.method == "POST":
                name = self._operations.known_name(parts["name"])
                self._operations.metrics.request(
                    name, route.action, "REST", _CODE_NAMES.get(status, "UNKNOWN"), seconds
                )

    async def _routed(self, request: web.Request) -> web.Response:
        target = _target(request)
        if is_model_path(target):
            return await self._of_models(request, target)
        found = matching(target.partition("?")[0], self._routes)
        if not found:
            raise RefusedError(404, f"Malformed request: {request.method} {target}")
        if request.method not in ("GET", "HEAD"):
            raise RefusedError(405, f"{request.method} is not allowed at {target}", Allow="GET, HEAD")
        return await self._actions[found[0][0].action](request, model_pb2.ModelSpec())

    async def _of_models(self, request: web.Request, target: str) -> web.Response:
        if request.method == "OPTIONS":
            return _preflight(request)
        found = [(route, parts) for route, parts in matching(target, self._routes) if route.method == request.method]
        if request.method == "GET" and target.lower() == "/v1/models":
            raise invalid("Missing model name in request.")
        if not found:
            raise invalid(f"Malformed request: {request.method} {target}")
        route, parts = found[0]
        return await self._actions[route.action](request, model_spec(parts))

    @asynccontextmanager
    async def _leased(self, spec: model_pb2.ModelSpec) -> AsyncIterator[Model]:
        try:
            async with asyncio.timeout(self._timeout), self._operations.lease(spec) as model:
                yield model
        except TimeoutError as error:
            raise ServingError(_CODE.DEADLINE_EXCEEDED, f"The request took longer than {self._timeout:g} s") from error

    async def _document(self, request: web.Request) -> tuple[dict[str, Any], int]:
        body = await read(request, self._max_body_bytes, self._timeout)
        return await computed(len(body), parse, body), len(body)

    async def _predict(self, request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        document, size = await self._document(request)
        name = predict.signature_name(document)
        async with self._leased(spec) as model:
            form, inputs = await computed(size, predict.decode, document, _dtypes(model, name))
            outputs = await model.predict(name, inputs)
        size = sum(array.nbytes for array in outputs.values())
        return _json(await computed(size, predict.encode, outputs, form))

    async def _classify(self, request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        document, size = await self._document(request)
        name = predict.signature_name(document)
        examples = await computed(size, inference.decode, document, "classify")
        async with self._leased(spec) as model:
            return _json(inference.encode_classifications(await model.classify(name, examples)))

    async def _regress(self, request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        document, size = await self._document(request)
        name = predict.signature_name(document)
        examples = await computed(size, inference.decode, document, "regress")
        async with self._leased(spec) as model:
            return _json(inference.encode_regressions(await model.regress(name, examples)))

    async def _status(self, _request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        return _json(_printed(self._operations.status(spec)).encode())

    async def _metadata(self, _request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        found = self._operations.metadata(spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        found.metadata["signature_def"].Unpack(signatures)
        parts = (
            f'{{"model_spec": {_printed(found.model_spec)}, "metadata": {{"signature_def": {_printed(signatures)}}}}}'
        )
        return _json(parts.encode())

    async def _metrics(self, _request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        return web.Response(
            body=generate_latest(self._operations.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _live(self, _request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        return _json(b'{"status":"alive"}')

    async def _ready(self, _request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        return _json(b'{"status":"ready"}') if self._operations.ready() else _json(b'{"status":"not ready"}', 503)

    async def _openapi(self, _request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        return _json(self._openapi_document)

    async def _page(self, request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        origin = f"{request.scheme}://{request.host}"
        text = page.page([await _on_page(self._operations, name) for name in self._operations.names()], origin)
        return web.Response(text=text, content_type="text/html", headers=page.HEADERS)


def application(
    operations: Operations,
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    timeout_seconds: float = TIMEOUT_SECONDS,
    metrics_paths: Sequence[str] = METRICS_PATHS,
    cors: bool = False,
) -> web.Application:
    """The REST side as an application for aiohttp's runners.

    Args:
        operations: What answers.
        max_body_bytes: Larger bodies, after decompression, are refused with 413.
        timeout_seconds: How long the model may take, and how long a body may stand still.
        metrics_paths: Where metrics are.
        cors: Whether answers may be read by the pages of any web site.
    """
    rest = _Rest(
        operations,
        max_body_bytes=max_body_bytes,
        timeout_seconds=timeout_seconds,
        metrics_paths=metrics_paths,
        cors=cors,
    )

    # Not a route: aiohttp matches decoded paths, and its own answers are no JSON.
    @web.middleware
    async def answer(request: web.Request, handler: object) -> web.Response:
        return await rest.answer(request)

    return web.Application(middlewares=[answer])
