"""What our HTTP servers share: bodies read within limits, and errors as TF Serving's JSON, `{"error": ...}`."""

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
"""nginx's status of a request whose client has closed the connection."""

_COMPRESSED_BYTES = 16 << 10
"""Answers from here on are compressed for clients that take gzip; below, it costs more than it saves."""

_THREAD_BYTES = 1 << 20
"""Bodies from here on are worked on in a thread, so that others are answered meanwhile."""

_log = logging.getLogger(__name__)


def error(message: str, status: int, **headers: str) -> web.Response:
    """An answer that is an error."""
    text = message.encode("utf-8", "replace").decode()  # a path may hold bytes that are no text
    body = orjson.dumps({"error": text})
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


class RefusedError(Exception):
    """A request that is refused before its content counts: 400, 404, 405, 408, 413, 499."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def _takes_gzip(request: web.Request) -> bool:
    offers = (offer.partition(";") for offer in request.headers.get("Accept-Encoding", "").split(","))
    return any(
        name.strip().lower() == "gzip" and weight.strip().lower().rstrip("0.") not in ("q=", "q")
        for name, _, weight in offers
    )


async def compressed(response: web.Response, request: web.Request) -> web.Response:
    """The answer, with a large body compressed where the client takes that."""
    body = response.body
    if isinstance(body, bytes) and len(body) >= _COMPRESSED_BYTES:
        response.headers["Vary"] = "Accept-Encoding"
        if _takes_gzip(request):
            response.body = await asyncio.to_thread(gzip.compress, body, 1)
            response.headers["Content-Encoding"] = "gzip"
    return response


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise RefusedError(413, f"The request's body is larger than {limit} bytes")


async def read(request: web.Request, limit: int, patience: float) -> bytes:
    """The request's body, decompressed.

    Raises:
        RefusedError: 413: larger than the limit; 408: nothing more came for so many seconds; 400: it is not what its
            Content-Encoding says; 499: the client left.
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
        raise RefusedError(408, f"The request's body did not go on for {patience:g} s") from error
    except (PayloadEncodingError, web.RequestPayloadError) as error:
        encoding = request.headers.get("Content-Encoding", "")
        raise RefusedError(
            400, f"The request's body cannot be read as its Content-Encoding says: {encoding}"
        ) from error
    except ConnectionError as error:
        raise RefusedError(CLIENT_LEFT, "The client closed the connection") from error
    return bytes(body)


async def computed(size: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of `work` on a body, or tensors, of so many bytes."""
    return await asyncio.to_thread(work, *arguments) if size >= _THREAD_BYTES else work(*arguments)


class Runner(web.AppRunner):
    """Runs an application for as long as its clients wait; what it raises, and what is no HTTP, is answered as JSON.

    Args:
        app: The application.
        settings: aiohttp's, of a connection.
    """

    def __init__(self, app: web.Application, **settings: Any) -> None:
        self._settings: dict[str, Any] = {"access_log": None, **settings}
        super().__init__(app, handler_cancellation=True, **self._settings)

    @property
    def server(self) -> Any:
        """What makes a connection, as aiohttp's sites call it."""
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
        """The answer to what no handler answered."""
        if status >= 500:
            super().handle_error(request, status, exc, message)
            late = status == HTTPStatus.GATEWAY_TIMEOUT
            answer = error("The request took too long" if late else "Internal error; see the server's log", status)
        else:
            # Anybody can send it, as often as they like: it may not fill the log with tracebacks.
            why = " ".join((message or "").replace("^", "").split())  # which points into the line above it
            _log.info("%s sent what is no HTTP: %s", request.remote, why)
            answer = error(f"Malformed HTTP request: {why}", status)
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends an answer; of one that was raised, its text."""
        if isinstance(resp, web.HTTPException):
            resp = _raised(request, resp)
        return await super().finish_response(request, resp, start_time)


def _raised(request: web.BaseRequest, raised: web.HTTPException) -> web.Response:
    plain = f"{raised.status}: {raised.reason}"
    text = f"{raised.reason}: {request.method} {request.path}" if raised.text in (None, plain) else str(raised.text)
    headers = {name: value for name, value in raised.headers.items() if name == "Allow"}
    answer = error(text, raised.status, **headers)
    if not request.content.is_eof():
        answer.force_close()  # the rest of the body is not waited for
    return answer
