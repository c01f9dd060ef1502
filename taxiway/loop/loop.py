"""The loop of one model: looks for triggers, and carries on the cycle that is not over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import Artifact
from components.contract.errors import TaxiwayError, UserError
from components.monitoring.store import Store
from taxiway.lineage.loop import cycles, ledger
from taxiway.lineage.loop.cycle import Cycle, Event, State, Trigger
from taxiway.lineage.loop.ledger import Ledger
from taxiway.lineage.monitoring import windows
from taxiway.loop import settings as all_settings
from taxiway.loop.advance import Step, World, advance
from taxiway.loop.decide import Ages, why_not
from taxiway.loop.settings import Settings
from taxiway.loop.triggers.look import look
from taxiway.loop.triggers.seen import Seen

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore


@dataclass(frozen=True)
class Considered:
    """What a trigger sees, and what follows.

    Attributes:
        seen: What it sees.
        why_not: Why no cycle begins, if something has happened; empty if one does.
    """

    seen: Seen
    why_not: str = ""

    @property
    def begins(self) -> Trigger | None:
        """What a cycle begins with."""
        return None if self.why_not else self.seen.found


@dataclass
class Ticked:
    """What the loop did.

    Attributes:
        taken: The cycle after each step that was taken.
        considered: What the triggers saw; none if a cycle is not over.
    """

    taken: list[Cycle] = field(default_factory=list)
    considered: list[Considered] = field(default_factory=list)


@dataclass
class Loop:
    """The loop of one model.

    Attributes:
        settings: The settings of new cycles; a cycle keeps those that it began with.
        lineage: The lineage store.
        tables: The model's tables.
        world: What cycles move and look at.
        state: The state of the cycle that was carried on last; None if there was none.
    """

    settings: Settings
    lineage: LineageStore
    tables: Store
    world: World
    state: State | None = None
    _ages: Ages = field(default_factory=Ages)

    def tick(self, now: datetime) -> Ticked:
        """Looks once: takes all steps that can be taken now.

        Raises:
            ServiceError: Something does not answer; nothing is lost.
        """
        known, ticked = ledger.read(self.lineage, self.settings.model), Ticked()
        current = known.current
        if current is None:
            ticked.considered = list(self.consider(known, now))
            current = self._begun(ticked.considered, known, now)
            ticked.taken += [current] if current else []
        while current and not current.is_over and (after := self._stepped(current, known, now)):
            ticked.taken.append(after)
            current = after
        self.state = current.state if current else None
        return ticked

    def dry(self, now: datetime) -> list[Considered]:
        """What the triggers see, and what would follow; nothing is written."""
        return list(self.consider(ledger.read(self.lineage, self.settings.model), now))

    def consider(self, known: Ledger, now: datetime) -> Iterator[Considered]:
        """What all triggers see, and whether a cycle begins: with the first that may; nothing is written."""
        begins = False
        for seen in look(self.settings, self.tables, known, now):
            reason = why_not(seen.trigger, self.settings, known, self._ages, now) if seen.found else ""
            if seen.found and begins:
                reason = reason or "another trigger begins a cycle"
            yield Considered(seen, reason)
            begins = begins or bool(seen.found and not reason)

    def _begun(self, considered: list[Considered], known: Ledger, now: datetime) -> Cycle | None:
        for mark in (each.seen.mark for each in considered):
            if mark:
                count = len(known.values.get(mark.key, ()))
                ledger.put(self.lineage, known.model, ledger.MARK, mark, key=f"{mark.key}/{count}")
        trigger = next((each.begins for each in considered if each.begins), None)
        if trigger is None:
            return None
        return cycles.begin(
            self.lineage,
            known.model,
            self._known(trigger),
            self.settings.given,
            known.cycles,
            now=now,
            inputs=self._cause(trigger),
        )

    def _cause(self, trigger: Trigger) -> dict[str, Artifact]:
        """The window in which the monitor raised the trigger's alarm."""
        alarm = trigger.facts.get("alarm")
        found = windows.of_alarm(self.lineage, alarm) if alarm else []
        return {"window": Artifact(Path(found[0].uri), found[0].metadata, found[0].uri)} if found else {}

    def _known(self, trigger: Trigger) -> Trigger:
        """The trigger with the version that serves."""
        champion: Any = 0
        if place := self.settings.destination:
            with suppress(TaxiwayError, OSError, ImportError):
                champion = self.world.serving(f"{place.rstrip('/')}/", self.settings) or 0
        return replace(trigger, facts={**trigger.facts, "champion": champion})

    def _stepped(self, cycle: Cycle, known: Ledger, now: datetime) -> Cycle | None:
        """The cycle after its next step; None if there is none yet, or if another loop has taken it."""
        settings = all_settings.parsed(cycle.settings, f"the settings of {cycle.id}")
        try:
            step = advance(cycle, settings, self.world, [each for each in known.answers if each.cycle == cycle.id], now)
        except UserError as error:
            step = Step(Event(State.FAILED, error.what, now))
        if step is None:
            return None
        after: Cycle | None = cycle
        if step.event:
            inputs = self._cause(cycle.trigger) if step.outputs else {}
            after = cycles.add(self.lineage, cycle, step.event, inputs=inputs, outputs=step.outputs)
        if after and step.start:
            self.world.runs(settings).start(after, settings, step.start)
            # It has nothing to say at once.
            return None if step.event is None else after
        return after
