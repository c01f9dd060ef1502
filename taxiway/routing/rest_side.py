"""The proxy's REST API, health checks and metrics."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import aiohttp
from aiohttp import web

from components.contract.errors import UserError
from taxiway.network import http_server, tls
from taxiway.recording import request_ids
from taxiway.routing import request_fields
from taxiway.routing.access_log import AccessLog
from taxiway.routing.calls import Call, Route
from taxiway.routing.router import Router
from taxiway.routing.settings import Backend, Settings, StickyKey
from taxiway.routing.shadow import SECONDS, Shadow
from taxiway.routing.versions import Versions

if TYPE_CHECKING:
    from taxiway.routing.recording import RouteRecording, Seen

_PATH = re.compile(
    r"(?P<model>/v1/models/(?P<name>[^/:]+))"
    r"(?P<pinned>/versions/[^/:]+|/labels/(?P<label>[^/:]+))?(?P<verb>:predict|:classify|:regress|/metadata)?"
)
_APIS = {":predict": "Predict", ":classify": "Classify", ":regress": "Regress"}

_STATUS = {
    200: "OK",
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""The most likely gRPC code of an HTTP status."""
# RFC 9110, 7.6.1, and headers that each connection sets itself.
_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length",
}  # fmt: skip
_CONNECT_SECONDS = 5
_BODY_SECONDS = 30.0
"""Timeout of reading a body while no data arrives, as in the model server."""

_ANSWER_CHARACTERS = 2000


class _BackendError(Exception):
    """A backend gave no response that can be forwarded."""

    def __init__(self, what: str, status: int = 503) -> None:
        super().__init__(what)
        self.status = status


