"""What the model server may answer instead of a result."""

from __future__ import annotations

import grpc


class ServingError(Exception):
    """An error with gRPC's code and a message for the client; the REST side answers with HTTP's status of that code."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
