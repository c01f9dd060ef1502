"""`taxiway rollout`, as a process that is killed, and by hand."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from taxiway.delivery.keeper import Keeper
from tests.taxiway.delivery.conftest import Setup, Traffic
from tests.taxiway.delivery.test_with_proxy import shares

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """`start(*arguments)`: a process of `taxiway rollout`."""

    def run(*arguments: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "taxiway", "rollout", *map(str, arguments)]
        environment = {**os.environ, "TAXIWAY_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
        )

    return run


def output(process: subprocess.Popen[str], status: int = 0) -> str:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == status, said
    return said


def config(tmp_path: Path, given: dict[str, Any]) -> Path:
    file = tmp_path / "loop.yaml"
    file.write_text(yaml.safe_dump({"model": "taxi", "delivery": given}))
    return file


def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_that_is_killed_at_random_moments_goes_on(
    setup: Setup, traffic: Traffic, tmp_path: Path, start: Start
) -> None:
    traffic(setup.proxy, 150)
    file = config(tmp_path, setup.settings(20, 50, seconds=2))
    keeper, source = Keeper(tmp_path / "home" / "loop" / "rollouts" / "taxi"), random.Random(5)
    arguments = ("start", "taxi", "--config", file, "--champion", 1, "--challenger", 2)
    steps = list[int]()
    for _ in range(4):
        process = start(*arguments)
        until(lambda: bool((found := keeper.load()) and found.since))
        time.sleep(source.uniform(0, 0.7))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        steps.append(keeper.require().step)
        shown = output(start("show", "taxi"))
        assert keeper.require().is_over or "nobody runs it; go on: taxiway rollout start taxi" in shown
    said = output(start(*arguments))
    assert "promoted  every step was a success" in said
    assert steps == sorted(steps)
    assert shares(setup.admin) == {"stable": 0.0, "canary": 100.0}
    assert keeper.require().settled and not list((keeper.folder / "said").glob("*"))


def test_start_show_approve_and_abort(setup: Setup, traffic: Traffic, tmp_path: Path, start: Start) -> None:
    traffic(setup.proxy, 150)
    given = setup.settings(20, 50)
    given["steps"][0]["approval"] = True
    given["steps"][1]["least_time"] = "60s"
    arguments = ("start", "taxi", "--config", config(tmp_path, given), "--champion", 1, "--challenger", 2)
    running = start(*arguments)
    keeper = Keeper(tmp_path / "home" / "loop" / "rollouts" / "taxi")
    until(lambda: bool((found := keeper.load()) and found.state == "paused"))
    shown = output(start("show", "taxi"))
    assert "taxi 1 -> 2  paused  waits for a person's approval at 20 %" in shown
    assert "success      errors: 0.00 % of the challenger's requests failed" in shown
    assert json.loads(output(start("show", "taxi", "--json")))["state"] == "paused"
    refused = output(start(*arguments), status=2)
    assert "another process runs the rollout of 'taxi'" in refused
    assert output(start("approve", "taxi", "--by", "ana", "--reason", "fine")) == "approved\n"
    until(lambda: keeper.require().step == 1)
    assert "the rollout ends within a second" in output(start("abort", "taxi", "--by", "ana", "--reason", "wrong"))
    said = output(running, status=3)
    assert "rolled_back  ana took it back: wrong" in said
    assert shares(setup.admin) == {"stable": 100.0, "canary": 0.0}
    assert "is over: rolled_back" in output(start("approve", "taxi"), status=2)
    assert "approved by ana" in output(start("show", "taxi"))


def test_abort_gives_the_champion_everything_though_nobody_runs_the_rollout(
    setup: Setup, traffic: Traffic, tmp_path: Path, start: Start
) -> None:
    file = config(tmp_path, setup.settings(20))
    process = start("start", "taxi", "--config", file, "--champion", 1, "--challenger", 2)
    until(lambda: shares(setup.admin)["canary"] == 20)
    process.kill()
    process.communicate()
    assert shares(setup.admin)["canary"] == 20
    assert "took it back: no reason given" in output(start("abort", "taxi"))
    assert shares(setup.admin) == {"stable": 100.0, "canary": 0.0}


def test_bad_arguments(tmp_path: Path, start: Start) -> None:
    assert "fix: give the settings of a new rollout: --config" in output(start("start", "taxi"), status=2)
    assert "there is no rollout of 'taxi'" in output(start("show", "taxi"), status=2)
    assert "is no model's name" in output(start("show", "../taxi"), status=2)
    file = config(tmp_path, {"weights": {"route": "http://127.0.0.1:9"}})
    assert "give --champion and --challenger, or delivery.destination" in output(
        start("start", "taxi", "--config", file), status=2
    )
    same = output(start("start", "taxi", "--config", file, "--champion", 1, "--challenger", 1), status=2)
    assert "version 1 of 'taxi' serves already" in same
    away = output(start("start", "taxi", "--config", file, "--champion", 1, "--challenger", 2), status=1)
    assert "the proxy's admin API at http://127.0.0.1:9 does not answer" in away
