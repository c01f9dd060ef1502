"""The loops of a compiled pipeline: `parameterIterator` and `artifactIterator` of a task.

Source: kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taxiway.language import values
from taxiway.language.placeholders import Lookup, filled


@dataclass(frozen=True, kw_only=True)
class Loop:
    """A loop whose body is a task.

    Attributes:
        item: The input that takes one item in each turn.
        over_artifacts: Whether the items are artifacts.
        source: The input that has the items; empty where the compiler wrote them down.
        written: The items as the compiler wrote them, JSON with placeholders; empty where an input has them.
        at_once: How many turns run at once; 0 for all.
    """

    item: str
    over_artifacts: bool
    source: str = ""
    written: str = ""
    at_once: int = 0

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Loop | None:
        """The loop that a task is the body of."""
        over_artifacts = "artifactIterator" in task
        iterator = task.get("artifactIterator") or task.get("parameterIterator")
        if iterator is None:
            return None
        items = iterator["items"]
        return cls(
            item=iterator["itemInput"],
            over_artifacts=over_artifacts,
            source=items.get("inputArtifact") or items.get("inputParameter") or "",
            written=items.get("raw", ""),
            at_once=int(task.get("iteratorPolicy", {}).get("parallelismLimit", 0)),
        )

    def values(self, parameters: Mapping[str, Any], lookup: Lookup) -> list[Any]:
        """The items of a loop over values.

        Raises:
            UserError: They are no list.
        """
        if self.source:
            return values.listed(parameters.get(self.source))
        return list(filled(values.listed(self.written), lookup))
