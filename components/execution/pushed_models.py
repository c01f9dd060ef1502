"""Pushed models: `<destination>/<version>/` holds a SavedModel and its provenance.

A destination is a folder, or any URL that fsspec has a driver for. The layout is TF Serving's: it considers the folders
in its base path whose names are integers, and reads a SavedModel at the top of each. It ignores unknown files, so
`provenance.json` is beside `saved_model.pb`, as in every artifact. Its first record is the push: `digest` is the
folder's, and `files` has the digest of every file in it.

A version is complete once `saved_model.pb` exists, which is written last.
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
"""The folder in a Model artifact with the SavedModel to serve."""

STAMPED_MODEL = "stamped_model"
"""The folder in an InfraBlessing with the SavedModel and its warm-up requests."""

RETIRED = ".retired"
"""The suffix of a version that was rolled back: servers ignore it, because they look for integer names."""

PUSH_LOCK = ".pushing.lock"
"""In a destination that is a folder: the lock for adding and removing versions."""

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
"""In a SavedModel: the requests that a server replays before it becomes available."""


@dataclass(frozen=True)
class Destination:
    """A place that holds versions of a model.

    Attributes:
        url: The URL as the user gave it.
        file_system: The fsspec file system of the URL.
        path: The path in that file system.
    """

    url: str
    file_system: Any
    path: str

    @property
    def is_local(self) -> bool:
        """Whether it is a folder on this machine."""
        return "file" in _protocols(self.file_system)


@dataclass(frozen=True)
class Version:
    """One version at a destination, complete or not."""

    destination: Destination
    name: str

    @property
    def number(self) -> int:
        """The version number."""
        return int(self.name.removesuffix(RETIRED))

    @property
    def is_retired(self) -> bool:
        """Whether it was rolled back, so that servers ignore it."""
        return self.name.endswith(RETIRED)

    @property
    def url(self) -> str:
        """The version's URL, in the form of the destination's."""
        return f"{self.destination.url.rstrip('/')}/{self.name}"

    @property
    def path(self) -> str:
        """The version's path in the destination's file system."""
        return f"{self.destination.path.rstrip('/')}/{self.name}"

    def is_whole(self) -> bool:
        """Whether its SavedModel exists."""
        return bool(self.destination.file_system.isfile(f"{self.path}/{SAVED_MODEL}"))

    def records(self) -> list[Record]:
        """Its provenance, with the record of the push first; empty if Taxiway did not push it."""
        try:
            return parse_chain(self.destination.file_system.cat_file(f"{self.path}/{PROVENANCE_FILE}"))
        except FileNotFoundError:
            return []

    def recorded_digest(self) -> str:
        """The digest in its record; empty if it has none."""
        records = self.records()
        return str(records[0]["digest"]) if records else ""

    def content_digest(self) -> str:
        """The digest of its current content; reads every file."""
        return files_digest({name: self._file_digest(name) for name in self.files()})

    def is_intact(self, digest: str) -> bool:
        """Whether it exists, is complete, and has this content."""
        return self.is_whole() and self.content_digest() == digest

    def files(self) -> list[str]:
        """The names of its files, relative to it, sorted.

        Raises:
            DataError: A name leads out of the version's folder, which object stores allow.
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


def pushed_place(metadata: Mapping[str, Any]) -> str:
    """The version's folder or URL in the metadata of a PushedModel; empty if there is none."""
    destination = str(metadata.get("pushed_destination", "")).rstrip("/")
    version = str(metadata.get("pushed_version", ""))
    return destination if not version or destination.endswith(f"/{version}") else f"{destination}/{version}"


def serving_model(model: Model) -> Path:
    """The folder of the SavedModel to serve.

    Raises:
        DataError: The model has no SavedModel.
    """
    folder = model.path / SERVING_FOLDER
    if not (folder / SAVED_MODEL).is_file():
        raise DataError(f"{folder} has no {SAVED_MODEL}", fix="make the trainer save a SavedModel there")
    return folder


def unstamped_digest(files: Mapping[str, str]) -> str:
    """The digest of a SavedModel without its warm-up requests, as it was trained, from the digests of its files."""
    return files_digest({name: digest for name, digest in files.items() if name != WARMUP_FILE})


def open_destination(url: str) -> Destination:
    """The destination for a path or URL; nothing is read or created.

    Raises:
        UserError: The URL is empty, or no driver for its scheme is installed.
    """
    import fsspec

    if not url.strip():
        raise UserError("the destination is empty", fix="set a folder or a URL such as s3://bucket/models")
    try:
        file_system, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise UserError(
            f"the destination {url!r} cannot be reached: {error}",
            fix="use a folder, s3:// or gs://, or install the fsspec driver for that scheme",
        ) from error
    return Destination(url, file_system, path)


def versions(destination: Destination) -> Iterator[Version]:
    """The versions at a destination, complete or not, latest first.

    Raises:
        UserError: The destination, or a folder above it, is a file.
    """
    names = _names(destination)
    for name in sorted(filter(_is_number, names), key=int, reverse=True):
        yield Version(destination, name)


def retired_versions(destination: Destination) -> Iterator[Version]:
    """The versions that were rolled back, latest first; raises the same errors as `versions`."""
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
            f"the destination {destination.url} is not writable: it, or a folder above it, is a file",
            fix="use another folder",
        ) from error
    return {PurePosixPath(path).name for path in listed}


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _protocols(file_system: Any) -> tuple[str, ...]:
    protocol = file_system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
