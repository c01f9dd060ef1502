"""Atomic writes, locks between processes, and fingerprints of files.

Writes survive `kill -9`, a full disk and a power cut: readers find either the old content or the new one. A killed
process may leave a hidden `.NAME.PID.partial` beside the file, which is never read.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """A temporary path; it is renamed to the file when the block succeeds, and removed when it fails.

    It is in the same folder and has the same suffix. An existing file's permissions are kept. Several processes may
    write at the same time; the last one wins.
    """
    partial = file.with_name(f".{file.stem}.{os.getpid()}.partial{file.suffix}")
    try:
        yield partial
        with suppress(FileNotFoundError):
            partial.chmod(file.stat().st_mode)
        settle(partial)
        partial.replace(file)
        settle(file.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; it is renamed to `path` when the block succeeds, and removed when it fails."""
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write(file: Path, content: str | bytes) -> None:
    """Writes a file atomically; see `whole`."""
    with whole(file) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def settle(path: Path) -> None:
    """Flushes a file or folder to disk: otherwise a rename could survive a power cut that the content does not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(file: Path, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Holds a lock between processes. The file is created if it is missing, and kept.

    The kernel releases the lock when the process ends, however it ends.

    Args:
        file: The lock file.
        on_wait: Called before waiting, if another process holds the lock.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, on_wait)
        yield
    finally:
        os.close(descriptor)


def is_locked(file: Path) -> bool:
    """Whether a running process holds the lock; a missing file is not locked."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(descriptor: int, on_wait: Callable[[], object] | None) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if on_wait:
            on_wait()
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def fingerprint(file: Path) -> tuple[int, int, int] | None:
    """A file's modification time, size and inode, to detect changes without reading it; None if it is inaccessible.

    Files written with `write` get a new inode each time.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
