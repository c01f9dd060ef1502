"""Copies requests to a shadow after the real response, through a bounded queue that drops what does not fit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from taxiway.routing.access_log import AccessLog

_WORKERS = 16
SECONDS = 30.0
"""Timeout of a shadow request."""

_MAX_BYTES = 64 << 20  # of queued requests and responses

Copy = Callable[[], Awaitable[None]]
"""Sends one copy and logs the response."""


class Shadow:
    """The queue and its workers."""

    def __init__(self, size: int, access_log: AccessLog) -> None:
        self._queue: asyncio.Queue[tuple[Copy, str, int]] = asyncio.Queue(size)
        self._bytes = 0
        self._access_log = access_log
        self._workers = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]

    def put(self, copy: Copy, model: str, size: int) -> None:
        """Queues a copy of `size` bytes; dropped if the queue is full."""
        if self._queue.full() or self._bytes + size > _MAX_BYTES:
            self._access_log.dropped(model)
            return
        self._bytes += size
        self._queue.put_nowait((copy, model, size))

    async def stop(self) -> None:
        """Stops the workers; queued copies are dropped."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            copy, model, size = await self._queue.get()
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(copy(), SECONDS + 1)
            except Exception as error:
                # A failed copy must not stop the worker.
                self._access_log.say(event="shadow", model=model, error=f"{type(error).__name__}: {error}")
            finally:
                self._bytes -= size
