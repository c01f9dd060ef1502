"""The model server: its listeners, and its life from the first look at the models to the last answer."""

from __future__ import annotations

import asyncio
import importlib
import logging
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from aiohttp import web
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from components.contract.errors import ServiceError
from taxiway.network import addresses, grpc_health
from taxiway.network.http_server import Runner
from taxiway.network.tls import Tls, grpc_server_credentials, server_context
from taxiway.serving.grpc.services import ModelService, PredictionService
from taxiway.serving.metrics import Metrics
from taxiway.serving.model import loading
from taxiway.serving.model.batching import Batching
from taxiway.serving.model.loading import Loading
from taxiway.serving.model.model_config import ModelSettings
from taxiway.serving.model.verification import Verification
from taxiway.serving.model_manager import ModelManager
from taxiway.serving.rest.app import MAX_BODY_BYTES, TIMEOUT_SECONDS, application
from taxiway.serving.rest.routes import METRICS_PATHS

GRACE_SECONDS = 10.0
"""How long requests that are under way may take after SIGTERM."""

_SWITCH_SECONDS = 0.0001
"""How long the event loop waits until a thread that loads a version gives way, several times a request; Python's own is
fifty times that."""

_MOST_PENDING = 5_000
"""Calls that gRPC may have waiting to be taken up. Its own limit, a thousand, is a third of a second of short requests:
from there on it cancels calls at random, without a word."""

_SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
_SERVICE_FILES = ("tensorflow_serving.apis.prediction_service_pb2", "tensorflow_serving.apis.model_service_pb2")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """A server.

    Attributes:
        models: What is served.
        config: The file that the models are from, which is read anew when it changes; None where there is none.
        host: Where to listen.
        port: gRPC's port; 0 for any that is free.
        rest_port: REST's port; 0 for any that is free.
        tls: None for connections that are not encrypted.
        batching: None where each request is a call of the model.
        verification: What a version has to show before it is loaded.
        poll_seconds: How often versions are looked for.
        max_request_bytes: Larger requests are refused.
        max_waiting: How many requests of a version may wait for the model where they are not batched.
        intra_op_parallelism: Threads of one operation of a model; 0 for TensorFlow's choice.
        metrics_paths: Where REST has metrics.
        per_model_batching: Whether each version batches as its own file says.
        grpc_socket: A Unix socket where gRPC is answered too; None for none.
        grpc_arguments: Channel arguments of gRPC's server, by name.
        reload_roots: Folders that clients may name base paths in, besides those of the models.
        early_labels: Whether a new label may name a version that is not available.
        saved_model_tags: Which graph of a SavedModel is served.
        rest_timeout_seconds: How long a REST request may take, and how long its body may stand still.
        cors: Whether REST answers may be read by the pages of any web site.
    """

    models: tuple[ModelSettings, ...]
    config: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int = 8501
    tls: Tls | None = None
    batching: Batching | None = None
    verification: Verification = field(default_factory=Verification)
    poll_seconds: float = 1.0
    max_request_bytes: int = MAX_BODY_BYTES
    max_waiting: int = 1000
    intra_op_parallelism: int = 0
    metrics_paths: tuple[str, ...] = METRICS_PATHS
    per_model_batching: bool = False
    grpc_socket: Path | None = None
    grpc_arguments: Mapping[str, int | str] = field(default_factory=dict)
    reload_roots: tuple[Path, ...] = ()
    early_labels: bool = False
    saved_model_tags: tuple[str, ...] = loading.TAGS
    rest_timeout_seconds: float = TIMEOUT_SECONDS
    cors: bool = False


def run(settings: Settings, address_file: Path | None = None) -> None:
    """Serves until SIGTERM or SIGINT; requests that are under way get some seconds.

    Args:
        settings: What is served, and where.
        address_file: A file to write the addresses to once they are known: gRPC, then REST, a line each.

    Raises:
        ServiceError: A port is taken.
    """
    _allow_many_connections()
    asyncio.run(_serve(settings, address_file))


async def _serve(settings: Settings, address_file: Path | None) -> None:
    sys.setswitchinterval(_SWITCH_SECONDS)
    stopped = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    how = Loading(
        settings.verification,
        settings.batching,
        settings.max_waiting,
        settings.intra_op_parallelism,
        loading.model_threads(settings.batching),
        Metrics(),
        settings.saved_model_tags,
        settings.per_model_batching,
        settings.early_labels,
    )
    manager = ModelManager(settings.models, how, settings.poll_seconds, settings.reload_roots)
    async with AsyncExitStack() as stack:
        stack.callback(how.threads.shutdown, wait=False, cancel_futures=True)
        stack.push_async_callback(manager.stop)
        rest_port = await _start_rest(stack, settings, manager)
        port, tell = await _start_grpc(stack, settings, manager)
        _announce(settings, port, rest_port, address_file)
        following = asyncio.create_task(manager.follow(settings.config, _Changes(manager, tell)))
        await stopped.wait()
        _log.info("stopping; requests under way have %g s", GRACE_SECONDS)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


