"""Where artifacts have pages: the run, task and output that made each one, by its digest."""

from __future__ import annotations

from dataclasses import dataclass, field

from components.execution.provenance import Record
from taxiway.lineage.downstream import data_id
from taxiway.ui.views import Site, address

Place = tuple[str, str, str]
"""A run, a task, and the name of an output."""


@dataclass(frozen=True)
class Places:
    """Finds pages by the digest of what they show."""

    by_digest: dict[str, Place] = field(default_factory=dict)

    @classmethod
    def of(cls, site: Site) -> Places:
        """The outputs of all runs; of several that made the same, the latest."""
        found: dict[str, Place] = {}
        for run in site.index.runs():
            for task, output, digest in run.outputs:
                if digest:
                    found.setdefault(digest, (run.id, task, output))
        return cls(found)

    def near(self, digest: str, site: Site) -> Places:
        """The same, but of several equal outputs the one of the run that made this artifact: empty files are equal."""
        near = next((run for run in site.index.runs() if run.id == self.run_of(digest)), None)
        own = {found: (near.id, task, output) for task, output, found in near.outputs if found} if near else {}
        return Places({**self.by_digest, **own})

    def run_of(self, digest: str) -> str:
        """The run; empty if there is none."""
        return self.by_digest[digest][0] if digest in self.by_digest else ""

    def report_of(self, digest: str) -> str:
        """The address of the artifact's page in the run; empty if there is none."""
        if digest not in self.by_digest:
            return ""
        run, task, output = self.by_digest[digest]
        return address("runs", run, "artifacts", task, output)

    def data_of(self, data: Record) -> str:
        """The address of a data version."""
        return address("data", "version", id=data_id(data))

    def lineage_of(self, record: Record) -> str:
        """The address of the lineage of a record."""
        return address("lineage", of=str(record["digest"]))
