"""What the pages know of a model's loop: its cycles, the alarms that triggered them, and its rollout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from components.contract.errors import TaxiwayError
from components.monitoring.alarms.alarm import Alarm
from taxiway.delivery.keeper import Keeper
from taxiway.delivery.rollout import Rollout
from taxiway.delivery.settings import Delivery
from taxiway.lineage.loop import ledger, timeline
from taxiway.lineage.loop.cycle import Cycle
from taxiway.lineage.loop.timeline import Moment
from taxiway.ui.views import MissingError, Site

CRUMBS = (("Loop", "/loop"),)


@dataclass(frozen=True)
class Found:
    """A model's loop.

    Attributes:
        model: The model.
        cycles: Its cycles, the latest first.
        rollout: Its latest rollout; None if there was none on this machine.
        delivery: The settings of that rollout.
    """

    model: str
    cycles: Sequence[Cycle] = ()
    rollout: Rollout | None = None
    delivery: Delivery | None = None

    @property
    def current(self) -> Cycle | None:
        """The cycle that is not over."""
        return next((each for each in self.cycles if not each.is_over), None)

    @property
    def running(self) -> Rollout | None:
        """The rollout that is not over."""
        return self.rollout if self.rollout and not (self.rollout.is_over and self.rollout.settled) else None

    @property
    def waits(self) -> bool:
        """Whether a person is asked."""
        asked = self.current.facts.get("needs") if self.current else ""
        return bool(asked) or bool(self.running and self.running.state == "paused")


@dataclass(frozen=True)
class Told:
    """A cycle with all that happened around it.

    Attributes:
        cycle: The cycle.
        alarms: The alarms that triggered it, as they are now.
    """

    cycle: Cycle
    alarms: Sequence[Alarm] = field(default_factory=tuple)

    @property
    def moments(self) -> list[Moment]:
        """Everything on one time line."""
        return timeline.timeline(self.cycle, self.alarms)


def models(site: Site) -> list[str]:
    """The models that have cycles or rollouts, by name."""
    with site.lineage() as store:
        looped = store.groups(ledger.GROUP) if store else []
    rolled = [file.parent.name for file in site.home.rollouts.glob("*/rollout.json")]
    return sorted({*looped, *rolled})


def of(site: Site, model: str) -> Found:
    """A model's loop.

    Raises:
        MissingError: It has none.
    """
    if model not in models(site):
        raise MissingError(f"{model!r} has no cycle and no rollout", fix="see the models at /loop")
    with site.lineage() as store:
        cycles = ledger.read(store, model).cycles[::-1] if store else []
    keeper = Keeper(site.home.rollouts / model)
    rollout = keeper.load()
    return Found(model, cycles, rollout, _settings(keeper) if rollout else None)


def _settings(keeper: Keeper) -> Delivery | None:
    try:
        return keeper.settings()
    except (TaxiwayError, OSError, ValueError):
        return None


def cycle(found: Found, name: str) -> Cycle:
    """A cycle of a model.

    Raises:
        MissingError: There is none with this id.
    """
    for each in found.cycles:
        if each.id == name:
            return each
    raise MissingError(f"{found.model} has no cycle {name!r}", fix=f"see its cycles at /loop/{found.model}")


def told(site: Site, each: Cycle) -> Told:
    """A cycle with its alarms, if their table can be read."""
    wanted: Sequence[Any] = each.trigger.facts.get("alarms", ())
    if not wanted:
        return Told(each)
    # Arrow is loaded only where there are alarms.
    tables, stores = import_module("components.reports.monitoring.alarms"), import_module("components.monitoring.store")
    place = str(each.settings.get("tables") or site.tables).rstrip("/")
    try:
        rows = tables.read(stores.Store(f"{place}/{each.model}"), filters=[("alarm", "in", list(wanted))])
    except (TaxiwayError, OSError):
        return Told(each)
    known = {row.alarm: row for row in rows}
    return Told(each, [known[name] for name in wanted if name in known])