class Forwarder:
    """Forwards requests of TF Serving's REST API."""

    def __init__(
        self,
        router: Router,
        session: aiohttp.ClientSession,
        shadow: Shadow,
        access_log: AccessLog,
        settings: Settings,
        *,
        recording: RouteRecording | None = None,
        versions: Versions | None = None,
    ) -> None:
        self._router, self._session, self._shadow, self._access_log = router, session, shadow, access_log
        self._recording, self._versions = recording, versions
        self._contexts = {n: tls.client_context(b.tls) if b.tls else None for n, b in settings.backends.items()}
        self._size = settings.max_megabytes << 20

    async def handle(self, request: web.Request) -> web.Response:
        """Forwards one request."""
        began = time.perf_counter()
        try:
            body = await http_server.read(request, self._size, _BODY_SECONDS)
        except http_server.RefusedError as refused:
            return _refused(str(refused), refused.status)
        found = _PATH.fullmatch(request.rel_url.raw_path)
        model = unquote(found["name"]) if found else ""
        route = self._route(found, model, request, body)
        verb = found["verb"].strip(":/") if found and found["verb"] else "status"
        call = Call(protocol="rest", method=verb, model=model, route=route, began=began)
        seen = self._seen(found, request)
        status, content, message = 499, b"", None  # for a client that disconnected
        try:
            status, headers, content = await self._forward(route, found, request, body, seen)
            return _answer(seen, web.Response(status=status, headers=headers, body=content))
        except _BackendError as error:
            status, message = error.status, str(error)
            return _answer(seen, http_server.error(message, status))
        finally:
            self._access_log.answered("request", call, str(status))
            if seen and found:
                self._record(seen, call, found, status=status, message=message, request=body, response=content)
            if route.shadow and found:
                real = content if status == 200 else b""
                copied = replace(call, route=route.shadow)
                self._copy(copied, found=found, request=request, body=body, real=real)

    def _seen(self, found: re.Match[str] | None, request: web.Request) -> Seen | None:
        if not (self._recording and found and found["verb"] in _APIS and request.method == "POST"):
            return None
        sent = request_ids.request_id(request.headers.get(request_ids.KEY))
        return self._recording.begin(sent, _APIS[found["verb"]], "REST")

    def _record(
        self,
        seen: Seen,
        call: Call,
        found: re.Match[str],
        *,
        status: int,
        message: str | None,
        request: bytes,
        response: bytes,
    ) -> None:
        seen.status = _STATUS.get(status, "UNKNOWN")
        seen.error = message or (response.decode(errors="replace")[:_ANSWER_CHARACTERS] if status != 200 else None)
        if seen.note:
            seen.note.label = unquote(found["label"]) if found["label"] else None
            seen.note.version = self._version(call, found, seen.note.label) if status == 200 else _pinned(found)
        assert self._recording, "it has seen the request"
        self._recording.put(seen, call, request, response)

    def _version(self, call: Call, found: re.Match[str], label: str | None) -> int | None:
        """The version that has answered a request, as far as it is known."""
        if self._versions is None or _pinned(found) is not None:
            return _pinned(found)
        return self._versions.of(call.route.backend, call.model, call.route.label or label or "")

    def _route(self, found: re.Match[str] | None, model: str, request: web.Request, body: bytes) -> Route:
        if found is None or found["pinned"]:
            return self._router.untouched(model, unquote(found["label"] or "") if found else "")
        if found["verb"] == "/metadata":
            return self._router.main(model)
        if not found["verb"]:
            return self._router.untouched(model)

        def read_key(key: StickyKey) -> bytes | None:
            if key.kind == "feature":
                return request_fields.feature_of_rest(body, key.name)
            value = request.headers.get(key.name)
            return value.encode() if value is not None else None

        return self._router.split(model, read_key)

    async def _forward(
        self,
        route: Route,
        found: re.Match[str] | None,
        request: web.Request,
        body: bytes,
        seen: Seen | None = None,
    ) -> tuple[int, Any, bytes]:
        """Status, headers and content of a backend's response."""
        url = self._url(route, found, request)
        headers = tuple((name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP)
        headers = seen.tagged(headers) if seen else headers
        try:
            async with self._session.request(
                request.method,
                url,
                data=body or None,
                headers=headers,
                ssl=self._contexts[route.backend] or True,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
            ) as response:
                content = await self._bounded(response, route)
                sent = [(n, v) for n, v in response.headers.items() if n.lower() not in _HOP_BY_HOP]
                return response.status, _multidict(sent), content
        except (aiohttp.ClientError, OSError) as error:
            raise _BackendError(f"the backend {route.backend} at {_address(url)} does not answer") from error

    def _url(self, route: Route, found: re.Match[str] | None, request: web.Request) -> Any:
        from yarl import URL

        backend = self._router.settings.backends[route.backend]
        if not backend.rest:
            raise _BackendError(f"the backend {route.backend} has no REST address")
        path = request.rel_url.raw_path
        if route.label and found:
            path = f"{found['model']}/labels/{quote(route.label, safe='')}{found['verb'] or ''}"
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        return URL(f"{'https' if backend.tls else 'http'}://{backend.rest}{path}{query}", encoded=True)

    async def _bounded(self, response: aiohttp.ClientResponse, route: Route) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._size:
                raise _BackendError(f"the response of the backend {route.backend} exceeds {self._size} bytes", 502)
            chunks.append(chunk)
        return b"".join(chunks)

    def _copy(self, call: Call, *, found: re.Match[str], request: web.Request, body: bytes, real: bytes) -> None:
        async def copy() -> None:
            sent, status, content = replace(call, began=time.perf_counter()), 504, b""
            try:
                async with asyncio.timeout(SECONDS):
                    status, _, content = await self._forward(call.route, found, request, body)
            except _BackendError as error:
                status, content = error.status, str(error).encode()
            except TimeoutError:
                content = b"timeout"
            same = content == real if real and status == 200 else None
            answer = content.decode(errors="replace")[:_ANSWER_CHARACTERS]
            self._access_log.answered("shadow", sent, str(status), same=same, answer=answer)

        self._shadow.put(copy, call.model, len(body) + len(real))


def _answer(seen: Seen | None, response: web.Response) -> web.Response:
    if seen:
        response.headers[request_ids.KEY] = seen.request_id
    return response


def _pinned(found: re.Match[str]) -> int | None:
    """The version that a path names."""
    text = (found["pinned"] or "").removeprefix("/versions/")
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _refused(message: str, status: int) -> web.Response:
    answer = http_server.error(message, status)
    answer.force_close()  # do not wait for the rest of the body
    return answer


def _multidict(pairs: list[tuple[str, str]]) -> Any:
    from multidict import CIMultiDict

    return CIMultiDict(pairs)


def _address(url: Any) -> str:
    return f"{url.host}:{url.port}"


async def _is_reachable(backend: Backend) -> bool:
    host, _, port = backend.grpc.rpartition(":")
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError:
        return False
    writer.close()
    return True


def _metrics(access_log: AccessLog) -> Any:
    async def metrics(request: web.Request) -> web.Response:
        return web.Response(
            body=access_log.metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    return metrics


def application(forwarder: Forwarder, router: Router, access_log: AccessLog, settings: Settings) -> web.Application:
    """The application for TF Serving's paths, `/healthz`, `/readyz` and `/metrics`."""

    async def healthz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        """Whether every backend with a nonzero weight is reachable."""
        needed = {
            router.settings.models[model].targets[name].backend
            for model, weights in router.weights().items()
            for name, weight in weights.items()
            if weight
        }
        for name in sorted(needed):
            if not await _is_reachable(settings.backends[name]):
                return http_server.error(f"the backend {name} is unreachable", 503)
        return web.Response(text="ok\n")

    app = web.Application(client_max_size=settings.max_megabytes << 20)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", _metrics(access_log))
    app.router.add_route("*", "/v1/{path:.*}", forwarder.handle)
    return app


def admin(router: Router, access_log: AccessLog, versions: Versions) -> web.Application:
    """The application for `GET` and `PUT /weights`, `/versions` and `/metrics`, which need no certificate here."""

    async def show(request: web.Request) -> web.Response:
        return web.json_response(router.weights())

    async def change(request: web.Request) -> web.Response:
        try:
            router.set_weights(json.loads(await request.read()))
        except UserError as error:
            return web.json_response({"error": error.what, "fix": error.fix}, status=400)
        except (ValueError, RecursionError) as error:
            return web.json_response({"error": f"the body is not JSON: {error}"}, status=400)
        return web.json_response(router.weights())

    async def answering(request: web.Request) -> web.Response:
        return web.json_response(await versions.by_target())

    app = web.Application(client_max_size=1 << 20)
    app.router.add_get("/versions", answering)
    app.router.add_get("/weights", show)
    app.router.add_put("/weights", change)
    app.router.add_get("/metrics", _metrics(access_log))
    return app
