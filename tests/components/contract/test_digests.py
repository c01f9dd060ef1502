from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.contract.digests import MISSING, file_digest, file_digests, files_digest, text_digest, tree_digest


def make(folder: Path) -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "a").write_bytes(b"one")
    (folder / "inner" / "b").write_bytes(b"two")
    return folder


def test_digests_of_a_string_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("é".encode())
    expected = "sha256:" + hashlib.sha256("é".encode()).hexdigest()
    assert text_digest("é") == file_digest(tmp_path / "file") == tree_digest(tmp_path / "file") == expected


def test_equal_folders_have_equal_digests(tmp_path: Path) -> None:
    one, two = make(tmp_path / "one"), tmp_path / "elsewhere" / "two"
    shutil.copytree(one, two)
    os.utime(two / "a", (0, 0))
    (two / "a").chmod(0o600)
    assert tree_digest(one) == tree_digest(two)
    assert files_digest(file_digests(one)) == tree_digest(one)
    assert set(file_digests(one)) == {"a", "inner/b"}


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a").write_bytes(b"0ne"),
        lambda folder: (folder / "a").write_bytes(b""),
        lambda folder: (folder / "a").rename(folder / "c"),
        lambda folder: (folder / "a").unlink(),
        lambda folder: (folder / "c").touch(),
        lambda folder: (folder / "inner" / "b").rename(folder / "b"),
        lambda folder: (folder / "inner").rename(folder / "other"),
        lambda folder: (folder / "inner" / "provenance.json").touch(),
        lambda folder: (folder / "inner" / "more").symlink_to(folder / "a"),
        lambda folder: (folder / "lost").symlink_to("nowhere"),
    ],
)
def test_every_change_changes_the_digest(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = make(tmp_path / "folder")
    before = tree_digest(folder)
    change(folder)
    assert tree_digest(folder) != before


def test_provenance_and_empty_folders_do_not_change_the_digest(tmp_path: Path) -> None:
    folder = make(tmp_path / "folder")
    before = tree_digest(folder)
    (folder / "provenance.json").write_text("[]")
    (folder / "empty" / "empty").mkdir(parents=True)
    assert tree_digest(folder) == before


def test_names_and_contents_are_not_interchangeable(tmp_path: Path) -> None:
    digests = {}
    for number, names in enumerate([["a", "b"], ["a\nb"], ["ab"], ["a", "b\n"]]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"x")
        digests[number] = tree_digest(folder)
    assert len(set(digests.values())) == 4


def test_links_count_by_their_targets(tmp_path: Path) -> None:
    folder, linked = make(tmp_path / "folder"), tmp_path / "linked"
    linked.mkdir()
    (linked / "a").symlink_to(folder / "a")
    (linked / "inner").symlink_to(folder / "inner")
    assert tree_digest(linked) == tree_digest(folder)
    (folder / "inner" / "b").write_bytes(b"changed")
    assert tree_digest(linked) == tree_digest(folder)


def test_a_broken_link_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "lost").symlink_to("nowhere")
    assert file_digests(tmp_path) == {"lost": MISSING}


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname == "Darwin", reason="macOS allows UTF-8 names only")
def test_names_need_not_be_utf_8(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"caf\xe8"):
        folder = tmp_path / name.hex()
        folder.mkdir()
        (folder / os.fsdecode(name)).touch()
    one, two = (tree_digest(folder) for folder in tmp_path.iterdir())
    assert one != two


def test_a_missing_path_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tree_digest(tmp_path / "nothing")


def test_a_caller_can_cache_digests(tmp_path: Path) -> None:
    hashed = []

    def cached_digest(path: Path) -> str:
        hashed.append(path.name)
        return file_digest(path)

    folder = make(tmp_path / "folder")
    assert tree_digest(folder, cached_digest) == tree_digest(folder)
    assert sorted(hashed) == ["a", "b"]
