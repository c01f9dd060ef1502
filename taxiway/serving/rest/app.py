"""The REST API of the model server: TF Serving's HTTP API."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit
from weakref import WeakKeyDictionary

import grpc
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
from taxiway.network.http_server import RefusedError, computed
from taxiway.recording import request_ids
from taxiway.recording.notes import Note
from taxiway.recording.recorder import Recorder
from taxiway.serving import recorded
from taxiway.serving.errors import ServingError
from taxiway.serving.model.model_version import ModelVersion
from taxiway.serving.model.saved_model import DEFAULT_SIGNATURE
from taxiway.serving.model.served_model import Models
from taxiway.serving.model.signatures import Signature
from taxiway.serving.rest import bodies, inference, openapi, page, sample_requests
from taxiway.serving.rest.malformed import invalid
from taxiway.serving.rest.routes import METRICS_PATHS, Action, Route, is_model_path, routes
from taxiway.serving.rest.sample_requests import Sample

_log = logging.getLogger(__name__)


_SAMPLES: WeakKeyDictionary[ModelVersion, list[Sample]] = WeakKeyDictionary()
"""Sample requests by version, cached because reading the graph of a large model takes a while."""

_MAX_VERSION = (1 << 63) - 1

MAX_BODY_BYTES = 64 << 20
"""Maximum size of a request body, after decompression."""

TIMEOUT_SECONDS = 30.0
"""Timeout of a request, as TF Serving's --rest_api_timeout_in_ms, and of reading a body while no data arrives."""

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
"""As in TF Serving's http_rest_api_util.cc."""

_NOTE = "note"
"""The key of a sampled request's note."""

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
"""The HTTP status of each gRPC code, as in TF Serving's http_server.cc."""

_CODE_NAMES = {status: code.name for code, status in reversed(HTTP_STATUS.items())}
"""The most likely gRPC code of each HTTP status."""


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def _target(request: web.Request) -> str:
    """The path and query as sent; a proxy may send a full URL."""
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


