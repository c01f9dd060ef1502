"""Where a stage cache keeps its entries: in a folder, or in an object store.

An entry appears as a whole, and the first of several that are kept under one name stays. A killed process may leave
files that no entry names.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from components.contract.files import link

ENTRY = "entry.json"


class Store(Protocol):
    """Entries by name: a text, and files by relative name."""

    def read(self, name: str) -> str | None:
        """The text of an entry; None if there is none."""

    def keep(self, name: str, text: str, files: Mapping[str, Path]) -> None:
        """Adds an entry, unless there is one."""

    def fetch(self, name: str, targets: Mapping[str, Path]) -> None:
        """Copies files of an entry to these paths.

        Raises:
            OSError: A file is missing or cannot be read.
        """

    def discard(self, name: str) -> None:
        """Removes an entry; does nothing if there is none."""


def store(place: str) -> Store:
    """The store at a folder or URL.

    Raises:
        ValueError: No driver is installed for its scheme; so ImportError.
    """
    return _Remote(place) if "://" in place else _Folder(Path(place))


class _Folder:
    """Entries as folders. Files are hard links where the file system allows that, so they take no room."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> str | None:
        try:
            return (self._root / name / ENTRY).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def keep(self, name: str, text: str, files: Mapping[str, Path]) -> None:
        partial = self._root / f".{name}.{uuid.uuid4().hex}.partial"
        partial.mkdir(parents=True)
        try:
            for inner, source in files.items():
                _link(source, partial / inner)
            (partial / ENTRY).write_text(text)
            # Fails if there is one.
            with suppress(OSError):
                partial.rename(self._root / name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def fetch(self, name: str, targets: Mapping[str, Path]) -> None:
        for inner, target in targets.items():
            _link(self._root / name / inner, target)

    def discard(self, name: str) -> None:
        doomed = self._root / f".{name}.{uuid.uuid4().hex}.doomed"
        with suppress(FileNotFoundError):
            (self._root / name).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


class _Remote:
    """Entries as objects; each attempt to store one writes its files to a separate folder, which the entry names."""

    def __init__(self, url: str) -> None:
        import fsspec

        # Kubeflow's own scheme for any S3 server.
        self._store, self._root = fsspec.core.url_to_fs(url.replace("minio://", "s3://", 1))

    def read(self, name: str) -> str | None:
        found = self._entry(name)
        return found[1] if found else None

    def keep(self, name: str, text: str, files: Mapping[str, Path]) -> None:
        own = uuid.uuid4().hex
        for inner, source in files.items():
            self._store.put_file(str(source), f"{self._root}/{name}/{own}/{inner}")
        try:
            self._store.pipe_file(f"{self._root}/{name}/{ENTRY}", f"{own}\n{text}".encode(), mode="create")
        except FileExistsError:
            self._remove(f"{self._root}/{name}/{own}")

    def fetch(self, name: str, targets: Mapping[str, Path]) -> None:
        own, _ = self._entry(name) or ("", "")
        for inner, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            self._store.get_file(f"{self._root}/{name}/{own}/{inner}", str(target))

    def discard(self, name: str) -> None:
        own, _ = self._entry(name) or ("", "")
        # The entry first: it must not name what is gone.
        with suppress(FileNotFoundError):
            self._store.rm_file(f"{self._root}/{name}/{ENTRY}")
        if own:
            self._remove(f"{self._root}/{name}/{own}")

    def _entry(self, name: str) -> tuple[str, str] | None:
        """The folder of an entry's files, and its text."""
        try:
            content: bytes = self._store.cat_file(f"{self._root}/{name}/{ENTRY}")
        except FileNotFoundError:
            return None
        own, _, text = content.decode(errors="replace").partition("\n")
        return (own if own.isalnum() else ""), text

    def _remove(self, folder: str) -> None:
        self._store.invalidate_cache()
        with suppress(FileNotFoundError):
            self._store.rm(folder, recursive=True)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    link(source, target)
