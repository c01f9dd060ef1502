"""Runs the proxy: starts the listeners and reloads the settings file."""

from __future__ import annotations

import asyncio
import functools
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from grpc_health.v1 import health, health_pb2_grpc

from components.contract import files
from components.contract.errors import TaxiwayError
from taxiway.network import addresses, grpc_health
from taxiway.network.http_server import Runner
from taxiway.network.tls import Tls, server_context
from taxiway.routing import grpc_side, rest_side, settings
from taxiway.routing.access_log import AccessLog
from taxiway.routing.router import Router
from taxiway.routing.settings import Settings
from taxiway.routing.shadow import Shadow
from taxiway.routing.versions import Versions

if TYPE_CHECKING:
    from taxiway.routing.recording import RouteRecording

_LOOPBACK = "127.0.0.1"
_POLL_SECONDS = 1.0
_GRACE_SECONDS = 10


async def _web(stack: AsyncExitStack, app: web.Application, host: str, port: int, tls: Tls | None) -> int:
    # Compressed bodies are forwarded unchanged.
    runner = Runner(app, auto_decompress=False)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    context = server_context(tls) if tls else None
    try:
        await web.TCPSite(runner, host, port, ssl_context=context, shutdown_timeout=_GRACE_SECONDS).start()
    except OSError as error:
        raise addresses.taken(host, port, error) from error
    return int(runner.addresses[0][1])


async def _grpc(stack: AsyncExitStack, given: Settings, forwarder: grpc_side.Forwarder) -> int:
    try:
        server, port = grpc_side.listen(given, [forwarder])
    except RuntimeError as error:
        raise addresses.taken(given.host, given.port, error) from error
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    await grpc_health.tell(servicer, ready=True)
    await server.start()
    stack.push_async_callback(server.stop, _GRACE_SECONDS)
    return port


async def _watch(file: Path, told: asyncio.Event, router: Router, access_log: AccessLog) -> None:
    """Reloads the file when it changes or on SIGHUP; an invalid one changes nothing."""
    known = files.fingerprint(file)
    while True:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await told.wait()
        except TimeoutError:
            if files.fingerprint(file) == known:
                continue
        told.clear()
        known = files.fingerprint(file)
        try:
            router.take_over(settings.load(file))
        except TaxiwayError as error:
            access_log.say(event="reload", error=error.what, fix=error.fix)


def _on(signals: tuple[signal.Signals, ...], act: Callable[[], None]) -> None:
    for each in signals:
        asyncio.get_running_loop().add_signal_handler(each, act)


def _recording(given: Settings, access_log: AccessLog) -> RouteRecording | None:
    """What records requests; None if nothing does, which loads no Arrow."""
    if given.inference is None:
        return None
    from taxiway.routing.recording import RouteRecording

    return RouteRecording(given.recording(), access_log.registry, set(given.models))


async def _run(given: Settings, file: Path | None, started: Callable[[list[str]], None]) -> None:
    stopped, told = asyncio.Event(), asyncio.Event()
    _on((signal.SIGTERM, signal.SIGINT), stopped.set)
    _on((signal.SIGHUP,), told.set)
    access_log = AccessLog(set(given.models))
    router = Router(given, access_log)
    recording = _recording(given, access_log)
    async with AsyncExitStack() as stack:
        if recording:
            stack.push_async_callback(asyncio.to_thread, recording.stop)
        shadow = Shadow(given.shadow_queue, access_log)
        stack.push_async_callback(shadow.stop)
        backends = grpc_side.Backends(given)
        stack.push_async_callback(backends.close)
        connector = aiohttp.TCPConnector(limit=0)
        # No total timeout: clients set their own and disconnect.
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        )
        versions = Versions(backends, given)
        if recording:
            stack.callback(asyncio.create_task(versions.follow()).cancel)
        forwarder = rest_side.Forwarder(
            router, session, shadow, access_log, given, recording=recording, versions=versions
        )
        rest = rest_side.application(forwarder, router, access_log, given)
        admin_port = await _web(stack, rest_side.admin(router, access_log, versions), _LOOPBACK, given.admin_port, None)
        rest_port = await _web(stack, rest, given.host, given.rest_port, given.tls)
        port = await _grpc(stack, given, grpc_side.Forwarder(router, backends, shadow, access_log, recording))
        started([f"{given.host}:{port}", f"{given.host}:{rest_port}", f"{_LOOPBACK}:{admin_port}"])
        access_log.say(event="start", grpc=port, rest=rest_port, admin=admin_port)
        watching = asyncio.create_task(_watch(file, told, router, access_log)) if file else None
        await stopped.wait()
        if watching:
            watching.cancel()
    access_log.say(event="stop")


def run(given: Settings, file: Path | None = None, address_file: Path | None = None) -> None:
    """Runs a proxy until SIGTERM or SIGINT, then gives running requests some seconds to finish.

    Args:
        given: The settings.
        file: The route.yaml that they come from, reloaded when it changes; None if there is none.
        address_file: Gets the addresses when they are known: gRPC, REST, admin, one per line.

    Raises:
        ServiceError: A port is in use.
    """
    asyncio.run(_run(given, file, functools.partial(addresses.write, address_file)))
