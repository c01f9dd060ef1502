"""Cached digests are fast if nothing changed, and never stale."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taxiway.storage.digest_store import DigestStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DigestStore]:
    store = DigestStore(tmp_path / "digests.db")
    yield store
    store.close()


def _settled(path: Path) -> None:
    while time.time_ns() < path.stat().st_ctime_ns + 100_000_000:
        time.sleep(0.01)


def test_the_digest_of_an_unchanged_file_is_cached(store: DigestStore, tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"x" * 1000)
    _settled(file)
    expected = hashlib.sha256(b"x" * 1000).hexdigest()
    assert store.file(file) == expected
    rows = store._database.execute("SELECT path, digest FROM digests").fetchall()
    assert rows == [(str(file), expected)]
    assert store.file(file, "md5") == hashlib.md5(b"x" * 1000).hexdigest()


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_flip_and_cut_is_detected_even_with_a_restored_mtime(
    store: DigestStore, tmp_path: Path, count: int
) -> None:
    file, chance = tmp_path / "data", random.Random(1)
    file.write_bytes(chance.randbytes(4096))
    for number in range(count):
        store.file(file)
        before, stat = file.read_bytes(), file.stat()
        if number % 2:
            place = chance.randrange(4096)
            file.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
        else:
            file.write_bytes(before[: chance.randrange(4095)].ljust(4096, b"\0"))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert store.file(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_damaged_store_is_rebuilt(tmp_path: Path) -> None:
    path = tmp_path / "digests.db"
    path.write_bytes(b"this is no database" * 100)
    store = DigestStore(path)
    assert store.tagged(Path(__file__)).startswith("sha256:")
    store.close()
