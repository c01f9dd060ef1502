"""What a run has made: the verdict of whatever judged its model, and the version that was pushed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import ModelBlessing, PushedModel

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore
    from taxiway.lineage.stored import StoredArtifact


@dataclass(frozen=True)
class Results:
    """What a run has made.

    Attributes:
        pushed: Where the version is; empty if none was pushed.
        digest: Its digest.
        verdict: What was said of the model, as a sentence; empty if nothing was.
        is_blessed: Whether nothing was said against it.
    """

    pushed: str = ""
    digest: str = ""
    verdict: str = ""
    is_blessed: bool = True

    @property
    def version(self) -> int | None:
        """The version's number; None if none was pushed."""
        number = self.pushed.rpartition("/")[2]
        return int(number) if number.isdigit() else None


def of(store: LineageStore, run_id: str) -> Results:
    """What a run has made."""
    artifacts = store.artifacts_of(run_id)
    pushed = [each for each in artifacts if each.type_name == PushedModel.__name__ and each.is_pushed]
    judged = [each for each in artifacts if each.type_name == ModelBlessing.__name__ and "blessed" in each.metadata]
    last = pushed[-1] if pushed else None
    return Results(
        pushed=last.pushed_to if last else "",
        digest=last.digest if last else "",
        verdict=_verdict(judged),
        is_blessed=all(each.metadata["blessed"] == 1 for each in judged),
    )


def _verdict(judged: Sequence[StoredArtifact]) -> str:
    """What was said: reasons against the model first."""
    against = [each.metadata for each in judged if each.metadata["blessed"] != 1]
    said = [_said(each) for each in against] or [_said(each.metadata) for each in judged]
    return "; ".join(dict.fromkeys(filter(None, said)))


def _said(metadata: dict[str, Any]) -> str:
    text = str(metadata.get("reason") or metadata.get("not_blessed") or "")
    return " ".join(text.split())
