"""Pushed models: `<destination>/<version>/`, a SavedModel with its provenance beside it.

A destination is a folder or any URL that fsspec has a driver for. The layout is TF Serving's: it looks at the integer
names in its base path, and reads a SavedModel at the top of such a folder. Files that it does not know it leaves
alone, so `provenance.json` lies beside `saved_model.pb`, where every artifact has it. Its first record is of the push:
`digest` is the folder's, `files` has the digest of every file in it.

A version is whole once `saved_model.pb` is there, which is written last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from components.contract.artifacts import Model
from components.contract.digests import PROVENANCE_FILE, files_digest, stream_digest
from components.contract.errors import DataError, UserError
from components.execution.provenance import Record, parse_chain

SAVED_MODEL = "saved_model.pb"
SERVING_FOLDER = "Format-Serving"
"""Where a Model artifact has the SavedModel that is served."""

STAMPED_MODEL = "stamped_model"
"""Where an InfraBlessing has the SavedModel with its warm-up requests."""

RETIRED = ".retired"
"""Ends the name of a version that was taken back: servers, which look for integer names, pass over it."""

PUSH_LOCK = ".pushing.lock"
"""In a destination that is a folder: held by whoever changes which versions are there."""

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
"""In a SavedModel: what a server asks itself before it takes requests."""


@dataclass(frozen=True)
class Destination:
    """Where versions lie.

    Attributes:
        url: As the user named it.
        file_system: fsspec's, of that URL.
        path: The path in that file system.
    """

    url: str
    file_system: Any
    path: str

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return "file" in _protocols(self.file_system)


@dataclass(frozen=True)
class Version:
    """One version at a destination, whole or not."""

    destination: Destination
    name: str

    @property
    def number(self) -> int:
        """The version number."""
        return int(self.name.removesuffix(RETIRED))

    @property
    def is_retired(self) -> bool:
        """Whether it was taken back, so that no server looks at it."""
        return self.name.endswith(RETIRED)

    @property
    def url(self) -> str:
        """Where it lies, in the form of the destination's URL."""
        return f"{self.destination.url.rstrip('/')}/{self.name}"

    @property
    def path(self) -> str:
        """The path in the destination's file system."""
        return f"{self.destination.path.rstrip('/')}/{self.name}"

    def is_whole(self) -> bool:
        """Whether its SavedModel is there."""
        return bool(self.destination.file_system.isfile(f"{self.path}/{SAVED_MODEL}"))

    def records(self) -> list[Record]:
        """Its provenance, the record of the push first; empty for one that was not pushed by Taxiway."""
        try:
            return parse_chain(self.destination.file_system.cat_file(f"{self.path}/{PROVENANCE_FILE}"))
        except FileNotFoundError:
            return []

    def recorded_digest(self) -> str:
        """The digest that its record names; empty where it has none."""
        records = self.records()
        return str(records[0]["digest"]) if records else ""

    def content_digest(self) -> str:
        """The digest of what lies there now; every file is read."""
        return files_digest({name: self._file_digest(name) for name in self.files()})

    def is_intact(self, digest: str) -> bool:
        """Whether it is there, whole, and has this content."""
        return self.is_whole() and self.content_digest() == digest

    def files(self) -> list[str]:
        """The names of its files, relative to it, sorted.

        Raises:
            DataError: A name leads out of the version's folder; object stores allow such names.
        """
        paths = self.destination.file_system.find(self.path)
        # S3's driver lists the zero-byte markers of folders as files.
        found = sorted(path.removeprefix(f"{self.path}/") for path in paths if not path.endswith("/"))
        for name in found:
            if ".." in PurePosixPath(name).parts or name.startswith("/"):
                raise DataError(f"the file {name!r} of {self.url} leads out of its folder", fix="remove that version")
        return found

    def fetch(self, folder: Path) -> None:
        """Copies its files into a folder of this machine."""
        for name in self.files():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            self.destination.file_system.get_file(f"{self.path}/{name}", str(target))

    def _file_digest(self, name: str) -> str:
        with self.destination.file_system.open(f"{self.path}/{name}", "rb") as file:
            return stream_digest(file)


def serving_model(model: Model) -> Path:
    """The folder of the SavedModel that is served.

    Raises:
        DataError: There is no SavedModel in the model.
    """
    folder = model.path / SERVING_FOLDER
    if not (folder / SAVED_MODEL).is_file():
        raise DataError(f"{folder} holds no {SAVED_MODEL}", fix="have the trainer save a SavedModel there")
    return folder


def unstamped_digest(files: Mapping[str, str]) -> str:
    """The digest of a SavedModel without its warm-up requests, from the digests of its files: what was trained."""
    return files_digest({name: digest for name, digest in files.items() if name != WARMUP_FILE})


def open_destination(url: str) -> Destination:
    """The destination that a path or URL names; nothing is read or made.

    Raises:
        UserError: The URL is empty, or no driver for its scheme is installed.
    """
    import fsspec

    if not url.strip():
        raise UserError("the destination is empty", fix="name a folder or a URL such as s3://bucket/models")
    try:
        file_system, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise UserError(
            f"the destination {url!r} cannot be reached: {error}",
            fix="use a folder, s3:// or gs://, or install the fsspec driver of that scheme",
        ) from error
    return Destination(url, file_system, path)


def versions(destination: Destination) -> Iterator[Version]:
    """The versions at a destination, whole or not, the latest first.

    Raises:
        UserError: A file stands where the destination's folder, or one above it, would have to be.
    """
    names = _names(destination)
    for name in sorted(filter(_is_number, names), key=int, reverse=True):
        yield Version(destination, name)


def retired_versions(destination: Destination) -> Iterator[Version]:
    """The versions that were taken back, the latest first; raises as `versions`."""
    numbers = {name.removesuffix(RETIRED) for name in _names(destination) if name.endswith(RETIRED)}
    for number in sorted(filter(_is_number, numbers), key=int, reverse=True):
        yield Version(destination, number + RETIRED)


def _names(destination: Destination) -> set[str]:
    destination.file_system.invalidate_cache()
    try:
        listed = destination.file_system.ls(destination.path, detail=False)
    except FileNotFoundError:
        return set()
    except NotADirectoryError as error:
        raise UserError(
            f"the destination {destination.url} is not writable: a file lies above it", fix="name another folder"
        ) from error
    return {PurePosixPath(path).name for path in listed}


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _protocols(file_system: Any) -> tuple[str, ...]:
    protocol = file_system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
