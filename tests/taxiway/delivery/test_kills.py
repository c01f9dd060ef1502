"""A rollout that is killed anywhere goes on from where it was, with a clock of numbers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.contract.errors import ServiceError
from taxiway.delivery.advance import Evidence
from taxiway.delivery.rollout import FAILURE, PROMOTED, ROLLED_BACK, SUCCESS, Reading, Rollout, begun, from_json
from taxiway.delivery.run import Places, run
from taxiway.delivery.settings import Delivery, Step, Weights

START = datetime(2026, 11, 28, 9, tzinfo=UTC)
SETTINGS = Delivery(
    Weights(route=("http://127.0.0.1:8602",)),
    steps=(
        Step(5, timedelta(seconds=3), 30),
        Step(50, timedelta(seconds=3), 30),
        Step(100, timedelta(seconds=2), 0),
    ),
)


class KilledError(Exception):
    pass


@dataclass
class World:
    """Everything that stays when the process is killed, and a process that dies at its n-th act.

    A kill comes before or after an act: between two acts nothing can be lost.
    """

    fails_from: int = 10_000
    dies_at: int = 0
    saved: str = ""
    share: float = 0.0
    labels: dict[str, int] = field(default_factory=lambda: {"stable": 1})
    clock: datetime = START
    acts: int = 0
    away: bool = False
    shares: list[float] = field(default_factory=list)

    def act(self) -> None:
        self.acts += 1
        if self.acts == self.dies_at:
            raise KilledError

    # Places

    def save(self, rollout: Rollout) -> None:
        self.act()
        self.saved = rollout.to_json()

    def read(self) -> float | None:
        if self.away:
            raise ServiceError("the proxy does not answer")
        return self.share

    def write(self, share: float) -> None:
        self.act()
        if self.away:
            raise ServiceError("the proxy does not answer")
        self.share = share
        self.shares.append(share)

    def require(self, champion: int, challenger: int | None) -> None:
        if challenger is not None and self.labels.get("canary") != challenger:
            raise ServiceError("the canary does not answer")

    def begin(self, rollout: Rollout) -> None:
        self.act()
        self.labels["canary"] = rollout.challenger

    def promote(self, rollout: Rollout) -> None:
        self.act()
        self.labels["stable"] = rollout.challenger

    def clear(self, rollout: Rollout) -> None:
        self.act()
        self.labels.pop("canary", None)

    def look(self, rollout: Rollout, now: datetime) -> tuple[Mapping[str, Any], Evidence]:
        """Ten requests a second at any share above 0."""
        if rollout.since is None:
            return rollout.gathered, Evidence()
        known = dict(rollout.gathered)
        if known.get("step") != rollout.step:
            known = {"step": rollout.step, "requests": 0}
        known["requests"] += 10
        failed = (now - START).total_seconds() >= self.fails_from
        reading = Reading("errors", FAILURE if failed else SUCCESS, "errors: too many")
        return known, Evidence([reading], known["requests"], now)

    # The process

    def process(self) -> Rollout:
        rollout = from_json(self.saved) if self.saved else begun("taxi", 1, 2, START)
        places = Places(weights=self, witness=self, labels=self)
        return run(rollout, SETTINGS, places, self.save, clock=lambda: self.clock, wait=self.wait)

    def wait(self, seconds: float) -> None:
        self.clock += timedelta(seconds=seconds)

    def to_the_end(self, kills: random.Random | None = None) -> Rollout:
        while True:
            try:
                return self.process()
            except KilledError:
                self.clock += timedelta(seconds=1)
                self.dies_at = self.acts + kills.randint(1, 6) if kills else 0


def ends(world: World) -> tuple[str, float, dict[str, int]]:
    rollout = from_json(world.saved)
    assert rollout.settled
    return rollout.state, world.share, world.labels


@pytest.mark.parametrize(
    ("fails_from", "state", "stable"), [(10_000, PROMOTED, 2), (5, ROLLED_BACK, 1), (0, ROLLED_BACK, 1)]
)
def test_a_kill_at_each_act_changes_nothing(fails_from: int, state: str, stable: int) -> None:
    whole = World(fails_from)
    whole.to_the_end()
    wanted = (state, 0.0, {"stable": stable})
    assert ends(whole) == wanted and whole.acts > 4
    for act in range(1, whole.acts + 1):
        world = World(fails_from, dies_at=act)
        world.to_the_end()
        assert ends(world) == wanted, f"killed at act {act}"
        # No step is left out, and none is taken twice after a later one.
        order = [share for share in world.shares if share]
        assert order == sorted(order)


def test_kills_at_random_moments() -> None:
    for seed in range(100):
        source = random.Random(seed)
        world = World(source.choice([10_000, 3, 5, 8]), dies_at=source.randint(1, 6))
        rollout = world.to_the_end(source)
        stable = 2 if rollout.state == PROMOTED else 1
        assert ends(world) == (rollout.state, 0.0, {"stable": stable})


def test_a_place_that_is_away_is_tried_again_until_the_champion_has_everything() -> None:
    world = World(fails_from=5)
    original = world.wait

    def wait(seconds: float) -> None:
        original(seconds)
        world.away = 5 <= (world.clock - START).total_seconds() < 60

    world.wait = wait  # type: ignore[method-assign]
    rollout = world.process()
    assert ends(world) == (ROLLED_BACK, 0.0, {"stable": 1})
    assert rollout.ended == START + timedelta(seconds=5)
    assert (world.clock - START).total_seconds() == 60


def test_weights_that_others_change_are_written_again() -> None:
    world = World()
    original = world.wait

    def wait(seconds: float) -> None:
        original(seconds)
        if world.clock == START + timedelta(seconds=2):
            world.share = 0.0

    world.wait = wait  # type: ignore[method-assign]
    world.process()
    assert world.shares[:2] == [5.0, 5.0]


def test_the_state_is_saved_before_the_weights_are_written() -> None:
    """At each write, what is saved wants that share already, so that whoever goes on writes the same."""
    world = World()
    wanted = list[tuple[str, int]]()
    original = world.write

    def write(share: float) -> None:
        rollout = from_json(world.saved) if world.saved else None
        wanted.append((rollout.state, rollout.step) if rollout else ("", 0))
        original(share)

    world.write = write  # type: ignore[method-assign]
    world.process()
    assert wanted == [("", 0), ("running", 1), ("running", 2), ("promoted", 2)]
