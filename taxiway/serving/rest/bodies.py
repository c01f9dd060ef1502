"""Bodies of requests and answers: how much is read, how long is waited, and what is compressed."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import grpc
from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError

from taxiway.serving.errors import ServingError
from taxiway.serving.rest.encoding import invalid

_COMPRESSED_BYTES = 16 << 10
"""Answers from here on are compressed for clients that take gzip; below, it costs more than it saves."""

_THREAD_BYTES = 1 << 20
"""Bodies from here on are worked on in a thread, so that others are answered meanwhile."""


class RefusedError(Exception):
    """An answer that has no gRPC code: 404, 405, 408, 413."""

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
        RefusedError: 413: larger than the limit; 408: nothing more came for so many seconds.
        ServingError: INVALID_ARGUMENT: it is not what its Content-Encoding says; CANCELLED: the client left.
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
        raise invalid(f"The request's body cannot be read as its Content-Encoding says: {encoding}") from error
    except ConnectionError as error:
        raise ServingError(grpc.StatusCode.CANCELLED, "The client closed the connection") from error
    return bytes(body)


async def computed(size: int, work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of `work` on a body, or tensors, of so many bytes."""
    return await asyncio.to_thread(work, *arguments) if size >= _THREAD_BYTES else work(*arguments)
