"""Where servers listen: the error if they cannot, and the file to which they write their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.contract import files
from components.contract.errors import ServiceError


def taken(host: str, port: int, error: Exception) -> ServiceError:
    """The error of a server that cannot listen on a port."""
    return ServiceError(
        f"cannot listen on port {port} of {host}: {error}", fix="use another port, or 0 to pick a free one"
    )


def write(file: Path | None, addresses: Sequence[str]) -> None:
    """Writes the addresses atomically, one `host:port` per line. Does nothing if `file` is None."""
    if file:
        files.write(file, "".join(f"{address}\n" for address in addresses))
