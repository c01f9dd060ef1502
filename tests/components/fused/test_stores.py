"""Where a stage cache keeps its entries, and how they are removed: in a folder, and by a real S3 API."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import s3fs

from components.fused import stores
from components.fused.stores import Store, store
from components.processes import children

BUCKET = "stages"

# Other tests may have left threads; the children use none of theirs.
pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


class Place:
    """A stage cache, and what lies in it."""

    def __init__(self, folder: Path, aws: Any = None) -> None:
        self._folder, self._bucket = folder / "cache", aws and aws.Bucket(BUCKET)
        self._place = f"s3://{BUCKET}/cache" if aws else str(self._folder)
        self._made = folder / "made"
        self._made.write_text("made")

    @property
    def store(self) -> Store:
        """One of this process: no driver of an object store survives a fork."""
        return store(self._place)

    def keep(self, *names: str) -> None:
        for name in names:
            self.store.keep(name, f"text of {name}", {"output/file": self._made})

    def kept(self) -> list[str]:
        """The names of the entries."""
        return sorted(name for name in ("a", "b", "c") if self.store.read(name) == f"text of {name}")

    def files(self) -> list[str]:
        """All files, by their own names, but for the mark of the last sweep."""
        if self._bucket:
            found = [each.key.rsplit("/", 1)[1] for each in self._bucket.objects.all()]
        else:
            found = [each.name for each in self._folder.rglob("*") if each.is_file()]
        return sorted(name for name in found if name != ".swept")

    def wait(self, days: float) -> None:
        """Makes everything this many days older."""
        if self._bucket:
            from moto.s3.models import s3_backends

            [backend] = [each["aws"] for each in s3_backends.values()]
            for key in backend.buckets[BUCKET].keys.values():
                key.last_modified -= timedelta(days=days)
        for each in [*self._folder.rglob("*")]:
            then = each.stat().st_mtime - days * 24 * 60 * 60
            os.utime(each, (then, then))


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "folder":
        yield Place(tmp_path)
        return
    aws = request.getfixturevalue("aws")
    bucket = aws.create_bucket(Bucket=BUCKET)
    yield Place(tmp_path, aws)
    bucket.objects.delete()
    bucket.delete()


def test_an_entry_that_was_not_used_for_long_is_removed(place: Place) -> None:
    place.keep("a", "b")
    place.wait(20)
    place.store.use("b")
    place.keep("c")
    assert place.store.sweep(30) == 0
    place.wait(20)
    assert place.store.sweep(30) == 1
    assert place.kept() == ["b", "c"]
    assert place.files().count("file") == 2
    place.wait(20)
    assert place.store.sweep(30) == 2
    assert place.files() == []


def test_a_sweep_is_made_once_a_day(place: Place) -> None:
    assert place.store.sweep(30) == 0
    place.keep("a")
    place.store.sweep(30)
    place.keep("b")
    place.wait(0.5)
    assert place.store.sweep(0.1) == 0
    place.wait(0.6)
    assert place.store.sweep(0.1) == 2


def _dying(method: Callable[..., None]) -> Callable[..., None]:
    """A method after which the process is killed."""

    def work(*arguments: Any, **options: Any) -> None:
        method(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    return work


def _killed(work: Callable[[], object]) -> None:
    assert children.status(children.fork(lambda: work() and None)) == -signal.SIGKILL


def test_a_killed_sweep_leaves_no_half_entry(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.keep("a")
    place.wait(40)
    with monkeypatch.context() as patch:
        patch.setattr(stores._Remote, "_remove", _dying(stores._Remote._remove))
        patch.setattr(Path, "rename", _dying(Path.rename))
        _killed(lambda: place.store.sweep(30))
    assert place.kept() == []
    assert "file" in place.files()
    # A later run fills it again, and a later sweep takes what is left of the old one.
    place.keep("a")
    place.wait(2)
    assert place.store.sweep(30) == 0
    assert place.kept() == ["a"]
    assert place.files().count("file") == 1


def test_what_a_killed_process_began_to_keep_is_removed_a_day_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stores, "_link", _dying(stores._link))
        patch.setattr(s3fs.S3FileSystem, "put_file", _dying(s3fs.S3FileSystem.put_file), raising=False)
        _killed(lambda: place.keep("a"))
    place.keep("b")
    assert place.store.sweep(30) == 0
    assert place.files().count("file") == 2
    place.wait(1.5)
    assert place.store.sweep(30) == 0
    assert place.files().count("file") == 1
    assert place.kept() == ["b"]
