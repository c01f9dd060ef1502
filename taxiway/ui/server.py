"""The server of pages: starts, says where it is, and stops on SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import Callable

from aiohttp import web

from components.contract.errors import ServiceError, TaxiwayError
from taxiway.network.http_server import Runner
from taxiway.network.tls import server_context
from taxiway.runs import pages
from taxiway.ui.app import application
from taxiway.ui.settings import Settings, require_closed
from taxiway.ui.views import Site

_GRACE_SECONDS = 2.0
_COPY_SECONDS = 10.0
_EVERY = ("0.0.0.0", "::")

_log = logging.getLogger(__name__)


def run(settings: Settings, started: Callable[[str], object]) -> None:
    """Serves until SIGTERM or SIGINT.

    Args:
        settings: The settings.
        started: Is given the address when the server answers.

    Raises:
        UserError: The host is not loopback, and anyone could use it.
        ServiceError: The port is in use.
    """
    require_closed(settings)
    asyncio.run(_serve(settings, started))


async def _serve(settings: Settings, started: Callable[[str], object]) -> None:
    stopped = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    site = site_of(settings, secrets.token_bytes(32))
    runner = Runner(application(settings, site))
    await runner.setup()
    copying = asyncio.create_task(_copy(settings.refresh)) if settings.refresh else None
    try:
        await _listen(runner, settings)
        origin = f"{settings.scheme}://{_shown(settings.host)}:{runner.addresses[0][1]}"
        with pages.announced(origin, settings.home):
            started(origin)
            # The first page need not wait for thousands of records to be read.
            reading = asyncio.create_task(asyncio.to_thread(site.index.runs))
            await stopped.wait()
            await reading
    finally:
        if copying:
            copying.cancel()
        await runner.cleanup()


def site_of(settings: Settings, secret: bytes) -> Site:
    """What the pages show, as the settings say."""
    return Site(
        settings.home,
        secret,
        servers=settings.servers,
        destinations=settings.destinations,
        tables=settings.tables or str(settings.home.monitoring),
        is_copy=settings.refresh is not None,
    )


async def _copy(refresh: Callable[[], list[str]]) -> None:
    """Copies runs from elsewhere again and again; each problem is told once."""
    told: set[str] = set()
    while True:
        try:
            problems = await asyncio.to_thread(refresh)
        except TaxiwayError as error:
            problems = [str(error)]
        for problem in problems:
            if problem not in told:
                _log.warning("%s", problem)
        told.update(problems)
        await asyncio.sleep(_COPY_SECONDS)


async def _listen(runner: Runner, settings: Settings) -> None:
    context = server_context(settings.tls) if settings.tls else None
    site = web.TCPSite(runner, settings.host, settings.port, ssl_context=context, shutdown_timeout=_GRACE_SECONDS)
    try:
        await site.start()
    except OSError as error:
        raise ServiceError(
            f"cannot listen on port {settings.port} of {settings.host}: {error.strerror or error}",
            fix="use another port with --port PORT, or 0 to pick a free one",
        ) from error


def _shown(host: str) -> str:
    """A host as browsers need it; if it stands for every address, the machine's name."""
    if host in _EVERY:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
