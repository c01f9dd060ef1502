"""The error that the model server answers with."""

from __future__ import annotations

import grpc


class ServingError(Exception):
    """An error with a gRPC code and a message for the client; the REST API maps the code to an HTTP status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
