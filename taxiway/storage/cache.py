"""The cache: one folder of outputs per cache key, complete with its manifest or absent."""

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
from components.contract.digests import PROVENANCE_FILE
from components.execution import elsewhere
from taxiway.storage.digest_store import DigestStore

MANIFEST = "manifest.json"
Json = dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """The description of a task's outputs in its folder.

    Attributes:
        key: The full cache key.
        parts: What the key was computed from, so that users can see why a task ran again.
        parameters: Output parameters.
        artifacts: RuntimeArtifact documents by output name.
        digests: Digests by path: relative to the folder for each output and its provenance, absolute for what the task
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
    """Holds the lock of a key's folder: if two runs need the same output, one makes it and the other waits."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(folder.parent / f".{folder.name}.lock"):
        yield


def find(folder: Path, key: str, digests: DigestStore) -> Manifest | None:
    """The manifest of a key's folder, or None if the folder is absent, incomplete or changed."""
    try:
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
        intact = manifest.key == key and all(
            _digest(folder / name, digests) == digest for name, digest in manifest.digests.items()
        )
    except (OSError, ValueError, TypeError):
        return None
    return manifest if intact and _is_intact_elsewhere(manifest, digests) else None


def keep(staged: Path, folder: Path, manifest: Manifest, digests: DigestStore) -> Manifest:
    """Moves a staged folder and its manifest to their place in one step; replaces a damaged folder there.

    Returns:
        The manifest with the digests of the outputs.
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
    """Removes a folder; it is never visible half-removed under its name."""
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.doomed")
        folder.rename(doomed)
        shutil.rmtree(doomed)


def _places_elsewhere(manifest: Manifest, folder: Path) -> set[str]:
    """The places on this machine, outside of its folder, where a task left outputs."""
    uris = {artifact["uri"] for artifacts in manifest.artifacts.values() for artifact in artifacts}
    return {uri for uri in uris if "://" not in uri and not Path(uri).is_relative_to(folder)}


def _digest(path: Path, digests: DigestStore) -> str:
    return digests.tree(path) if path.exists() else "absent"


def _is_intact_elsewhere(manifest: Manifest, digests: DigestStore) -> bool:
    metadata = (artifact["metadata"] for artifacts in manifest.artifacts.values() for artifact in artifacts)
    return elsewhere.is_intact(metadata, digests.tree)
