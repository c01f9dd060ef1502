"""The proxy's gRPC API, which forwards requests and responses as bytes."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc

from taxiway.network import tls
from taxiway.recording import request_ids
from taxiway.routing import request_fields
from taxiway.routing.access_log import AccessLog
from taxiway.routing.calls import Call, Route
from taxiway.routing.router import Router
from taxiway.routing.settings import Backend, Settings, StickyKey
from taxiway.routing.shadow import SECONDS, Shadow

if TYPE_CHECKING:
    from taxiway.routing.recording import RouteRecording, Seen

_PREDICTION = "/tensorflow.serving.PredictionService/"
METADATA = f"{_PREDICTION}GetModelMetadata"
"""The path of the method."""

_METHODS = {
    **{f"{_PREDICTION}{name}": name for name in (*request_fields.SPLIT, "GetModelMetadata")},
    **{f"/tensorflow.serving.ModelService/{name}": name for name in ("GetModelStatus", "HandleReloadConfigRequest")},
}
# gRPC sets these itself for every call.
_OWN_METADATA = ("user-agent", "content-type", "te")
_DETAILS = "grpc-status-details-bin"
_UNREACHABLE = ("failed to connect", "connections to all backends failing", "Socket closed", "recvmsg:", "DNS")
_ANSWER_CHARACTERS = 2000

Metadata = tuple[tuple[str, Any], ...]


def _passed_on(metadata: Iterable[tuple[str, Any]] | None) -> Metadata:
    return tuple(
        (key, value)
        for key, value in metadata or ()
        if key == _DETAILS or not (key in _OWN_METADATA or key.startswith((":", "grpc-")))
    )


def _tagged(seen: Seen | None, metadata: Iterable[tuple[str, Any]] | None) -> Metadata:
    """A backend's metadata for the client, with the request's id."""
    passed = _passed_on(metadata)
    return seen.tagged(passed) if seen else passed


def _options(settings: Settings) -> list[tuple[str, int]]:
    size = settings.max_megabytes << 20
    return [("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)]


class Backends:
    """A channel to each backend."""

    def __init__(self, settings: Settings) -> None:
        self._channels = {name: _channel(backend, settings) for name, backend in settings.backends.items()}

    def call(self, backend: str, path: str) -> Any:
        """The callable for a method, from bytes to bytes."""
        return self._channels[backend].unary_unary(path)

    async def close(self) -> None:
        """Closes all channels."""
        for channel in self._channels.values():
            await channel.close()


def _channel(backend: Backend, settings: Settings) -> Any:
    # Reconnect quickly when a backend restarts; ignore the environment's HTTP proxy.
    backoff = [(f"grpc.{which}_reconnect_backoff_ms", 500) for which in ("initial", "min", "max")]
    options = [*_options(settings), *backoff, ("grpc.enable_http_proxy", 0)]
    if backend.tls is None:
        return grpc.aio.insecure_channel(backend.grpc, options)
    return grpc.aio.secure_channel(backend.grpc, tls.grpc_channel_credentials(backend.tls), options)


class Forwarder(grpc.GenericRpcHandler):
    """Forwards calls of TF Serving's services."""

    def __init__(
        self,
        router: Router,
        backends: Backends,
        shadow: Shadow,
        access_log: AccessLog,
        recording: RouteRecording | None = None,
    ) -> None:
        self._router, self._backends, self._shadow, self._access_log = router, backends, shadow, access_log
        self._recording = recording

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        """The handler for a method; None if TF Serving has no such method."""
        path = handler_call_details.method
        if path not in _METHODS:
            return None

        async def handle(request: bytes, context: Any) -> bytes:
            return await self._passed(path, request, context)

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _passed(self, path: str, request: bytes, context: Any) -> bytes:
        method, began = _METHODS[path], time.perf_counter()
        metadata = _passed_on(context.invocation_metadata())
        seen: Seen | None = None
        if self._recording and method in request_fields.SPLIT:
            seen = self._recording.begin(request_ids.of_metadata(metadata), method, "GRPC")
            metadata = seen.tagged(metadata)
        model, route = self._route(method, request, metadata)
        call = Call(protocol="grpc", method=method, model=model, route=route, began=began)
        answer = self._send(path, request, metadata, route, timeout=context.time_remaining())
        response, code, message = b"", grpc.StatusCode.OK, None
        try:
            response = await answer
            await context.send_initial_metadata(_passed_on(await answer.initial_metadata()))
            context.set_trailing_metadata(_tagged(seen, await answer.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            code, message = error.code(), self._error_message(route, error)
            await context.send_initial_metadata(_passed_on(error.initial_metadata()))
            await context.abort(code, message, _tagged(seen, error.trailing_metadata()))
        except BaseException:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            self._access_log.answered("request", call, code.name, version=_version(method, response))
            if seen and self._recording:
                seen.status, seen.error = code.name, message
                self._recording.put(seen, call, request, response)
            if route.shadow:
                copied = replace(call, route=route.shadow)
                self._copy(path, copied, request=request, metadata=metadata, real=response)
        return response

    def _send(self, path: str, request: bytes, metadata: Metadata, route: Route, *, timeout: float | None) -> Any:
        sent = request_fields.labelled(_METHODS[path], request, route.label) if route.label else request
        return self._backends.call(route.backend, path)(sent, metadata=metadata, timeout=timeout)

    def _route(self, method: str, request: bytes, metadata: Metadata) -> tuple[str, Route]:
        requested = request_fields.requested_model(method, request)
        if requested is None:
            return "", self._router.untouched("")
        if requested.is_pinned:
            return requested.model, self._router.untouched(requested.model, requested.label)
        if method == "GetModelMetadata":
            return requested.model, self._router.main(requested.model)
        if method not in request_fields.SPLIT:
            return requested.model, self._router.untouched(requested.model)

        def read_key(key: StickyKey) -> bytes | None:
            if key.kind == "feature":
                return request_fields.feature_of_grpc(method, request, key.name)
            value = dict(metadata).get(key.name)
            return value.encode() if isinstance(value, str) else value

        return requested.model, self._router.split(requested.model, read_key)

    def _error_message(self, route: Route, error: grpc.aio.AioRpcError) -> str:
        """The backend's error message, or our own if it is unreachable."""
        details = error.details() or ""
        if error.code() == grpc.StatusCode.UNAVAILABLE and any(words in details for words in _UNREACHABLE):
            return (
                f"the backend {route.backend} at {self._router.settings.backends[route.backend].grpc} does not answer"
            )
        return details

    def _copy(self, path: str, call: Call, *, request: bytes, metadata: Metadata, real: bytes) -> None:
        async def copy() -> None:
            sent, response, code = replace(call, began=time.perf_counter()), b"", grpc.StatusCode.OK
            same, answer = None, None
            try:
                response = await self._send(path, request, metadata, call.route, timeout=SECONDS)
                found = request_fields.content(call.method, response)
                same = found == request_fields.content(call.method, real) if real else None
                answer = str(found)[:_ANSWER_CHARACTERS]
            except grpc.aio.AioRpcError as error:
                code, answer = error.code(), self._error_message(call.route, error)
            version = _version(call.method, response)
            self._access_log.answered("shadow", sent, code.name, version=version, same=same, answer=answer)

        self._shadow.put(copy, call.model, len(request) + len(real))


def _version(method: str, response: bytes) -> int | None:
    """The version that answered; None if the response does not name it."""
    return request_fields.answered_version(method, response) if response and method in request_fields.SPLIT else None


def listen(settings: Settings, handlers: list[Any]) -> tuple[Any, int]:
    """A gRPC server, not started yet, and its port.

    Raises:
        RuntimeError: The port is in use.
    """
    server = grpc.aio.server(handlers=handlers, options=[*_options(settings), ("grpc.so_reuseport", 0)])
    address = f"{settings.host}:{settings.port}"
    if settings.tls is None:
        return server, server.add_insecure_port(address)
    return server, server.add_secure_port(address, tls.grpc_server_credentials(settings.tls))
