"""A bandit with a real proxy, and the honest estimate afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from components.contract.errors import ServiceError, UserError
from components.experiments.bandits import ipw
from components.monitoring.store import Store
from taxiway.cli import app
from taxiway.experiments import tables
from taxiway.experiments.bandits import bandit, proxy
from taxiway.experiments.bandits.bandit import Policy
from taxiway.experiments.look import look
from taxiway.experiments.settings import parsed
from tests.taxiway.experiments.written import START, World, write
from tests.taxiway.small_servers import Running, running

NOW = START + timedelta(days=9)
ROUTE = ["taxiway", "route", "--model", "taxi", "--backend", "127.0.0.1:1", "--split", "stable=50,canary=50"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write(tmp_path_factory.mktemp("world"), rates=(0.1, 0.3), requests=1200, users=600)


@pytest.fixture
def route(tmp_path: Path) -> Iterator[Running]:
    ports = ["--listen-port", "0", "--rest-port", "0", "--admin-port", "0"]
    with running(tmp_path / "proxy", *ROUTE, *ports) as started:
        yield started


def admin(route: Running) -> str:
    return f"http://{route.addresses[2]}"


def given(world: World, name: str, **more: Any) -> tuple[Any, Store]:
    return parsed(world.settings(name=name, **more), "e"), Store(str(world.root / "taxi"))


@pytest.mark.parametrize("policy", bandit.POLICIES)
def test_every_policy_prefers_the_better_arm_and_keeps_the_floor(world: World, policy: str) -> None:
    experiment, store = given(world, "dry")
    turn = bandit.turn(experiment, store, Policy(policy, floor=0.1), NOW)
    assert turn.weights["canary"] > 0.8 and turn.weights["stable"] >= 0.1
    assert sum(turn.weights.values()) == pytest.approx(1)
    assert tables.rows(store, tables.WEIGHTS, "dry") == []


def test_less_is_better_turns_the_weights_around(world: World) -> None:
    metric = {"name": "tipped", "kind": "proportion", "column": "tips", "goal": "down"}
    turn = bandit.turn(*given(world, "down", metrics=[metric]), Policy(), NOW)
    assert turn.weights["stable"] > 0.9


def test_rewards_that_may_still_come_do_not_count(world: World) -> None:
    experiment, store = given(world, "early")
    turn = bandit.turn(experiment, store, Policy(), START + timedelta(hours=20))
    assert turn.units == {"stable": 0, "canary": 0}
    assert turn.weights == pytest.approx({"stable": 0.5, "canary": 0.5})


def test_the_command_moves_the_weights_of_a_real_proxy(world: World, route: Running, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(world.settings(name="moved")))
    line = ["experiment", "bandit", str(file), "--tables", str(world.root), "--admin", admin(route)]
    dry = CliRunner().invoke(app, [*line, "--dry-run"])
    assert proxy.read(admin(route), "taxi") == {"stable": 50, "canary": 50}
    found = CliRunner().invoke(app, line)
    assert found.exit_code == 0, found.output
    assert dry.output == found.output and "canary 9" in found.output
    weights = proxy.read(admin(route), "taxi")
    assert weights["canary"] > 0.9 and weights["stable"] == pytest.approx(0.05, abs=0.01)
    ((start, written),) = tables.steps(Store(str(world.root / "taxi")), "moved")
    assert written == pytest.approx(weights) and start.tzinfo


def test_a_proxy_that_is_away_is_told_of_once_and_the_log_says_what_it_has(world: World, route: Running) -> None:
    experiment, store = given(world, "away")
    urls = [admin(route), "http://127.0.0.1:1"]
    with pytest.raises(ServiceError, match="does not answer"):
        bandit.step(experiment, store, Policy(), urls, NOW)
    assert [row["reason"] for row in tables.rows(store, tables.WEIGHTS, "away")][1:] == [
        "the proxy did not take the weights"
    ]
    told, stopped, turns = list[str](), threading.Event(), 0

    def failing() -> bandit.Turn:
        nonlocal turns
        turns += 1
        if turns == 3:
            stopped.set()
        raise ServiceError("away", fix="start it")

    bandit.run(failing, timedelta(milliseconds=1), told.append, stopped)
    assert turns == 3 and len(told) == 1


def test_arms_that_are_no_targets_and_floors_without_room_are_refused(world: World) -> None:
    experiment, _ = given(world, "refused")
    labels = {name: replace(arm, target="", label=name) for name, arm in experiment.arms.items()}
    with pytest.raises(UserError, match="is no target of a proxy"):
        bandit.require(replace(experiment, arms=labels), Policy())
    with pytest.raises(UserError, match="leaves nothing to share"):
        bandit.require(experiment, Policy(floor=0.5))


def test_after_a_bandit_units_count_by_their_probability(tmp_path: Path) -> None:
    chance, n, moved = np.random.default_rng(3), 6000, START + timedelta(days=2)
    seconds = np.sort(chance.uniform(0, 4 * 86_400, n)).round(6)
    is_late = seconds >= 2 * 86_400
    arm = (chance.random(n) < np.where(is_late, 0.9, 0.5)).astype(int)
    # Everything is better later, when most units have the treatment; the arms are the same.
    reward = chance.normal(np.where(is_late, 2.0, 1.0), 1.0)
    columns = {
        "time": [START + timedelta(seconds=float(each)) for each in seconds],
        "target": [("stable", "canary")[each] for each in arm],
        "input_reward": reward,
    }
    world = write(tmp_path, requests=n, columns=columns)
    metric = {"name": "reward", "kind": "mean", "column": "reward"}
    experiment, store = given(world, "over", unit="request", window="0s", outcomes=[], metrics=[metric])
    row = {"experiment": "over", "time": moved, "weights": '{"stable": 0.1, "canary": 0.9}', "policy": "thompson"}
    tables.append(store, tables.WEIGHTS, {**row, "reason": ""})
    found = look(experiment, store, datetime(2026, 11, 8, tzinfo=UTC))
    each = found.found[0]
    shares = np.where(is_late[:, None], [0.1, 0.9], [0.5, 0.5])
    expected = ipw.difference(ipw.Log(arm, shares, reward), 0, 1)
    assert (each.difference, each.low) == pytest.approx((expected.value, expected.low), rel=1e-6)
    plain = reward[arm == 1].mean() - reward[arm == 0].mean()
    assert abs(each.difference) < 0.1 < plain
    assert found.courses == [] and any(check.name == "Bandit" for check in found.checks)
