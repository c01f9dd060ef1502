"""Starts a model server for a candidate on the selected platform."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from components.infra_validator.servers.platforms import Docker, Kubernetes, Platform
from components.infra_validator.servers.server import Server


@contextmanager
def started(platform: Platform, base: Path, folder: Path, custom_ops: Sequence[str] = ()) -> Iterator[Server]:
    """Starts a server, and stops it when the block ends.

    Args:
        platform: Where the server runs.
        base: The candidate in TF Serving's layout: a folder `MODEL_NAME` with a version in it.
        folder: A folder for the server's own files.
        custom_ops: Libraries of operations for the local server.
    """
    server = _start(platform, base, folder, custom_ops)
    try:
        yield server
    finally:
        server.stop()


def _start(platform: Platform, base: Path, folder: Path, custom_ops: Sequence[str]) -> Server:
    if isinstance(platform, Docker):
        from components.infra_validator.servers.container import ContainerServer

        return ContainerServer(platform, base)
    if isinstance(platform, Kubernetes):
        from components.infra_validator.servers.pod import PodServer

        return PodServer(platform, base)
    from components.infra_validator.servers.local_server import LocalServer

    return LocalServer(base, folder, custom_ops)
