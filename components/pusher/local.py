"""Versions in a folder: written under a name that servers ignore, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.contract import files
from components.contract.digests import PROVENANCE_FILE
from components.execution.pushed_models import PUSH_LOCK, Destination, Version

_STAGING = ".pushing-"


@contextmanager
def opened(destination: Destination) -> Iterator[None]:
    """Creates the folder, and locks it against other pushers while the block runs.

    The kernel releases the lock when its holder dies. So any staging folder found now is from a push that was killed,
    and is removed.
    """
    folder = Path(destination.path)
    folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder / PUSH_LOCK, lambda: print(f"waiting for another push to {destination.url}", flush=True)):
        for leftover in folder.glob(f"{_STAGING}[0-9]*"):
            shutil.rmtree(leftover)
        yield


def copy_files(source: Path, names: list[str], target: Path) -> None:
    """Copies files in this order, and flushes them to disk."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        # Contents only: permissions are up to the destination.
        shutil.copyfile(source / name, target / name)
        files.settle(target / name)


def write(version: Version, source: Path, names: list[str], provenance: str) -> None:
    """Copies files and provenance into a new version, which appears atomically.

    Raises:
        FileExistsError: The version exists already.
    """
    folder = Path(version.path)
    if os.path.lexists(folder):
        raise FileExistsError(folder)
    staging = folder.with_name(f"{_STAGING}{version.name}")
    try:
        staging.mkdir()
        _write(staging / PROVENANCE_FILE, provenance)
        copy_files(source, names, staging)
        _settle_folders(staging)
        staging.rename(folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    files.settle(folder.parent)


def _write(target: Path, text: str) -> None:
    target.write_text(text)
    files.settle(target)


def _settle_folders(top: Path) -> None:
    for folder, _, _ in os.walk(top):
        files.settle(Path(folder))
