"""Delivers a version: a rollout with everything that its settings name, from its start to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.monitoring.store import Store
from taxiway.delivery import settings as delivery_settings
from taxiway.delivery.evidence.proxy import ProxyWitness
from taxiway.delivery.evidence.tables import Rows
from taxiway.delivery.evidence.witness import DeliveryWitness
from taxiway.delivery.keeper import Keeper
from taxiway.delivery.labels import FileLabels
from taxiway.delivery.rollout import Rollout, begun
from taxiway.delivery.run import Places, run, tick
from taxiway.delivery.settings import BLUE_GREEN, Delivery
from taxiway.delivery.weights import ways

Told = Callable[[Rollout], object]
"""Gets the rollout after every change of its state, its step or its reason."""


def labels_of(settings: Delivery) -> FileLabels | None:
    """What moves the labels; None if the settings name no destination, or the targets are servers."""
    if not settings.destination or settings.strategy == BLUE_GREEN:
        return None
    return FileLabels(settings.destination, Path(settings.config) if settings.config else None)


def places_of(settings: Delivery, rollout: Rollout) -> Places:
    """What a rollout deals with."""
    targets = (settings.champion, settings.challenger)
    proxies = ProxyWitness(settings.weights.route, rollout.model, *targets) if settings.evidence == "route" else None
    store = Store(f"{settings.tables.rstrip('/')}/{rollout.model}") if settings.tables else None
    rows = Rows(store, rollout.champion, rollout.challenger, targets) if store else None
    witness = DeliveryWitness(settings, proxies, rows, in_background=True)
    return Places(ways.of(settings, rollout.model), witness, labels_of(settings))


@dataclass
class Session:
    """A rollout in this process: `tick` it every second until `is_done`, with the keeper's lock held.

    Attributes:
        keeper: Keeps the rollout.
        rollout: The rollout.
        settings: Its settings.
        places: What it deals with.
        told: Gets it after every change.
    """

    keeper: Keeper
    rollout: Rollout
    settings: Delivery
    places: Places
    told: Told = lambda rollout: None

    @property
    def is_done(self) -> bool:
        """Whether it is over, and the weights and labels are as they should be."""
        return self.rollout.is_over and self.rollout.settled

    def tick(self, now: datetime) -> Rollout:
        """The rollout after a look at the evidence, and at what persons have said."""
        said = self.keeper.said(self.rollout, now)
        self._take(tick(said, self.settings, self.places, now, self.keeper.save))
        return self.rollout

    def run(self) -> Rollout:
        """Ticks to the end."""
        save, said = self.keeper.save, self.keeper.said

        def saved(rollout: Rollout) -> None:
            save(rollout)
            self._take(rollout)

        return run(self.rollout, self.settings, self.places, saved, commands=said)

    def _take(self, rollout: Rollout) -> None:
        last, self.rollout = self.rollout, rollout
        if _news(last) != _news(rollout):
            self.told(rollout)


def _news(rollout: Rollout) -> tuple[Any, ...]:
    return (rollout.state, rollout.step, rollout.since, rollout.settled, rollout.trouble)


def started(
    keeper: Keeper, champion: int, challenger: int, given: Any, *, id: str = "", told: Told = lambda rollout: None
) -> Session:
    """A new rollout; with the id of one that was begun before, that one.

    Args:
        keeper: Keeps the rollout; the caller holds its lock.
        champion: The version that serves.
        challenger: The version to try.
        given: The settings, as `delivery_settings.parsed` takes them.
        id: A name for the rollout; empty for a new one.
        told: Gets the rollout after every change.

    Raises:
        UserError: Another rollout of the model is not over, the settings are wrong, the weights' place has no such
            targets, or the challenger cannot get its label.
        ServiceError: The place of the weights does not answer.
    """
    settings = delivery_settings.parsed(given)
    last = keeper.load()
    if last and last.id == id:
        return going_on(keeper, told)
    # Nothing is begun that cannot be carried out.
    ways.of(settings, keeper.model).read()
    if labels := labels_of(settings):
        labels.begin(begun(keeper.model, champion, challenger, datetime.now(UTC)))
    rollout = keeper.begin(champion, challenger, given, datetime.now(UTC), id)
    return _session(keeper, rollout, settings, told)


def going_on(keeper: Keeper, told: Told = lambda rollout: None) -> Session:
    """The rollout that was begun before; raises UserError if there is none."""
    return _session(keeper, keeper.require(), keeper.settings(), told)


def _session(keeper: Keeper, rollout: Rollout, settings: Delivery, told: Told) -> Session:
    return Session(keeper, rollout, settings, places_of(settings, rollout), told)
