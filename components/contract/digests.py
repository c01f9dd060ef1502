"""Content digests of files and folders: they define what "the same" means in the cache and the lineage."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PROVENANCE_FILE = "provenance.json"
"""In every artifact's folder: the records of the artifact and of everything it was made from."""

SIGNATURE_FILE = "model.sig"
"""In a signed pushed version: the file that the model-signing package writes."""

CARD_FILES = ("model_card.json", "model_card.md", "model_card.html")
"""In a pushed version: its model card."""

MISSING = "missing"
"""The digest of anything that cannot be read as a file, such as a broken link."""

BESIDE = frozenset({PROVENANCE_FILE, SIGNATURE_FILE, *CARD_FILES})
"""Files at the top of a folder that describe its content and are no part of it: no digest has them."""

FileDigest = Callable[[Path], str]


def text_digest(text: str) -> str:
    """SHA-256 of a string, as `sha256:<hex>`."""
    # File names need not be UTF-8; Python represents their other bytes as surrogates.
    return "sha256:" + hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def stream_digest(file: Any) -> str:
    """SHA-256 of an open binary file from its current position, as `sha256:<hex>`."""
    return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, as `sha256:<hex>`."""
    with path.open("rb") as file:
        return stream_digest(file)


def files_digest(digests: Mapping[str, str]) -> str:
    """The digest of a folder, computed from its files' digests by relative name; see `tree_digest`."""
    lines = [f"{name}\0{digest}\n" for name, digest in sorted(digests.items()) if name not in BESIDE]
    return text_digest("".join(lines))


def file_digests(folder: Path, digest_file: FileDigest = file_digest) -> dict[str, str]:
    """The digest of every file in a folder, by relative name; `MISSING` for what cannot be read as a file."""
    return {
        path.relative_to(folder).as_posix(): digest_file(path) if path.is_file() else MISSING for path in _files(folder)
    }


def tree_digest(path: Path, digest_file: FileDigest = file_digest) -> str:
    """The digest of a file, or of the names and contents of all files in a folder.

    Empty folders do not count: object stores cannot hold them, and a copy in an object store must have the same digest.
    `provenance.json`, `model.sig` and a model card at the top are left out: they describe the content (see `BESIDE`).

    Args:
        path: A file or folder. Links are followed, because the digest is of what a reader would get.
        digest_file: Digests one file; a caller that caches digests passes its own function.

    Raises:
        FileNotFoundError: The path does not exist.
    """
    if path.is_dir():
        return files_digest(file_digests(path, digest_file))
    return digest_file(path)


def _files(folder: Path) -> list[Path]:
    return [Path(parent, name) for parent, _, names in os.walk(folder, followlinks=True) for name in names]
