"""Outputs by what they were made from: a folder a key, there whole with its manifest or not there at all."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.contract import files
from components.contract.artifacts import ELSEWHERE
from components.contract.digests import PROVENANCE_FILE
from taxiway.storage.digest_store import DigestStore

MANIFEST = "manifest.json"
Json = dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """What a task gave, as its folder describes it.

    Attributes:
        key: The full cache key, and what it was computed from, for people who ask why something ran again.
        parts: See key.
        parameters: Output parameters.
        artifacts: RuntimeArtifact documents by output name.
        digests: Digest by path inside the folder: each output, and its provenance; by its whole path, what the task
            left elsewhere on this machine.
        seconds: How long the task took.
    """

    key: str
    parts: Json
    parameters: Json
    artifacts: dict[str, list[Json]]
    digests: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a key's folder: of two runs that need the same output, one makes it and the other waits."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(folder.parent / f".{folder.name}.lock"):
        yield


def find(folder: Path, key: str, digests: DigestStore) -> Manifest | None:
    """The manifest of a key's folder, where the folder is whole and nothing in it has changed; else None."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
        intact = manifest.key == key and all(
            _digest(folder / name, digests) == digest for name, digest in manifest.digests.items()
        )
    except (OSError, ValueError, TypeError):
        return None
    return manifest if intact and _is_intact_elsewhere(manifest, digests) else None


def keep(staged: Path, folder: Path, manifest: Manifest, digests: DigestStore) -> Manifest:
    """Moves a staged folder to its place in one step, with its manifest; what lay there, damaged, gives way.

    Returns:
        The manifest with the digests of what is kept.
    """
    paths = sorted(path.name for path in staged.iterdir())
    provenance = [f"{name}/{PROVENANCE_FILE}" for name in paths if (staged / name / PROVENANCE_FILE).is_file()]
    found = {name: _digest(staged / name, digests) for name in [*paths, *provenance]}
    found |= {place: _digest(Path(place), digests) for place in _places_elsewhere(manifest, folder)}
    manifest = Manifest(**{**asdict(manifest), "digests": found})
    (staged / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
    discard(folder)
    staged.rename(folder)
    return manifest


def discard(folder: Path) -> None:
    """Removes a folder so that no half of it is ever seen under its name."""
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.doomed")
        folder.rename(doomed)
        shutil.rmtree(doomed)


def _places_elsewhere(manifest: Manifest, folder: Path) -> set[str]:
    """Where on this machine a task left what it did not write into its folder."""
    uris = {artifact["uri"] for artifacts in manifest.artifacts.values() for artifact in artifacts}
    return {uri for uri in uris if "://" not in uri and not Path(uri).is_relative_to(folder)}


def _digest(path: Path, digests: DigestStore) -> str:
    return digests.tree(path) if path.exists() else "absent"


def _is_intact_elsewhere(manifest: Manifest, digests: DigestStore) -> bool:
    """Whether what a task left outside of its folder, as its artifacts say, is still there."""
    metadata = (artifact["metadata"] for artifacts in manifest.artifacts.values() for artifact in artifacts)
    left = (json.loads(each[ELSEWHERE]) for each in metadata if ELSEWHERE in each)
    return all(any(_is_at(place, each["digest"], digests) for place in each["places"]) for each in left)


def _is_at(place: str, digest: str, digests: DigestStore) -> bool:
    if "://" in place:
        import fsspec

        file_system, path = fsspec.core.url_to_fs(place)
        return bool(file_system.isfile(path))
    return Path(place).exists() and digest in ("", digests.tree(Path(place)))
