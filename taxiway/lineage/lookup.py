"""Finds the records of an artifact, a pushed version or a digest: in the lineage store, else beside the files."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.contract.commands import typed
from components.contract.digests import PROVENANCE_FILE
from components.contract.errors import ServiceError, UserError
from components.execution.provenance import Record, distinct
from taxiway.lineage.stored import StoredArtifact

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{8,64})")
"""A digest, or at least its first eight hex digits."""
_PREFIX = "sha256:"
_SHOWN = 12  # hex digits of a digest in messages


def look_up(target: str, store: LineageStore | None) -> list[Record]:
    """The records of a target, its own first; see `chain.trace` for arguments and errors."""
    if (digest := DIGEST.fullmatch(target)) and not Path(target).exists():
        records = _by_digest(target, digest[1], store)
    else:
        records = _at_place(target, store)
    if not records:
        raise UserError(
            f"{target} was made outside the pipelines: there is no record of what it was made from",
            fix="trace an artifact that was made from it instead",
        )
    return records


def displayed(place: str) -> str:
    """A path as a user would type it, relative if it is below the working folder; a URL unchanged."""
    here = f"{Path.cwd()}{os.sep}"
    return place.removeprefix(here)


def _by_digest(target: str, digits: str, store: LineageStore | None) -> list[Record]:
    if store is None:
        raise UserError(
            f"there is no lineage store to look up {target}",
            fix="give the folder of the artifact or of the pushed version instead: its files contain the lineage",
        )
    artifacts = store.artifacts()
    found = {a.digest: a for a in artifacts if a.digest.startswith(_PREFIX + digits)}
    if len(found) > 1:
        listed = "\n".join(f"  {digest}  {artifact.type_name}  {artifact.uri}" for digest, artifact in found.items())
        raise UserError(f"{target} is the prefix of {len(found)} digests:\n{listed}", fix="give more digits")
    if not found:
        near = _nearest_digest(digits, artifacts)
        raise UserError(
            f"no artifact in {store.connection} has the digest {target}",
            fix=f"did you mean {near}?" if near else f"`{typed('taxiway runs')}` lists the runs",
        )
    return _from_store(list(found.values()), store)


def _nearest_digest(digits: str, artifacts: Sequence[StoredArtifact]) -> str:
    """The most similar digest, or the pushed version with that number, which also looks like a digest."""
    versions = [a.pushed_to for a in artifacts if a.pushed_to.endswith(f"/{digits}")]
    length = max(len(digits), _SHOWN)
    known = {a.digest[: len(_PREFIX) + length] for a in artifacts if a.digest}
    near = difflib.get_close_matches(_PREFIX + digits, known, n=1, cutoff=0.6)
    return next(map(displayed, [*versions, *near]), "")


def _at_place(target: str, store: LineageStore | None) -> list[Record]:
    place = place_of(target)
    records = _stored_at(place, store) if store else []
    records = records or _beside(place)
    if not records:
        near = _nearest(place, store)
        raise UserError(
            f"nothing is known about {target}: it contains no {PROVENANCE_FILE}"
            + (f" and is not in {store.connection}" if store else ""),
            fix=f"did you mean {near}?"
            if near
            else "give a pushed version's folder, an artifact's path, or a digest (sha256:...)",
        )
    return records


def stored_at(target: str, store: LineageStore) -> list[StoredArtifact]:
    """The artifacts with a digest, or at a place: what was pushed there, else what lies there."""
    if digest := DIGEST.fullmatch(target):
        return [each for each in store.artifacts() if each.digest.startswith(_PREFIX + digest[1])]
    place = place_of(target)
    pushed = [each for each in store.artifacts(type_name="PushedModel") if each.pushed_to]
    return [each for each in pushed if place_of(each.pushed_to) == place] or store.artifacts(uri=place)


def destinations(store: LineageStore | None) -> list[str]:
    """Where models were pushed to, the latest first: the folders or URLs that have the versions."""
    pushed = [a.pushed_to for a in reversed(store.artifacts(type_name="PushedModel"))] if store else []
    return list(dict.fromkeys(place_of(place).rpartition("/")[0] for place in pushed if place))


def place_of(target: str) -> str:
    """A place in the form that records use: a URL or an absolute path."""
    return target.rstrip("/") if "://" in target else str(Path(target).absolute())


def _stored_at(place: str, store: LineageStore) -> list[Record]:
    models = store.artifacts(type_name="PushedModel")
    pushed = [a for a in models if a.records and a.pushed_to and place_of(a.pushed_to) == place]
    if not pushed:
        return _from_store(store.artifacts(uri=place)[-1:], store)
    # The first push of the current content wrote it; later pushes of the same content found it there.
    writer = next(artifact for artifact in pushed if artifact.digest == pushed[-1].digest)
    facts: Record = {
        key: writer.metadata[key] for key in ("pushed_destination", "pushed_version") if key in writer.metadata
    }
    own, *others = _from_store([writer], store)
    return [{**own, "judged": writer.metadata.get("judged") == 1, **facts}, *others]


def _from_store(artifacts: Sequence[StoredArtifact], store: LineageStore) -> list[Record]:
    records: list[Record] = []
    seen: set[int] = set()
    while artifacts:
        seen |= {artifact.id for artifact in artifacts}
        records += [record for artifact in artifacts for record in artifact.records]
        artifacts = [artifact for artifact in store.behind(artifacts) if artifact.id not in seen]
    return distinct(records)


def _beside(place: str) -> list[Record]:
    try:
        text = _read(f"{place}/{PROVENANCE_FILE}")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ImportError) as error:
        raise ServiceError(f"{place} cannot be read: {error}") from error
    try:
        records = json.loads(text)
        if not all(record["digest"] and "inputs" in record for record in records):
            raise ValueError("a record has no digest or no inputs")
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{place}/{PROVENANCE_FILE} is damaged: {error}", fix="trace the digest instead, from the lineage store"
        ) from error
    return list(records)


def _read(file: str) -> str:
    if "://" not in file:
        return Path(file).read_text()
    import fsspec

    with fsspec.open(file, "r") as opened:
        return str(opened.read())


def _nearest(place: str, store: LineageStore | None) -> str:
    known = set(_versions_near(Path(place))) if "://" not in place else set()
    for artifact in store.artifacts() if store else []:
        known |= {known_place for known_place in (artifact.uri, artifact.pushed_to) if known_place}
    below = sorted(name for name in known if name.startswith(f"{place}/"))
    if below:
        return displayed(below[-1])
    return next(map(displayed, difflib.get_close_matches(place, known, n=1, cutoff=0.8)), "")


def _versions_near(path: Path) -> Iterator[str]:
    """Folders that contain a chain, in a folder (a destination) or beside it (other versions)."""
    for folder in (path, path.parent):
        yield from (str(file.parent) for file in folder.glob(f"*/{PROVENANCE_FILE}"))
