"""Request ids: the client's own, or a new one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

KEY = "x-request-id"
"""The HTTP header and the key of the gRPC metadata."""

_VALID = re.compile(r"[A-Za-z0-9._~:/+=@,|-]{1,128}")


def request_id(given: Any) -> str:
    """The id that a client has sent; a new one if it sent none, a long one, or other characters than printable ones."""
    if isinstance(given, str) and _VALID.fullmatch(given):
        return given
    return os.urandom(16).hex()


def of_metadata(metadata: Iterable[tuple[str, Any]] | None) -> str:
    """The request id of a gRPC call."""
    return request_id(sent(metadata))


def sent(metadata: Iterable[tuple[str, Any]] | None) -> Any:
    """What a gRPC client has sent as request id; None if nothing."""
    for key, value in metadata or ():
        if key == KEY:
            return value
    return None
