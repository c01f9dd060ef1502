"""Shared by our HTTP servers: reading bodies with limits, and errors as TF Serving's JSON, `{"error": ...}`."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError

CLIENT_LEFT = 499
"""nginx's status for a request whose client has closed the connection."""

_COMPRESSED_BYTES = 16 << 10
"""Minimum size of compressed responses, for clients that accept gzip. Below, compression costs more than it saves."""

_THREAD_BYTES = 1 << 20
"""Minimum size of bodies that are processed in a thread, so that other requests are answered in the meantime."""

_log = logging.getLogger(__name__)


def error(message: str, status: int, **headers: str) -> web.Response:
    """An error response."""
    text = message.encode("utf-8", "replace").decode()  # a path may contain bytes that are not UTF-8
    body = orjson.dumps({"error": text})
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


class RefusedError(Exception):
    """A request that is rejected before its content is looked at: 400, 404, 405, 408, 413, 499."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def _accepts_gzip(request: web.Request) -> bool:
    offers = (offer.partition(";") for offer in request.headers.get("Accept-Encoding", "").split(","))
    return any(
        name.strip().lower() == "gzip" and weight.strip().lower().rstrip("0.") not in ("q=", "q")
        for name, _, weight in offers
    )


async def compressed(response: web.Response, request: web.Request) -> web.Response:
    """The response, with a large body compressed if the client accepts gzip."""
    body = response.body
    if isinstance(body, bytes) and len(body) >= _COMPRESSED_BYTES:
        response.headers["Vary"] = "Accept-Encoding"
        if _accepts_gzip(request):
            response.body = await asyncio.to_thread(gzip.compress, body, 1)
            response.headers["Content-Encoding"] = "gzip"
    return response


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise RefusedError(413, f"The request's body is larger than {limit} bytes")


async def read(request: web.Request, limit: int, patience: float) -> bytes:
    """The request's body, decompressed.

    Raises:
        RefusedError: 413: it is larger than the limit; 408: no data arrived for `patience` seconds; 400: it does not
            match its Content-Encoding; 499: the client closed the connection.
    """
    _check_size(request.content_length or 0, limit)
    loop = asyncio.get_running_loop()
    body = bytearray()
    try:
        async with asyncio.timeout(patience) as waiting:
            async for chunk in request.content.iter_any():
                waiting.reschedule(loop.time() + patience)
                body += chunk
                _check_size(len(body), limit)
    except TimeoutError as error:
        raise RefusedError(408, f"No data of the request's body arrived for {patience:g} s") from error
    except (PayloadEncodingError, web.RequestPayloadError) as error:
        encoding = request.headers.get("Content-Encoding", "")
        raise RefusedError(400, f"The request's body does not match its Content-Encoding: {encoding}") from error
    except ConnectionError as error:
        raise RefusedError(CLIENT_LEFT, "The client closed the connection") from error
    return bytes(body)


async def computed(size: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """Calls `work` on a body or tensors with this size in bytes, in a thread if they are large."""
    return await asyncio.to_thread(work, *arguments) if size >= _THREAD_BYTES else work(*arguments)


class Runner(web.AppRunner):
    """Runs an application. Cancels handlers whose clients have left; answers exceptions and malformed HTTP with JSON.

    Args:
        app: The application.
        settings: aiohttp's settings of a connection.
    """

    def __init__(self, app: web.Application, **settings: Any) -> None:
        self._settings: dict[str, Any] = {"access_log": None, **settings}
        super().__init__(app, handler_cancellation=True, **self._settings)

    @property
    def server(self) -> Any:
        """The factory of connections, as aiohttp's sites expect it."""
        made = super().server
        return made and partial(_Connection, made, loop=asyncio.get_running_loop(), **self._settings)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The response to a request that no handler answered."""
        if status >= 500:
            super().handle_error(request, status, exc, message)
            late = status == HTTPStatus.GATEWAY_TIMEOUT
            answer = error("The request took too long" if late else "Internal error; see the server's log", status)
        else:
            # Anyone can send malformed requests, so they must not fill the log with tracebacks.
            reason = " ".join((message or "").replace("^", "").split())  # the ^ points to the line above it
            _log.info("malformed HTTP request from %s: %s", request.remote, reason)
            answer = error(f"Malformed HTTP request: {reason}", status)
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends a response; a raised one is converted to JSON first."""
        if isinstance(resp, web.HTTPException):
            resp = _raised(request, resp)
        return await super().finish_response(request, resp, start_time)


def _raised(request: web.BaseRequest, raised: web.HTTPException) -> web.Response:
    plain = f"{raised.status}: {raised.reason}"
    text = f"{raised.reason}: {request.method} {request.path}" if raised.text in (None, plain) else str(raised.text)
    headers = {name: value for name, value in raised.headers.items() if name == "Allow"}
    answer = error(text, raised.status, **headers)
    if not request.content.is_eof():
        answer.force_close()  # do not wait for the rest of the body
    return answer
