"""The task that made an artifact, as far as its report needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.contract.artifacts import Artifact


@dataclass(frozen=True)
class Ran:
    """A task that ran; a figure that is not known is None.

    Attributes:
        outputs: All its outputs.
        seconds: Wall time.
        cpu_seconds: CPU time.
        peak_mb: Peak memory in MB.
    """

    outputs: Sequence[Artifact] = ()
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None

    def output(self, kind: type[Artifact]) -> Artifact | None:
        """Its first output of a type; None if it has none."""
        return next((each for each in self.outputs if each.type_name == kind.__name__), None)