def _decoded(part: str, what: str) -> str:
    try:
        return unquote_to_bytes(part.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError as error:
        raise invalid(f"Failed to decode model {what}:{part}") from error


def model_spec(parts: Mapping[str, str]) -> model_pb2.ModelSpec:
    """The model spec from the parts of a path.

    Raises:
        ServingError: INVALID_ARGUMENT: a version beyond int64, or a name or label that is not UTF-8.
    """
    spec = model_pb2.ModelSpec(name=_decoded(parts.get("name", ""), "name"))
    if version := parts.get("version"):
        # The length is checked first, because converting thousands of digits is slow.
        if len(version) > 100 or int(version) > _MAX_VERSION:
            raise invalid(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    if label := parts.get("label"):
        spec.version_label = _decoded(label, "version label")
    return spec


def _signature(version: ModelVersion, name: str) -> Signature:
    """A version's signature. The error code for a missing one differs over REST."""
    try:
        return version.signature(name)
    except ServingError as error:
        if error.code is not _CODE.FAILED_PRECONDITION:
            raise
        shown = name or DEFAULT_SIGNATURE
        raise invalid(f'Serving signature name: "{shown}" not found in signature def') from error


async def _samples(models: Models, name: str) -> list[Sample]:
    """Sample requests for each signature of the latest version; empty if there is none."""
    try:
        async with models.lease(model_pb2.ModelSpec(name=name)) as version:
            if version not in _SAMPLES:
                _SAMPLES[version] = await asyncio.to_thread(_sampled, version)
            return _SAMPLES[version]
    except ServingError:
        return []


def _sampled(version: ModelVersion) -> list[Sample]:
    graph = sample_requests.graph_in(version.folder)
    named = sorted(version.signatures(), key=lambda each: each.name != DEFAULT_SIGNATURE)
    found = [sample_requests.sample(each, graph, each.name == DEFAULT_SIGNATURE) for each in named]
    return [each for each in found if each]


async def _on_page(models: Models, name: str) -> page.Model:
    labels = models.by_name[name].labels
    try:
        found = models.status(model_pb2.ModelSpec(name=name)).model_version_status
    except ServingError:  # no versions found yet
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
    return page.Model(name, sorted(versions, key=attrgetter("number"), reverse=True), await _samples(models, name))


def _without_route(request: web.Request, target: str) -> web.Response:
    """The response if no route matches. TF Serving's REST handler responds differently than its HTTP server."""
    if not is_model_path(target):
        raise RefusedError(404, f"Malformed request: {request.method} {target}")
    if request.method == "OPTIONS":
        return _preflight(request)
    if request.method == "GET" and target.lower() == "/v1/models":
        raise invalid("Missing model name in request.")
    raise invalid(f"Malformed request: {request.method} {target}")


def _preflight(request: web.Request) -> web.Response:
    if not re.search("https?://", request.headers.get("Origin", "")):
        raise ServingError(_CODE.FAILED_PRECONDITION, "Origin header is missing in CORS preflight")
    return web.Response()


class Rest:
    """Handles requests."""

    def __init__(
        self,
        models: Models,
        *,
        max_body_bytes: int,
        timeout_seconds: float,
        metrics_paths: Sequence[str],
        cors: bool,
        recorder: Recorder | None,
    ) -> None:
        self._models, self._recorder = models, recorder
        self._metrics_path = next(iter(metrics_paths), "")
        table = routes(metrics_paths)
        self._own_routes = {route.path: route for route in table if not is_model_path(route.path)}
        self._model_routes = [route for route in table if is_model_path(route.path)]
        self._max_body_bytes = max_body_bytes
        self._timeout = timeout_seconds
        self._cors = _CORS if cors else {}
        self._openapi_document = orjson.dumps(openapi.document(table))
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
        """The response to any request; errors are JSON objects with the key "error"."""
        began = time.perf_counter()
        target = _target(request)
        route, parts = self.matched(request.method, target)
        found_id = self._noted(request, route)
        response: web.Response | None = None  # stays None if the client leaves
        try:
            response = await self._answered(request, target, route, parts)
        finally:
            if route and route.method == "POST":
                self._finished(request, route, parts, seconds=time.perf_counter() - began, response=response)
        if self._cors and is_model_path(target):
            response.headers.update(self._cors)
        if found_id:
            response.headers[request_ids.KEY] = found_id
        return response

    def _finished(
        self,
        request: web.Request,
        route: Route,
        parts: Mapping[str, str],
        *,
        seconds: float,
        response: web.Response | None,
    ) -> None:
        """Counts a call of a model, and records it if it is sampled."""
        # With gRPC codes, as in TF Serving.
        code = _CODE.CANCELLED.name if response is None else _CODE_NAMES.get(response.status, "UNKNOWN")
        # Only configured names, so that clients cannot add label values, or tables.
        name = unquote(parts["name"])
        known = name if name in self._models.by_name else ""
        self._models.metrics.request(known, route.action, "REST", code, seconds)
        if known and _NOTE in request:
            note, label = request[_NOTE], parts.get("label")
            note.model, note.status = known, code
            note.label = unquote(label) if label else None
            self._record(note, response)

    def _noted(self, request: web.Request, route: Route | None) -> str:
        """The request's id for the client, if it is sampled or was sent; a sampled request gets a note."""
        if not (self._recorder and route and route.method == "POST"):
            return ""
        sent, sampled = request.headers.get(request_ids.KEY), self._recorder.is_sampled()
        if sent is None and not sampled:
            return ""
        found = request_ids.request_id(sent)
        if sampled:
            request[_NOTE] = self._recorder.begin(found, route.action.capitalize(), "REST")
        return found

    def _record(self, note: Note, response: web.Response | None) -> None:
        if response is not None and response.status >= 400 and isinstance(response.body, bytes):
            note.error = orjson.loads(response.body)["error"]
        assert self._recorder, "it has made the note"
        self._recorder.put(note)

    def matched(self, method: str, target: str) -> tuple[Route | None, dict[str, str]]:
        """The route of a request and the parts of its path; None if no route matches."""
        if own := self._own_routes.get(target.partition("?")[0]):
            return own, {}
        for route in self._model_routes:
            if route.method == method and (found := route.pattern.fullmatch(target)):
                return route, found.groupdict()
        return None, {}

    async def _answered(
        self, request: web.Request, target: str, route: Route | None, parts: Mapping[str, str]
    ) -> web.Response:
        try:
            if route is None:
                return _without_route(request, target)
            if route.method == "GET" and request.method not in ("GET", "HEAD"):
                raise RefusedError(405, f"{request.method} is not allowed at {target}", Allow="GET, HEAD")
            response = await self._actions[route.action](request, model_spec(parts))
            return await http_server.compressed(response, request)
        except RefusedError as refused:
            response = http_server.error(str(refused), refused.status, **refused.headers)
        except ServingError as error:
            response = http_server.error(error.message, HTTP_STATUS.get(error.code, 500))
        except TimeoutError:
            response = http_server.error(f"The request took longer than {self._timeout:g} s", 504)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            response = http_server.error("Internal error; see the server's log", 500)
        if not request.content.is_eof():
            response.force_close()  # do not wait for the rest of the body
        return response

    async def _document(self, request: web.Request) -> tuple[dict[str, Any], int]:
        body = await http_server.read(request, self._max_body_bytes, self._timeout)
        return await computed(len(body), bodies.parse, body), len(body)

    async def _predict(self, request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        document, size = await self._document(request)
        name = bodies.signature_name(document)
        async with asyncio.timeout(self._timeout), self._models.lease(spec) as version:
            signature = _signature(version, name)
            form, inputs = await computed(size, bodies.decode, document, signature.dtypes)
            if note := request.get(_NOTE):
                recorded.note_inputs(note, version, signature, inputs, size)
            outputs = await version.predict(signature, inputs)
        size = sum([array.nbytes for array in outputs.values()])
        if note := request.get(_NOTE):
            recorded.note_outputs(note, outputs, size)
        return _json(await computed(size, bodies.encode, outputs, form))

    async def _classify(self, request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        document, size = await self._document(request)
        name = bodies.signature_name(document)
        examples = await computed(size, inference.decode, document, "classify")
        async with asyncio.timeout(self._timeout), self._models.lease(spec) as version:
            if note := request.get(_NOTE):
                recorded.note_examples(note, version, name, examples)
            result = await version.classify(name, examples)
            if note := request.get(_NOTE):
                recorded.note_results(note, classification_pb2.ClassificationResponse(result=result))
            return _json(inference.encode_classifications(result))

    async def _regress(self, request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        document, size = await self._document(request)
        name = bodies.signature_name(document)
        examples = await computed(size, inference.decode, document, "regress")
        async with asyncio.timeout(self._timeout), self._models.lease(spec) as version:
            if note := request.get(_NOTE):
                recorded.note_examples(note, version, name, examples)
            result = await version.regress(name, examples)
            if note := request.get(_NOTE):
                recorded.note_results(note, regression_pb2.RegressionResponse(result=result))
            return _json(inference.encode_regressions(result))

    async def _status(self, _request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        return _json(_printed(self._models.status(spec)).encode())

    async def _metadata(self, _request: web.Request, spec: model_pb2.ModelSpec) -> web.Response:
        found = self._models.metadata(spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        found.metadata["signature_def"].Unpack(signatures)
        parts = (
            f'{{"model_spec": {_printed(found.model_spec)}, "metadata": {{"signature_def": {_printed(signatures)}}}}}'
        )
        return _json(parts.encode())

    async def _metrics(self, _request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        return web.Response(
            body=generate_latest(self._models.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def _live(self, _request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        return _json(b'{"status":"alive"}')

    async def _ready(self, _request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        return _json(b'{"status":"ready"}') if self._models.ready() else _json(b'{"status":"not ready"}', 503)

    async def _openapi(self, _request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        return _json(self._openapi_document)

    async def _page(self, request: web.Request, _spec: model_pb2.ModelSpec) -> web.Response:
        origin = f"{request.scheme}://{request.host}"
        text = page.page(
            [await _on_page(self._models, name) for name in self._models.by_name], origin, self._metrics_path
        )
        return web.Response(text=text, content_type="text/html", headers=page.HEADERS)


def application(
    models: Models,
    *,
    max_body_bytes: int = MAX_BODY_BYTES,
    timeout_seconds: float = TIMEOUT_SECONDS,
    metrics_paths: Sequence[str] = METRICS_PATHS,
    cors: bool = False,
    recorder: Recorder | None = None,
) -> web.Application:
    """The REST API as an aiohttp application.

    Args:
        models: The models.
        max_body_bytes: Larger bodies, after decompression, are refused with 413.
        timeout_seconds: Timeout of the model, and of reading a body while no data arrives.
        metrics_paths: The paths of the metrics.
        cors: Whether web pages of any site may read responses.
        recorder: Records requests; None for none.
    """
    rest = Rest(
        models,
        max_body_bytes=max_body_bytes,
        timeout_seconds=timeout_seconds,
        metrics_paths=metrics_paths,
        cors=cors,
        recorder=recorder,
    )

    # A middleware instead of routes: aiohttp matches decoded paths, and its error responses are not JSON.
    @web.middleware
    async def answer(request: web.Request, handler: object) -> web.Response:
        return await rest.answer(request)

    return web.Application(middlewares=[answer])
