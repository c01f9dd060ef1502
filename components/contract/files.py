"""Files that appear whole or not at all, locks between processes, and what tells whether a file has changed.

What is written here survives `kill -9`, a full disk and a power cut: whoever opens the file finds the old content or
the new one. A process that is killed may leave a hidden `.NAME.PID.partial` beside it, which nobody reads.
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
    """A path to write to, which takes the file's name once the block ends; it is removed where the block fails.

    It lies in the same folder and has the same suffix. A file that was there gives it its permissions. Several
    processes may write at a time; the last one's content stays.
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
    """A folder to write in, beside `path`, which gets that name when the block ends; it goes where the block fails."""
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write(file: Path, content: str | bytes) -> None:
    """Writes a file in one step; see `whole`."""
    with whole(file) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def settle(path: Path) -> None:
    """Waits until a file's content, or a folder's names, are on the disk: a rename alone may outlive what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(file: Path, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Keeps other processes out that lock the same file, which is made where it is missing, and stays.

    The kernel ends the lock with the process, however that ends.

    Args:
        file: The lock.
        on_wait: Called where another process holds it, before this one waits.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, on_wait)
        yield
    finally:
        os.close(descriptor)


def is_locked(file: Path) -> bool:
    """Whether a living process holds the lock; a file that is missing is not locked."""
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
    """What changes with a file, without reading it: its time, size and inode; None where it cannot be seen.

    Files that are written by `write` have another inode each time.
    """
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
