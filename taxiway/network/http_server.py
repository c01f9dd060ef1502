"""An HTTP server that answers with TF Serving's JSON, `{"error": ...}`, also where no application saw the request."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

_log = logging.getLogger(__name__)


def error(message: str, status: int, **headers: str) -> web.Response:
    """An answer that is an error."""
    text = message.encode("utf-8", "replace").decode()  # a path may hold bytes that are no text
    body = orjson.dumps({"error": text})
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


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
            answer = error(
                "The request took too long" if late else "Internal error; the server's log says more", status
            )
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
