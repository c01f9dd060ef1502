"""What cycles move and look at, as it is: runs, versions and rollouts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from components.execution.pushed_models import open_destination, versions
from taxiway.lineage.loop.cycle import Cycle, State
from taxiway.loop import results
from taxiway.loop.advance import Rolled, Runs
from taxiway.loop.results import Results
from taxiway.loop.settings import Settings
from taxiway.versions import labels

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore


@dataclass
class World:
    """The world of a model.

    Attributes:
        lineage: The lineage store, in which runs record what they make.
        runs: Where pipelines run.
    """

    lineage: LineageStore
    runs: Runs

    def results(self, run_id: str) -> Results:
        """What a run has made."""
        return results.of(self.lineage, run_id)

    def serving(self, pushed: str) -> int | None:
        """The version that serves where a version was pushed: the stable one, else the latest of the others."""
        place, _, number = pushed.rpartition("/")
        destination = open_destination(place)
        file = labels.find(destination)
        config = labels.load(file, destination) if file else None
        if config and labels.STABLE in config.labels:
            return config.labels[labels.STABLE]
        others = (each.number for each in versions(destination) if each.name != number and each.is_whole())
        return next(others, None)

    def rolled_out(self, cycle: Cycle, settings: Settings, now: datetime) -> Rolled:
        """Begins the rollout of a cycle's version, or carries it on."""
        del settings, now
        return Rolled(State.PROMOTED, f"version {cycle.facts['version']} serves")
