"""Runs a rollout: looks at the evidence every second, decides, saves, and writes the weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from components.contract.errors import TaxiwayError
from taxiway.delivery.advance import Evidence, advance, placed
from taxiway.delivery.rollout import PROMOTED, Rollout
from taxiway.delivery.settings import BLUE_GREEN, Delivery
from taxiway.delivery.weights.ways import Weights

Save = Callable[[Rollout], None]
"""Keeps a rollout; it is called before weights or labels are changed, so that a kill loses nothing."""

EVERY_SECONDS = 1.0


class Witness(Protocol):
    """What gathers evidence."""

    def look(self, rollout: Rollout, now: datetime) -> tuple[Mapping[str, Any], Evidence]:
        """The evidence of the rollout including what is new, as it is kept and as it is read."""


class Labels(Protocol):
    """What moves the labels of versions; each call may be repeated."""

    def begin(self, rollout: Rollout) -> None:
        """Labels the challenger `canary`."""

    def promote(self, rollout: Rollout) -> None:
        """Moves the label `stable` to the challenger."""

    def clear(self, rollout: Rollout) -> None:
        """Removes the label `canary`."""


@dataclass(frozen=True)
class Places:
    """What a rollout deals with.

    Attributes:
        weights: Where the weights are.
        witness: What gathers evidence.
        labels: What moves labels; None if they are not Taxiway's business.
    """

    weights: Weights
    witness: Witness
    labels: Labels | None = None


def wanted(rollout: Rollout, settings: Delivery, *, with_labels: bool) -> float:
    """The share of the traffic, in percent, that the challenger's target should have."""
    if rollout.state == PROMOTED:
        # The label of the champion's target now stands for the challenger, unless targets are servers.
        return 0.0 if with_labels and settings.strategy != BLUE_GREEN else 100.0
    return 0.0 if rollout.is_over else settings.steps[rollout.step].weight


def tick(rollout: Rollout, settings: Delivery, places: Places, now: datetime, save: Save) -> Rollout:
    """The rollout after one look. What cannot be reached is told in `trouble`, and tried again by the next call."""
    after, trouble = rollout, ""
    if not rollout.is_over:
        gathered, evidence = places.witness.look(rollout, now)
        after, trouble = advance(replace(rollout, gathered=gathered), evidence, now, settings), evidence.trouble
    if after != rollout:
        save(after)
    try:
        settled = _settled(after, settings, places, now)
    except TaxiwayError as error:
        settled, trouble = after, str(error)
    settled = replace(settled, trouble=trouble)
    if settled != after:
        save(settled)
    return settled


def _settled(rollout: Rollout, settings: Delivery, places: Places, now: datetime) -> Rollout:
    """The rollout once the weights and labels are as its state wants them."""
    if rollout.is_over:
        return rollout if rollout.settled else _ended(rollout, settings, places)
    share = wanted(rollout, settings, with_labels=places.labels is not None)
    if rollout.since is None:
        if places.labels and rollout.step == 0:
            places.labels.begin(rollout)
        places.weights.require(rollout.champion, rollout.challenger)
        places.weights.write(share)
        return placed(rollout, now, settings)
    # The weights of a proxy that has restarted are those of its settings.
    if places.weights.read() != share:
        places.weights.write(share)
    return rollout


def _ended(rollout: Rollout, settings: Delivery, places: Places) -> Rollout:
    share = wanted(rollout, settings, with_labels=places.labels is not None)
    if rollout.state == PROMOTED and places.labels:
        places.labels.promote(rollout)
        # Until the server knows the label's new version, the challenger's target answers.
        places.weights.require(rollout.challenger, None)
    places.weights.write(share)
    if places.labels:
        places.labels.clear(rollout)
    return replace(rollout, settled=True)


def run(
    rollout: Rollout,
    settings: Delivery,
    places: Places,
    save: Save,
    *,
    commands: Callable[[Rollout, datetime], Rollout] = lambda rollout, now: rollout,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    wait: Callable[[float], object] = time.sleep,
) -> Rollout:
    """Runs a rollout to its end.

    Args:
        rollout: The rollout; one that was killed goes on from where it was saved.
        settings: Its settings.
        places: What it deals with.
        save: Keeps it.
        commands: Applies what persons have said since the last call: approvals, and taking back.
        clock: The time.
        wait: Waits for so many seconds.
    """
    while not (rollout.is_over and rollout.settled):
        now = clock()
        rollout = tick(commands(rollout, now), settings, places, now, save)
        if not (rollout.is_over and rollout.settled):
            wait(EVERY_SECONDS)
    return rollout
