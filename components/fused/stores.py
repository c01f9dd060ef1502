"""Where a stage cache keeps its entries: in a folder, or in an object store.

An entry appears as a whole, and the first of several that are kept under one name stays. A killed process may leave
files that no entry names; sweeps remove them a day later, which is longer than any entry is being written.
"""

from __future__ import annotations

import math
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from components.contract.files import link

ENTRY = "entry.json"
_DAY = 24 * 60 * 60
_SWEPT = ".swept"
"""Changed at each sweep."""
_USED = "used"
"""An object that is written at each use of an entry."""

_TIMES = ("LastModified", "last_modified", "mtime")
"""What fsspec's drivers call the time when an object was written: S3, Azure, Google Cloud and files."""


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

    def use(self, name: str) -> None:
        """Notes that an entry is used now."""

    def sweep(self, days: float) -> int:
        """Removes entries that were not used for some days, and what killed processes left; at most once a day.

        Returns:
            The number of entries that it removed.
        """


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

    def use(self, name: str) -> None:
        with suppress(OSError):
            os.utime(self._root / name / ENTRY)

    def sweep(self, days: float) -> int:
        swept = self._root / _SWEPT
        if not self._root.is_dir() or _age(swept) < _DAY:
            return 0
        swept.touch()
        found = [each for each in self._root.iterdir() if each.is_dir()]
        for each in found:
            if each.name.startswith(".") and _age(each) > _DAY:
                shutil.rmtree(each, ignore_errors=True)
        old = [each.name for each in found if not each.name.startswith(".") and _age(each / ENTRY) > days * _DAY]
        for name in old:
            self.discard(name)
        return len(old)


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

    def use(self, name: str) -> None:
        with suppress(OSError):
            self._store.pipe_file(f"{self._root}/{name}/{_USED}", b"")

    def sweep(self, days: float) -> int:
        if self._age(_SWEPT) < _DAY:
            return 0
        entries: dict[str, dict[str, float]] = {}
        for path, age in self._ages().items():
            name, _, inner = path.partition("/")
            entries.setdefault(name, {})[inner] = age
        self._store.pipe_file(f"{self._root}/{_SWEPT}", b"")
        return sum(self._sweep(name, ages, days * _DAY) for name, ages in entries.items() if name != _SWEPT)

    def _sweep(self, name: str, ages: Mapping[str, float], limit: float) -> bool:
        """Removes an entry if it is old, else only what it does not name. Returns whether it was old."""
        if ENTRY in ages and min(ages[ENTRY], ages.get(_USED, math.inf)) > limit:
            # The entry first: it must not name what is gone.
            self._remove(f"{self._root}/{name}/{ENTRY}")
            self._remove(f"{self._root}/{name}")
            return True
        own, _ = self._entry(name) or ("", "")
        named = (ENTRY, _USED, f"{own}/") if own else ()
        for inner in (inner for inner, age in ages.items() if age > _DAY and not inner.startswith(named)):
            self._remove(f"{self._root}/{name}/{inner}")
        return False

    def _ages(self) -> dict[str, float]:
        """The seconds since each object was written, by its path below the root."""
        self._store.invalidate_cache()
        found = self._store.find(self._root, detail=True)
        return {path.removeprefix(f"{self._root}/"): _seconds_since(info) for path, info in found.items()}

    def _age(self, inner: str) -> float:
        self._store.invalidate_cache()
        try:
            return _seconds_since(self._store.info(f"{self._root}/{inner}"))
        except FileNotFoundError:
            return math.inf

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


def _age(path: Path) -> float:
    """The seconds since a file was changed; endless if there is none."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return math.inf


def _seconds_since(info: Mapping[str, Any]) -> float:
    """The seconds since an object was written; 0 if its driver does not tell."""
    now = time.time()
    told = next((info[name] for name in _TIMES if info.get(name)), now)
    return now - float(told.timestamp() if hasattr(told, "timestamp") else told)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    link(source, target)
