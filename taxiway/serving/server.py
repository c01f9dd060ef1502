"""The model server: starts the listeners, serves, and stops gracefully."""

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
from taxiway.recording import settings as recording_settings
from taxiway.recording.recorder import Recorder
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
"""How long running requests may take after SIGTERM."""

_SWITCH_SECONDS = 0.0001
"""How long the event loop waits for the GIL while another thread loads a version, several times per request. Python's
default is fifty times that."""

_MOST_PENDING = 5_000
"""Limit of calls that gRPC has received and Python has not accepted yet. With gRPC's default of 1000, a third of a
second of short requests, it cancels random calls without an error message."""

_SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
_SERVICE_FILES = ("tensorflow_serving.apis.prediction_service_pb2", "tensorflow_serving.apis.model_service_pb2")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """A server's settings.

    Attributes:
        models: The models to serve.
        config: The file that the models come from, reloaded when it changes; None if there is none.
        host: The address to listen on.
        port: The gRPC port; 0 picks a free one.
        rest_port: The REST port; 0 picks a free one.
        tls: None for unencrypted connections.
        batching: None if each request is its own call of the model.
        verification: What is checked before a version is loaded.
        poll_seconds: How often to check for new versions.
        max_request_bytes: Larger requests are refused.
        max_waiting: Queue limit of a version without batching.
        intra_op_parallelism: Threads per operation; 0 lets TensorFlow choose.
        metrics_paths: Paths of the metrics on the REST port.
        per_model_batching: Whether each version has its own batching parameters file.
        grpc_socket: A Unix socket that also serves gRPC; None for none.
        grpc_arguments: Channel arguments of the gRPC server.
        reload_roots: Folders in which clients may choose base paths, besides those of the models.
        early_labels: Whether a new label may point to an unavailable version.
        saved_model_tags: Tags of the SavedModel graph to serve.
        rest_timeout_seconds: Timeout of a REST request, and of reading its body while no data arrives.
        cors: Whether web pages of any site may read REST responses.
        recording: What is recorded in inference tables; None for nothing.
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
    recording: recording_settings.Settings | None = None


def run(settings: Settings, address_file: Path | None = None) -> None:
    """Serves until SIGTERM or SIGINT, then gives running requests `GRACE_SECONDS` to finish.

    Args:
        settings: The settings.
        address_file: Gets the addresses when they are known: gRPC, then REST, one per line.

    Raises:
        ServiceError: A port is in use.
    """
    _allow_many_connections()
    asyncio.run(_serve(settings, address_file))


async def _serve(settings: Settings, address_file: Path | None) -> None:
    sys.setswitchinterval(_SWITCH_SECONDS)
    stopped = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    how = Loading(
        verification=settings.verification,
        batching=settings.batching,
        max_waiting=settings.max_waiting,
        intra_op_parallelism=settings.intra_op_parallelism,
        threads=loading.model_threads(settings.batching),
        metrics=Metrics(),
        tags=settings.saved_model_tags,
        per_model_batching=settings.per_model_batching,
        early_labels=settings.early_labels,
    )
    manager = ModelManager(settings.models, how, settings.poll_seconds, settings.reload_roots)
    recorder = Recorder(settings.recording, how.metrics.registry) if settings.recording else None
    async with AsyncExitStack() as stack:
        if recorder:
            stack.push_async_callback(asyncio.to_thread, recorder.stop)
        stack.callback(how.threads.shutdown, wait=False, cancel_futures=True)
        stack.push_async_callback(manager.stop)
        rest_port = await _start_rest(stack, settings, manager, recorder)
        port, tell = await _start_grpc(stack, settings, manager, recorder)
        _announce(settings, port, rest_port, address_file)
        following = asyncio.create_task(manager.follow(settings.config, _Changes(manager, tell)))
        await stopped.wait()
        _log.info("stopping; running requests have %g s to finish", GRACE_SECONDS)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


class _Changes:
    """Updates the gRPC health service when the models become ready or unready."""

    def __init__(self, manager: ModelManager, tell: Callable[[bool], Awaitable[None]]) -> None:
        self._manager, self._tell, self._was_ready = manager, tell, False
        self._telling: asyncio.Task[None] | None = None

    def __call__(self) -> None:
        ready = self._manager.models.ready()
        if ready != self._was_ready:
            self._was_ready = ready
            self._telling = asyncio.ensure_future(self._tell(ready))  # type: ignore[arg-type]


async def _start_rest(
    stack: AsyncExitStack, settings: Settings, manager: ModelManager, recorder: Recorder | None
) -> int:
    app = application(
        manager.models,
        max_body_bytes=settings.max_request_bytes,
        timeout_seconds=settings.rest_timeout_seconds,
        metrics_paths=settings.metrics_paths,
        cors=settings.cors,
        recorder=recorder,
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
        raise addresses.taken(settings.host, settings.rest_port, error) from error
    return int(runner.addresses[0][1])


async def _start_grpc(
    stack: AsyncExitStack, settings: Settings, manager: ModelManager, recorder: Recorder | None
) -> tuple[int, Callable[[bool], Awaitable[None]]]:
    server = grpc.aio.server(options=_grpc_options(settings))
    prediction = PredictionService(manager.models, settings.max_request_bytes, recorder)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager), server)
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for file in _SERVICE_FILES:
        with suppress(AttributeError):
            # The generated code is too old for the runtime, but registers its descriptors before it fails.
            importlib.import_module(file)
    reflection.enable_server_reflection((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)

    async def tell(ready: bool) -> None:
        await grpc_health.tell(servicer, ready)

    await tell(False)
    try:
        port = _add_address(server, f"{settings.host}:{settings.port}", settings)
    except RuntimeError as error:
        raise addresses.taken(settings.host, settings.port, error) from error
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
    """Refuses a file that is not a socket, and a socket that is in use: gRPC would silently take it over."""
    if not file.exists():
        return
    if not file.is_socket():
        raise ServiceError(f"{file} exists and is not a socket", fix="use another path")
    with socket.socket(socket.AF_UNIX) as connection, suppress(ConnectionRefusedError):
        connection.connect(str(file))
        raise ServiceError(f"another server listens on the socket {file}", fix="stop it, or use another path")


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
    """Each connection is an open file; the usual limit is 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
