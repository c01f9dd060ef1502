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
        item: The input that receives the item of each iteration.
        over_artifacts: Whether the items are artifacts.
        source: The input that has the items; empty if they are constants.
        written: Constant items, as JSON with placeholders; empty if an input has the items.
        at_once: Maximum number of parallel iterations; 0 for no limit.
    """

    item: str
    over_artifacts: bool
    source: str = ""
    written: str = ""
    at_once: int = 0

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Loop | None:
        """Reads the loop around a task; None if there is none."""
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
            UserError: They are not a list.
        """
        if self.source:
            return values.listed(parameters.get(self.source))
        return list(filled(values.listed(self.written), lookup))
