"""A copy of a folder that takes no disk space."""

from __future__ import annotations

import os
from pathlib import Path

from components.contract.errors import DataError
from components.contract.files import link


def link_tree(source: Path, target: Path) -> None:
    """Copies a folder with hard links, or real copies if the file system cannot link.

    Raises:
        DataError: The source contains a broken link.
    """
    for parent, _, names in os.walk(source, followlinks=True):
        folder = target / Path(parent).relative_to(source)
        folder.mkdir(parents=True)
        for name in names:
            _link(Path(parent, name), folder / name)


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        raise DataError(f"{source} is a broken link", fix="remove it, or restore its target")
    link(source, target)
