"""A model server on a candidate, wherever it runs."""

from __future__ import annotations

from typing import Protocol

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
