"""What happens in the demo, told as it happens."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from components.contract.errors import ServiceError
from components.monitoring.alarms.alarm import Alarm
from components.reports.monitoring import alarms
from taxiway.lineage.loop import ledger, timeline
from taxiway.lineage.loop.cycle import Cycle, State
from taxiway.lineage.loop.timeline import Moment
from taxiway.loop.demo import servers
from taxiway.loop.demo.ground import MODEL, WINDOW, Ground
from taxiway.loop.demo.servers import Watched
from taxiway.loop.demo.trips import COLUMN, Replay
from taxiway.monitoring.demo import say, taxiway

CLEAN, _PATIENCE = 2, 600.0
"""Windows before the change; seconds after which the demo gives up."""


@dataclass
class Story:
    """What happens, from the change to the alarm that closes.

    Attributes:
        console: Where it is told.
        ground: The demo's folder.
        replay: The trips.
        watched: The monitor and the loop.
        approve: Who approves: `hand`, `auto`, or None for nobody.
    """

    console: Console
    ground: Ground
    replay: Replay
    watched: Watched
    approve: str | None = None
    _changes: float = field(default_factory=lambda: (time.time() // WINDOW + CLEAN + 1) * WINDOW)
    _told: int = 0
    _asked: int = -1
    _number: int = 2

    def told(self, show: Callable[[str], None]) -> tuple[Cycle, Sequence[Alarm]]:
        """Tells everything until it is over; returns the cycle, and the alarms that triggered it.

        Raises:
            ServiceError: It does not come to an end, or a process has ended.
        """
        lineage, end = self.ground.lineage(), time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            self.watched.check()
            self._change()
            cycle = next(iter(ledger.read(lineage, MODEL).cycles), None)
            triggers = self._alarms(cycle) if cycle else []
            moments = timeline.timeline(cycle, triggers) if cycle else []
            self._tell(moments)
            if cycle:
                self._approve(cycle)
                if cycle.is_over and cycle.state != State.PROMOTED:
                    return cycle, triggers
                if timeline.is_closed(cycle, triggers):
                    return cycle, triggers
            show(self._progress(cycle))
            time.sleep(0.5)
        raise ServiceError(f"nothing came of it in {_PATIENCE:.0f} s", fix=f"see the logs in {self.ground.root}")

    def _alarms(self, cycle: Cycle) -> list[Alarm]:
        wanted = cycle.trigger.facts.get("alarms", [])
        found = {each.alarm: each for each in alarms.read(self.ground.store)}
        return [found[name] for name in wanted if name in found]

    def _change(self) -> None:
        if not self.replay.is_changed and time.time() >= self._changes:
            self.replay.is_changed = True
            self._say(f"[yellow]{COLUMN} has other words from now on: credit_card, not Credit Card[/]")

    def _tell(self, moments: Sequence[Moment]) -> None:
        for each in moments[self._told :]:
            self._say(f"[bold]{each.title}[/]  [dim]{each.time:%H:%M:%S}[/]")
            say(self.console, Text(each.words))
        self._told = max(self._told, len(moments))

    def _say(self, words: str) -> None:
        self._number += 1
        self.console.print(f"[bold]{self._number}[/] {words}", soft_wrap=True)

    def _approve(self, cycle: Cycle) -> None:
        """Approves what waits, or says how to."""
        is_asked = self.approve and timeline.timeline(cycle)[-1].title == timeline.ASKS
        if not is_asked or self._asked == len(cycle.events):
            return
        self._asked = len(cycle.events)
        words = ("loop", "approve", MODEL, "--reason", "right more often")
        if self.approve == "auto":
            subprocess.run(taxiway(*words), env=self.ground.variables, check=True, stdout=subprocess.DEVNULL)
            return
        self._say("it waits for you; in another terminal, type")
        say(
            self.console,
            Text(servers.by_hand(self.ground, "taxiway loop approve", MODEL, "--reason", words[-1]), "cyan"),
        )

    def _progress(self, cycle: Cycle | None) -> str:
        left = self._changes - time.time()
        state = f"the app changes in {left:.0f} s" if left > 0 else "waiting for the alarm"
        if cycle:
            state = str(cycle.state).replace("_", " ") if not cycle.is_over else "waiting until the alarm closes"
        return f"{self.replay.sent:,} trips; {state}"
