"""A copy of a folder that takes no space."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from components.contract.errors import DataError


def link_tree(source: Path, target: Path) -> None:
    """Makes a folder of the same files: hard links, and copies where the file system does not link.

    Raises:
        DataError: A link in the source leads nowhere.
    """
    for parent, _, names in os.walk(source, followlinks=True):
        folder = target / Path(parent).relative_to(source)
        folder.mkdir(parents=True)
        for name in names:
            _link(Path(parent, name), folder / name)


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        raise DataError(f"{source} is a link that leads nowhere", fix="remove it, or bring back its target")
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
