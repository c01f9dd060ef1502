"""What cycles move and look at, as it is: runs, versions and rollouts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.contract.files import write
from components.execution.pushed_models import open_destination, versions
from taxiway.lineage.loop.cycle import Cycle, State
from taxiway.lineage.loop.cycles import history
from taxiway.lineage.loop.ledger import Answer
from taxiway.loop.advance import Rolled, Runs
from taxiway.loop.rollouts import Rollouts
from taxiway.loop.runs import results
from taxiway.loop.runs.local import LocalRuns
from taxiway.loop.runs.results import Results
from taxiway.loop.runs.submitted import SubmittedRuns
from taxiway.loop.settings import SUBMIT, Settings
from taxiway.storage.home import Home
from taxiway.versions import labels

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

_PATIENCE = 120.0
"""Seconds in which a loop with another home starts a run that it has announced."""


@dataclass
class World:
    """The world of a model.

    Attributes:
        lineage: The lineage store, in which runs record what they make.
        home: Where runs are kept.
    """

    lineage: LineageStore
    home: Home
    _local: LocalRuns = field(init=False)
    _submitted: SubmittedRuns = field(init=False)
    _rollouts: Rollouts = field(init=False)
    _missed: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._local, self._submitted = LocalRuns(self.home), SubmittedRuns(self.home)
        self._rollouts = Rollouts(self.home)

    def runs(self, settings: Settings) -> Runs:
        """Where pipelines run."""
        return self._submitted if settings.action == SUBMIT else self._local

    @cached_property
    def name(self) -> str:
        """The home: only one loop of a model runs in it."""
        file = self.home.loop / "id"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write(file, secrets.token_hex(8))
        return file.read_text()

    def is_ours(self, starter: str, run: str) -> bool:
        """Whether a run that is not there can be started: whoever was about to do so is dead, or has had its time."""
        first = self._missed.setdefault(run, time.monotonic())
        return starter == self.name or time.monotonic() - first > _PATIENCE

    def results(self, run_id: str) -> Results:
        """What a run has made."""
        return results.of(self.lineage, run_id)

    def serving(self, pushed: str, settings: Settings) -> int | None:
        """The version that serves where a version was pushed: the stable one, else the latest of the others.

        A version that was taken back serves nowhere, although it may be the latest.
        """
        place, _, number = pushed.rpartition("/")
        destination = open_destination(place)
        given = (settings.delivery or {}).get("config")
        file = Path(given) if given else labels.find(destination)
        config = labels.load(file, destination) if file else None
        if config and labels.STABLE in config.labels:
            return config.labels[labels.STABLE]
        back = {each.facts.get("pushed") for each in history(self.lineage, settings.model) if _is_back(each)}
        others = [each for each in versions(destination) if each.name != number and each.is_whole()]
        return next((each.number for each in others if f"{place}/{each.name}" not in back), None)

    def rolled_out(self, cycle: Cycle, settings: Settings, answers: Sequence[Answer], now: datetime) -> Rolled:
        """Begins the rollout of a cycle's version, or carries it on."""
        return self._rollouts.look(cycle, settings, answers, now)

    def close(self) -> None:
        """Gives up the rollout, which another process may carry on."""
        self._rollouts.close()


def _is_back(cycle: Cycle) -> bool:
    return cycle.state == State.ROLLED_BACK
