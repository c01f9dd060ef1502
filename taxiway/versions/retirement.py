"""Takes a version back, or brings it back: its folder gets a name that servers pass over, or its own again.

In a folder that is one rename. An object store has no rename: the files are copied there, by the store itself and
`saved_model.pb` last, and only then the old ones are removed, in one request where the store has one for many files.
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
    """Keeps pushers and other rollbacks out of a folder while the block runs; an object store has no lock."""
    if not destination.is_local:
        yield
        return
    with files.locked(Path(destination.path) / PUSH_LOCK):
        yield


def retire(version: Version) -> Version:
    """Takes a version back; nothing of it is lost. What a killed call began, another one ends."""
    return _moved(version, Version(version.destination, f"{version.number}{RETIRED}"))


def restore(version: Version) -> Version:
    """Brings a retired version back."""
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
        raise UserError(f"{target.url} is there already", fix="look which of the two is wanted, and move the other")
    Path(source.path).rename(target.path)
    folder = os.open(Path(target.path).parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy_then_remove(source: Version, target: Version) -> None:
    store = source.destination.file_system
    for name in sorted(source.files(), key=lambda name: (name == SAVED_MODEL, name)):
        store.cp_file(f"{source.path}/{name}", f"{target.path}/{name}")
        if store.size(f"{source.path}/{name}") != store.size(f"{target.path}/{name}"):
            raise ServiceError(f"{target.url}/{name} is no whole copy", fix="run the same command again")
    store.rm(source.path, recursive=True)
