"""Retires a version by renaming its folder to a name that servers ignore, or restores it by renaming it back.

In a local folder, this is a single rename. An object store has no rename: the store copies the files, `saved_model.pb`
last, and then the old files are removed, in one request if the store supports bulk deletes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.contract import files
from components.contract.errors import ServiceError, UserError
from components.execution.pushed_models import PUSH_LOCK, RETIRED, SAVED_MODEL, Destination, Version


@contextmanager
def alone(destination: Destination) -> Iterator[None]:
    """Locks a folder against pushers and other rollbacks; an object store has no lock."""
    if not destination.is_local:
        yield
        return
    with files.locked(Path(destination.path) / PUSH_LOCK):
        yield


def retire(version: Version) -> Version:
    """Retires a version without deleting anything. If a call is killed, another call completes it."""
    return _moved(version, Version(version.destination, f"{version.number}{RETIRED}"))


def restore(version: Version) -> Version:
    """Restores a retired version."""
    return _moved(version, Version(version.destination, str(version.number)))


def _moved(source: Version, target: Version) -> Version:
    try:
        (_rename if source.destination.is_local else _copy_then_remove)(source, target)
    except OSError as error:
        raise ServiceError(
            f"{source.url} could not be moved to {target.url}: {error}",
            fix="make the destination writable to this user, and run the same command again",
        ) from error
    return target


def _rename(source: Version, target: Version) -> None:
    if os.path.lexists(target.path):
        raise UserError(f"{target.url} already exists", fix="decide which of the two to keep, and move the other away")
    Path(source.path).rename(target.path)
    files.settle(Path(target.path).parent)


def _copy_then_remove(source: Version, target: Version) -> None:
    store = source.destination.file_system
    for name in sorted(source.files(), key=lambda name: (name == SAVED_MODEL, name)):
        store.cp_file(f"{source.path}/{name}", f"{target.path}/{name}")
        if store.size(f"{source.path}/{name}") != store.size(f"{target.path}/{name}"):
            raise ServiceError(f"{target.url}/{name} is an incomplete copy", fix="run the same command again")
    store.rm(source.path, recursive=True)
