"""A model server on a candidate, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from components.serving_platforms import Docker, Kubernetes, Platform

MODEL_NAME = "model"
GRPC_PORT = 8500
"""TF Serving's, inside a container."""

MODEL_BASE_PATH = "/models"
"""Where TF Serving's image looks for `<model name>/<version>/`."""


class Server(Protocol):
    """A server that was started."""

    def address(self) -> str | None:
        """`host:port` of its gRPC API, once that is known."""

    def ended(self) -> str:
        """How it ended; empty while it runs."""

    def log(self) -> str:
        """What it has printed, the end of it where that is long."""

    def stop(self) -> None:
        """Ends it, and leaves nothing of it behind."""


@contextmanager
def started(platform: Platform, base: Path, folder: Path, custom_ops: Sequence[str] = ()) -> Iterator[Server]:
    """Starts a server, and stops it when the block ends.

    Args:
        platform: Where it runs.
        base: The candidate as TF Serving wants it: a folder `MODEL_NAME` with a version in it.
        folder: A place for the server's own files.
        custom_ops: Libraries of operations for the local server.
    """
    server = _start(platform, base, folder, custom_ops)
    try:
        yield server
    finally:
        server.stop()


def _start(platform: Platform, base: Path, folder: Path, custom_ops: Sequence[str]) -> Server:
    if isinstance(platform, Docker):
        from components.infra_validator.container import ContainerServer

        return ContainerServer(platform, base)
    if isinstance(platform, Kubernetes):
        from components.infra_validator.pod import PodServer

        return PodServer(platform, base)
    from components.infra_validator.local_server import LocalServer

    return LocalServer(base, folder, custom_ops)
