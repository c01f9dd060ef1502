"""A model server for a candidate, wherever it runs."""

from __future__ import annotations

from typing import Protocol

MODEL_NAME = "model"
GRPC_PORT = 8500
"""TF Serving's gRPC port inside a container."""

MODEL_BASE_PATH = "/models"
"""Where TF Serving's image looks for `<model name>/<version>/`."""


class Server(Protocol):
    """A server that has been started."""

    def address(self) -> str | None:
        """`host:port` of its gRPC API; None until it is known."""

    def ended(self) -> str:
        """How it ended; empty while it runs."""

    def log(self) -> str:
        """Its output, or the end of it if it is long."""

    def stop(self) -> None:
        """Stops it and leaves nothing behind."""
