"""A cache of file digests, so that large unchanged files are not read again.

A file counts as unchanged while its size, modification time, change time and inode are the same. Programs cannot set
the change time, so a changed byte is noticed even if the modification time was reset. A digest taken within `_SETTLED`
of the file's last change is not stored: the file system's clock may not have ticked since.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from pathlib import Path

from components.contract.digests import tree_digest

_SETTLED = 50_000_000  # nanoseconds; file system clocks tick every 1 to 10 ms


class DigestStore:
    """Digests by file and algorithm, in an SQLite file that several runs can share."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = _opened(path)

    def file(self, path: Path, algorithm: str = "sha256") -> str:
        """The hex digest of a file's content."""
        state = _state(path)
        with self._lock:
            row = self._database.execute(
                "SELECT state, digest FROM digests WHERE path = ? AND algorithm = ?", (str(path.absolute()), algorithm)
            ).fetchone()
        if row and row[0] == state:
            return str(row[1])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
        if state == _state(path) and path.stat().st_ctime_ns + _SETTLED < time.time_ns():
            self._remember(path, algorithm, state, digest)
        return digest

    def tagged(self, path: Path) -> str:
        """The SHA-256 of a file as `sha256:<hex>`."""
        return "sha256:" + self.file(path)

    def tree(self, path: Path) -> str:
        """The digest of a file or folder; see `components.contract.digests.tree_digest`."""
        return tree_digest(path, self.tagged)

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def _remember(self, path: Path, algorithm: str, state: str, digest: str) -> None:
        with self._lock, self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", (str(path.absolute()), algorithm, state, digest)
            )


def _state(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return _connected(path)
    except sqlite3.DatabaseError:
        # A damaged file costs only the time to hash again.
        path.unlink(missing_ok=True)
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(
            "CREATE TABLE IF NOT EXISTS digests (path TEXT, algorithm TEXT, state TEXT, digest TEXT, "
            "PRIMARY KEY (path, algorithm))"
        )
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database
