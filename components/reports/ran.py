"""The task that made an artifact, as far as its report needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.contract.artifacts import Artifact


@dataclass(frozen=True)
class Ran:
    """A task that ran; a figure that is not known is None.

    Attributes:
        outputs: All its outputs.
        seconds: Wall time.
        cpu_seconds: CPU time.
        peak_mb: Peak memory in MB.
        inputs: Its input artifacts by name, those that are known.
        before: What the same task made in an earlier run: to compare with.
        has_just_ended: Whether its own process asks, so nothing can have happened to the outputs since.
    """

    outputs: Sequence[Artifact] = ()
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    before: Sequence[Artifact] = ()
    has_just_ended: bool = False

    def output(self, kind: type[Artifact]) -> Artifact | None:
        """Its first output of a type; None if it has none."""
        return _first(self.outputs, kind)

    def earlier(self, kind: type[Artifact]) -> Artifact | None:
        """What an earlier run has instead of its first output of a type; None if there is none or it is the same."""
        now, then = _first(self.outputs, kind), _first(self.before, kind)
        is_same = now and then and now.metadata.get("digest", "now") == then.metadata.get("digest", "then")
        return None if is_same or then is None or not then.path.exists() else then


def _first(artifacts: Sequence[Artifact], kind: type[Artifact]) -> Artifact | None:
    return next((each for each in artifacts if each.type_name == kind.__name__), None)
