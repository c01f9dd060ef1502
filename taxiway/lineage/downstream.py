"""What came of an artifact or of a version of the data: everything that was made from it, by the lineage store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taxiway.lineage.stored import StoredArtifact

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

_MOST = 2000
"""Artifacts; of more, the rest is left out."""


def of_data(version: str, store: LineageStore) -> list[StoredArtifact]:
    """What was made from a version of the data, given by its `data_id`, nearest first; also what read the data."""
    readers = [each for each in store.artifacts() if version in {data_id(data) for data in _data(each)}]
    return [*readers, *of_artifacts(readers, store)]


def data_id(data: dict[str, Any]) -> str:
    """What tells a version of the data from others: DVC's hash, else the digest of the content."""
    return str(data.get("dvc_hash") or data.get("content") or "")


def _data(artifact: StoredArtifact) -> list[dict[str, Any]]:
    return [record["data"] for record in artifact.records[:1] if record.get("data")]


def of_artifacts(artifacts: Sequence[StoredArtifact], store: LineageStore) -> list[StoredArtifact]:
    """What was made from artifacts, nearest first."""
    seen = {artifact.id for artifact in artifacts}
    found: list[StoredArtifact] = []
    pending = list(artifacts)
    while pending and len(found) < _MOST:
        pending = [each for each in store.ahead(pending) if each.id not in seen]
        seen |= {artifact.id for artifact in pending}
        found += pending
    return found[:_MOST]
