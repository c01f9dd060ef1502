"""Atomic writes of files and folders, locks between processes, and fingerprints that change with a file.

After `kill -9`, a full disk or a power cut (if `synced`), a file or folder has either its old content or all of the new
content. A killed process may leave a hidden `.NAME.PID.partial` (a file) or `.NAME.partial` (a folder), which nothing
reads.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

_SYNCS = 8
"""Files that are synced at the same time."""


@contextmanager
def whole(file: Path, *, synced: bool = False) -> Iterator[Path]:
    """A temporary path to write to; renamed to `file` when the block ends, removed if the block fails.

    The path is in the same folder and has the same suffix. An existing file's permissions are kept. Several processes
    may write at the same time; the last one wins.

    Args:
        file: The file to write.
        synced: Whether it has to survive a power cut, which costs some milliseconds.
    """
    partial = file.with_name(f".{file.stem}.{os.getpid()}.partial{file.suffix}")
    try:
        yield partial
        with suppress(FileNotFoundError):
            partial.chmod(file.stat().st_mode)
        if synced:
            settle(partial)
        partial.replace(file)
        if synced:
            settle(file.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, partial: Path | None = None, *, synced: bool = False) -> Iterator[Path]:
    """A temporary folder to write to; renamed to `path` when the block ends, removed if the block fails.

    `path` must be missing or empty; only one process may write it at a time.

    Args:
        path: The folder to write.
        partial: The temporary folder, by default `.NAME.partial`; it must be in the same file system.
        synced: Whether all of its files have to survive a power cut: they are synced before the rename.
    """
    partial = partial or path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if synced:
            settle_tree(partial)
        partial.replace(path)
        if synced:
            settle(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def settle_tree(folder: Path) -> None:
    """Syncs all files and folders in a folder; in threads, because disks sync many files in the time of one."""
    paths = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    with ThreadPoolExecutor(_SYNCS) as threads:
        list(threads.map(settle, paths))


def write(file: Path, content: str | bytes, *, synced: bool = False) -> None:
    """Writes a file atomically; see `whole`."""
    with whole(file, synced=synced) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def link(source: Path, target: Path) -> None:
    """Makes a hard link to a file, which takes no disk space, or a copy where the file system cannot link."""
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        shutil.copyfile(source, target)


def settle(path: Path) -> None:
    """Syncs a file's content, or a folder's entries, to the disk. Without it, a rename may survive but not the data."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(file: Path, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Holds an exclusive lock on a file, which is created if missing and never removed.

    The kernel releases the lock when the process ends, even if it is killed.

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
    """Whether a process holds the lock; a missing file is not locked."""
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
    """A file's modification time, size and inode, which change when the file does; None if it cannot be read.

    Each `write` creates a new inode.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
