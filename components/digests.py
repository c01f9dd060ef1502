"""Content digests of files and folders: what "the same" means in the cache and in the lineage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

PROVENANCE_FILE = "provenance.json"
"""In every artifact's folder: the records of the artifact and of all that it was made from."""

FileDigest = Callable[[Path], str]


def text_digest(text: str) -> str:
    """SHA-256 of a text, as `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, as `sha256:<hex>`."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(path: Path, digest_file: FileDigest = file_digest) -> str:
    """Digest of a file or of a folder with all it holds: names, contents, and empty folders.

    A `provenance.json` at the top is left out: it tells of the content and is not part of it.

    Args:
        path: A file or folder. Links are followed; what matters is what a reader would get.
        digest_file: Digests one file; a caller that remembers digests passes its own.
    """
    if path.is_file():
        return digest_file(path)
    children = sorted(child.relative_to(path).as_posix() for child in path.rglob("*"))
    lines = [
        f"{name}\0{digest_file(path / name) if (path / name).is_file() else 'folder'}\n"
        for name in children
        if name != PROVENANCE_FILE
    ]
    return text_digest("".join(lines))
