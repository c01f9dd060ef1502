"""Versions in an object store, which has no rename: each version is claimed first; `saved_model.pb` comes last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.contract.digests import PROVENANCE_FILE
from components.execution.pushed_models import Destination, Version, versions

ABANDONED_AFTER = timedelta(days=1)
"""The age at which an unfinished version counts as abandoned: there is no way to tell whether its pusher is alive."""


@contextmanager
def opened(destination: Destination, abandoned_after: timedelta = ABANDONED_AFTER) -> Iterator[None]:
    """Removes versions whose push started long ago and never finished."""
    for version in list(versions(destination)):
        if not version.is_whole() and _was_claimed_before(version, datetime.now(UTC) - abandoned_after):
            print(f"removing {version.url}: its push never finished", flush=True)
            destination.file_system.rm(version.path, recursive=True)
    yield


def write(version: Version, source: Path, names: list[str], beside: Mapping[str, str]) -> None:
    """Uploads files, and the texts that describe them, as a new version, `saved_model.pb` last.

    The provenance is uploaded first, and only if it does not exist yet: of two concurrent pushers, only one succeeds.

    Raises:
        FileExistsError: The version exists, or another pusher is writing it.
    """
    store = version.destination.file_system
    if store.exists(version.path):
        raise FileExistsError(version.url)
    store.pipe_file(f"{version.path}/{PROVENANCE_FILE}", beside[PROVENANCE_FILE].encode(), mode="create")
    try:
        for name in beside.keys() - {PROVENANCE_FILE}:
            store.pipe_file(f"{version.path}/{name}", beside[name].encode())
        for name in names:
            store.put_file(str(source / name), f"{version.path}/{name}")
    except BaseException:
        with suppress(Exception):
            store.rm(version.path, recursive=True)
        raise


def _was_claimed_before(version: Version, moment: datetime) -> bool:
    try:
        claimed: datetime = version.destination.file_system.modified(f"{version.path}/{PROVENANCE_FILE}")
    except (FileNotFoundError, NotImplementedError):
        return False
    return claimed < moment