class _Changes:
    """Tells health checks whether the models can be asked."""

    def __init__(self, manager: ModelManager, tell: Callable[[bool], Awaitable[None]]) -> None:
        self._manager, self._tell, self._was_ready = manager, tell, False
        self._telling: asyncio.Task[None] | None = None

    def __call__(self) -> None:
        ready = self._manager.models.ready()
        if ready != self._was_ready:
            self._was_ready = ready
            self._telling = asyncio.ensure_future(self._tell(ready))  # type: ignore[arg-type]


async def _start_rest(stack: AsyncExitStack, settings: Settings, manager: ModelManager) -> int:
    app = application(
        manager.models,
        max_body_bytes=settings.max_request_bytes,
        timeout_seconds=settings.rest_timeout_seconds,
        metrics_paths=settings.metrics_paths,
        cors=settings.cors,
    )
    runner = Runner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    context = server_context(settings.tls) if settings.tls else None
    site = web.TCPSite(
        runner, settings.host, settings.rest_port, ssl_context=context, backlog=1024, shutdown_timeout=GRACE_SECONDS
    )
    try:
        await site.start()
    except OSError as error:
        raise _taken(settings.host, settings.rest_port, error) from error
    return int(runner.addresses[0][1])


async def _start_grpc(
    stack: AsyncExitStack, settings: Settings, manager: ModelManager
) -> tuple[int, Callable[[bool], Awaitable[None]]]:
    server = grpc.aio.server(options=_grpc_options(settings))
    prediction = PredictionService(manager.models, settings.max_request_bytes)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager), server)
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for file in _SERVICE_FILES:
        with suppress(AttributeError):
            # The code is too old for the runtime; it describes the service to reflection before it fails.
            importlib.import_module(file)
    reflection.enable_server_reflection((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)

    async def tell(ready: bool) -> None:
        await grpc_health.tell(servicer, ready)

    await tell(False)
    try:
        port = _add_address(server, f"{settings.host}:{settings.port}", settings)
    except RuntimeError as error:
        raise _taken(settings.host, settings.port, error) from error
    if settings.grpc_socket:
        _add_socket(server, settings.grpc_socket, settings)
        stack.callback(settings.grpc_socket.unlink, missing_ok=True)
    await server.start()
    stack.push_async_callback(server.stop, GRACE_SECONDS)
    stack.push_async_callback(servicer.enter_graceful_shutdown)
    return port, tell


def _grpc_options(settings: Settings) -> list[tuple[str, int | str]]:
    own: dict[str, int | str] = {
        "grpc.so_reuseport": 0,
        "grpc.max_receive_message_length": settings.max_request_bytes,
        "grpc.max_send_message_length": -1,
        "grpc.server.max_pending_requests": _MOST_PENDING,
        "grpc.server.max_pending_requests_hard_limit": 2 * _MOST_PENDING,
    }
    return list({**own, **settings.grpc_arguments}.items())


def _add_address(server: Any, address: str, settings: Settings) -> int:
    credentials = grpc_server_credentials(settings.tls) if settings.tls else None
    return int(server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address))


def _add_socket(server: Any, file: Path, settings: Settings) -> None:
    _require_unused(file)
    try:
        _add_address(server, f"unix:{file}", settings)
    except RuntimeError as error:
        raise ServiceError(
            f"cannot listen on the socket {file}: {error}",
            fix="use a path of at most 107 bytes in an existing folder",
        ) from error


def _require_unused(file: Path) -> None:
    """Refuses a file that is no socket, and one where somebody listens: gRPC would take it from them without a word."""
    if not file.exists():
        return
    if not file.is_socket():
        raise ServiceError(f"{file} exists and is not a socket", fix="use another path")
    with socket.socket(socket.AF_UNIX) as connection, suppress(ConnectionRefusedError):
        connection.connect(str(file))
        raise ServiceError(f"another server listens on the socket {file}", fix="stop it, or use another path")


def _taken(host: str, port: int, error: Exception) -> ServiceError:
    return ServiceError(
        f"cannot listen on port {port} of {host}: {error}", fix="use another port, or 0 to pick a free one"
    )


def _announce(settings: Settings, port: int, rest_port: int, address_file: Path | None) -> None:
    scheme = "https" if settings.tls else "http"
    _log.info(
        "serving %s: gRPC at %s:%d%s, REST at %s://%s:%d",
        ", ".join(each.name for each in settings.models),
        settings.host,
        port,
        f" and unix:{settings.grpc_socket}" if settings.grpc_socket else "",
        scheme,
        settings.host,
        rest_port,
    )
    addresses.write(address_file, [f"{settings.host}:{port}", f"{settings.host}:{rest_port}"])


def _allow_many_connections() -> None:
    """Each connection is an open file; the usual limit is a thousand."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
