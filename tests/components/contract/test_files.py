"""`files`: atomic writes, even if the writer is killed, and locks that end with their holder."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.contract import files

ROOT = Path(__file__).parents[3]


def started(folder: Path, code: str) -> subprocess.Popen[str]:
    """A process that runs code in a folder, and can import Taxiway's packages."""
    head = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    head += "from pathlib import Path; from components.contract import files\n"
    command = [sys.executable, "-c", head + code]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_file_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    files.write(tmp_path / "a.json", "one")
    (tmp_path / "a.json").chmod(0o640)
    files.write(tmp_path / "a.json", b"two")
    assert (tmp_path / "a.json").read_bytes() == b"two"
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_a_writer_that_is_killed_leaves_the_old_content(tmp_path: Path) -> None:
    files.write(tmp_path / "a", "old")
    code = "with files.whole(Path('a')) as p: p.write_text('ne'); print('half', flush=True); sys.stdin.read()"
    with started(tmp_path, code) as process:
        assert line(process) == "half"
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / "a").read_text() == "old"
    files.write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def test_a_full_disk_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    files.write(tmp_path / "a", "old")
    # A file size limit makes writes fail, as a full disk does.
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: files.write(Path('a'), 'x' * 1000)\n"
        "except OSError as error: print(type(error).__name__, flush=True)\n"
    )
    with started(tmp_path, code) as process:
        assert line(process) == "OSError"
    assert (tmp_path / "a").read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    def fail(partial: Path) -> None:
        assert partial.suffix == ".yaml"
        partial.write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), files.whole(tmp_path / "a.yaml") as partial:
        fail(partial)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    code = "with files.locked(Path('lock')): print('held', flush=True); sys.stdin.read()"
    waited: list[bool] = []
    with started(tmp_path, code) as process:
        assert line(process) == "held"
        with files.locked(tmp_path / "lock", lambda: (waited.append(True), process.kill())):
            assert waited == [True]
    with files.locked(tmp_path / "lock", lambda: waited.append(False)):
        assert waited == [True]


def test_a_fingerprint_changes_with_every_write(tmp_path: Path) -> None:
    assert files.fingerprint(tmp_path / "a") is None
    files.write(tmp_path / "a", "one")
    first = files.fingerprint(tmp_path / "a")
    assert first == files.fingerprint(tmp_path / "a")
    files.write(tmp_path / "a", "two")
    assert files.fingerprint(tmp_path / "a") != first


def test_a_lock_is_visible_while_its_holder_is_alive(tmp_path: Path) -> None:
    assert not files.is_locked(tmp_path / "lock")
    code = "with files.locked(Path('lock')): print('held', flush=True); sys.stdin.read()"
    with started(tmp_path, code) as process:
        assert line(process) == "held"
        assert files.is_locked(tmp_path / "lock")
        process.kill()
        process.wait()
    assert not files.is_locked(tmp_path / "lock")


def test_a_folder_appears_atomically(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "a").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), files.whole_folder(tmp_path / "x") as folder:
        fail(folder)
    assert list(tmp_path.iterdir()) == []
    with files.whole_folder(tmp_path / "x") as folder:
        (folder / "a").write_text("whole")
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x/a").read_text() == "whole"


def test_a_folder_is_synced_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((str(path.relative_to(tmp_path)), (tmp_path / "x").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with files.whole_folder(tmp_path / "y"):
        pass
    assert synced == []
    with files.whole_folder(tmp_path / "x", synced=True) as folder:
        (folder / "b").mkdir()
        (folder / "b/a").write_text("one")
        (folder / "link").symlink_to("nowhere")
    new = ".x.partial"
    assert sorted(synced[:-1]) == [(new, False), (f"{new}/b", False), (f"{new}/b/a", False)]
    assert synced[-1] == (".", True)


def test_link_copies_where_the_file_system_cannot_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    source = tmp_path / "source"
    source.write_text("content")
    files.link(source, tmp_path / "linked")
    assert (tmp_path / "linked").samefile(source)
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    files.link(source, tmp_path / "copied")
    assert not (tmp_path / "copied").samefile(source)
    assert (tmp_path / "copied").read_text() == "content"
    with pytest.raises(FileNotFoundError):
        files.link(tmp_path / "missing", tmp_path / "target")
    assert not (tmp_path / "target").exists()
