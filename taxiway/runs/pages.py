"""Where the pages of a home are served: the server holds a lock for as long as it runs, and writes its address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from components.contract import files
from components.contract.commands import typed
from taxiway.storage.home import Home

_LOCK, _ADDRESS = "ui.lock", "ui.address"


@contextmanager
def announced(origin: str, home: Home) -> Iterator[None]:
    """Tells others the address of the pages while the block runs; the first of several servers does."""
    if files.is_locked(home.root / _LOCK):
        yield
        return
    home.root.mkdir(parents=True, exist_ok=True)
    with files.locked(home.root / _LOCK):
        files.write(home.root / _ADDRESS, origin)
        try:
            yield
        finally:
            (home.root / _ADDRESS).unlink(missing_ok=True)


def origin_of(home: Home) -> str:
    """The address of the server that shows this home now; empty if there is none."""
    try:
        return (home.root / _ADDRESS).read_text() if files.is_locked(home.root / _LOCK) else ""
    except OSError:
        return ""


def way_to(run_id: str, home: Home) -> str:
    """How to see the page of a run: its address if a server is there, else the command that starts one."""
    origin = origin_of(home)
    return f"{origin}/runs/{quote(run_id, safe='')}" if origin else typed("taxiway ui", run_id)
