"""The file that a server writes its addresses to once they are known, for whoever has started it with port 0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.contract import files


def write(file: Path | None, addresses: Sequence[str]) -> None:
    """Writes `host:port` a line; the file appears whole. None writes nothing."""
    if file:
        files.write(file, "".join(f"{address}\n" for address in addresses))
