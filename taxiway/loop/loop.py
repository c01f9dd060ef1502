"""The loop of one model: looks for triggers, and carries on the cycle that is not over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from components.monitoring.store import Store
from taxiway.lineage.loop import cycles, ledger
from taxiway.lineage.loop.cycle import Cycle
from taxiway.lineage.loop.ledger import Ledger
from taxiway.loop import settings as all_settings
from taxiway.loop.advance import World, advance
from taxiway.loop.settings import Settings
from taxiway.loop.triggers import alarms

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore


@dataclass
class Loop:
    """The loop of one model.

    Attributes:
        settings: The settings of new cycles; a cycle keeps those that it began with.
        lineage: The lineage store.
        tables: The model's tables.
        world: What cycles move and look at.
    """

    settings: Settings
    lineage: LineageStore
    tables: Store
    world: World

    def tick(self, now: datetime) -> list[Cycle]:
        """Looks once: takes all steps that can be taken now. Returns the cycle after each step.

        Raises:
            ServiceError: Something does not answer; nothing is lost.
        """
        known = ledger.read(self.lineage, self.settings.model)
        current = known.current or self._begun(known, now)
        taken = [current] if current and current is not known.current else []
        while current and not current.is_over and (after := self._stepped(current, known, now)):
            taken.append(after)
            current = after
        return taken

    def _begun(self, known: Ledger, now: datetime) -> Cycle | None:
        for each in self.settings.triggers:
            found = alarms.look(each, self.tables, known.cycles[::-1], now) if each.kind == "alarm" else None
            if found:
                return cycles.begin(self.lineage, known.model, found, self.settings.given, known.cycles, now)
        return None

    def _stepped(self, cycle: Cycle, known: Ledger, now: datetime) -> Cycle | None:
        settings = all_settings.parsed(cycle.settings, f"the settings of {cycle.id}")
        answers = [each for each in known.answers if each.cycle == cycle.id]
        step = advance(cycle, settings, self.world, answers, now)
        return cycles.add(self.lineage, cycle, step.event, outputs=step.outputs) if step else None
