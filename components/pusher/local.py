"""Versions in a folder: written under a name that servers ignore, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from components.contract import files
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
    """Copies files, in this order."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        # Contents only: permissions are up to the destination.
        shutil.copyfile(source / name, target / name)


def write(version: Version, source: Path, names: list[str], beside: Mapping[str, str]) -> None:
    """Copies files, and the texts that describe them, into a new version, which appears atomically.

    Raises:
        FileExistsError: The version exists already.
    """
    folder = Path(version.path)
    if os.path.lexists(folder):
        raise FileExistsError(folder)
    with files.whole_folder(folder, folder.with_name(f"{_STAGING}{version.name}"), synced=True) as staging:
        for name, text in beside.items():
            (staging / name).write_text(text, "utf-8")
        copy_files(source, names, staging)
