"""What a run has made: the verdict of whatever judged its model, and the version that was pushed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import Artifact

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore
    from taxiway.lineage.stored import StoredArtifact

_LONGEST = 500


@dataclass(frozen=True)
class Results:
    """What a run has made.

    Attributes:
        pushed: Where the version is; empty if none was pushed.
        verdict: What was said of the model, as a sentence; empty if nothing was.
        artifacts: The version as an artifact, by port.
    """

    pushed: str = ""
    verdict: str = ""
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)

    @property
    def version(self) -> int | None:
        """The version's number; None if none was pushed."""
        number = self.pushed.rpartition("/")[2]
        return int(number) if number.isdigit() else None


def of(store: LineageStore, run_id: str) -> Results:
    """What a run has made."""
    artifacts = store.artifacts_of(run_id)
    pushed = [each for each in artifacts if each.is_pushed and each.pushed_to]
    verdict = _verdict([each.metadata for each in artifacts if "blessed" in each.metadata])
    if not pushed:
        return Results(verdict=verdict)
    return Results(pushed[-1].pushed_to, verdict, {"pushed": _artifact(pushed[-1])})


def _artifact(stored: StoredArtifact) -> Artifact:
    return Artifact(Path(stored.uri), dict(stored.metadata), stored.uri)


def _verdict(judged: Sequence[Mapping[str, Any]]) -> str:
    """What was said: reasons against the model, or else for it."""
    against = [each for each in judged if each["blessed"] != 1]
    return "; ".join(dict.fromkeys(filter(None, map(_said, against or judged))))[:_LONGEST]


def _said(metadata: Mapping[str, Any]) -> str:
    return " ".join(str(metadata.get("verdict") or metadata.get("not_blessed") or "").split())
