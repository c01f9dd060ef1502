"""The file to which a server started with port 0 writes its addresses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.contract import files


def write(file: Path | None, addresses: Sequence[str]) -> None:
    """Writes the addresses atomically, one `host:port` per line. Does nothing if `file` is None."""
    if file:
        files.write(file, "".join(f"{address}\n" for address in addresses))
