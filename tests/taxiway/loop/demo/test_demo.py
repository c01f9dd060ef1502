"""`make loop-demo`, also with the loop and the monitor killed on the way."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from taxiway.lineage.loop.cycle import State
from taxiway.lineage.loop.ledger import read
from taxiway.loop.demo import __main__ as demo
from taxiway.loop.demo import trips
from taxiway.loop.demo.ground import MODEL, PIPELINE, Ground
from taxiway.loop.demo.servers import Watched
from tests.pipelines.project import Project, make_project

KILLS = 20


@pytest.fixture
def project(tmp_path: Path, taxi_csv: Path) -> Project:
    return make_project(tmp_path, taxi_csv)


def test_the_new_app_writes_payment_types_in_another_way_only() -> None:
    trip = {"payment_type": "Credit Card", "company": "Blue Ribbon", "fare": "5"}
    assert trips.changed(trip) == {**trip, "payment_type": "credit_card"}


@pytest.mark.parametrize(
    ("probability", "tips", "right"), [(0.9, "2", True), (0.9, "1", False), (0.1, "", True), (0.1, "2", False)]
)
def test_a_tip_of_more_than_a_fifth_is_what_the_model_tells(probability: float, tips: str, right: bool) -> None:
    assert trips.is_right(probability, {"tips": tips, "fare": "5"}) is right


@pytest.mark.timeout(900)
@pytest.mark.faults
def test_the_demo_ends_with_a_better_version_and_why_it_serves(project: Project) -> None:
    """With a person's approval, which the demo gives."""
    ended = subprocess.run(
        [sys.executable, "-m", "taxiway.loop.demo", "--approve", "auto"],
        cwd=project.folder,
        env=project.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    line = ended.stdout.partition("The time line")[2]
    titles = re.findall(r"^  \d\d:\d\d:\d\d  (.*?)  ", line, re.MULTILINE)
    wanted = ["alarm", "retraining", "judged better", "rollout", "waits for approval", "promoted", "alarm closed"]
    assert list(dict.fromkeys(each for each in titles if each in wanted)) == wanted
    for words in (
        "never seen in training",
        "approved: right more often (by ",
        "better: on recent rows",
        "taxiway lineage ",
        "10 % of the traffic",
    ):
        assert words in ended.stdout
    assert not (project.folder / "served").exists()


@pytest.mark.timeout(1200)
@pytest.mark.faults
def test_killed_at_twenty_points_it_ends_promoted_after_one_retraining(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    for name, value in project.variables().items():
        monkeypatch.setenv(name, value)
    ground, told = Ground(Path(project.home) / "loop-demo"), io.StringIO()
    demo.play(Console(file=told, width=120), ground, watched=Killed)
    [cycle] = read(ground.lineage(), MODEL).cycles
    assert cycle.state == State.PROMOTED, told.getvalue()
    assert Killed.kills == KILLS
    runs = [json.loads(file.read_text()) for file in ground.home.runs.glob(f"{PIPELINE.replace('_', '-')}-*/run.json")]
    assert [run["state"] for run in runs] == ["SUCCEEDED"]
    assert len(list(ground.served.glob("[0-9]*"))) == 2


class Killed(Watched):
    """The monitor and the loop, one of which is killed every few seconds and started again."""

    kills = 0
    _next = 0.0
    _chance = random.Random(1)

    def check(self) -> None:
        """Kills, if it is time."""
        if Killed.kills < KILLS and time.monotonic() >= Killed._next:
            name = "loop" if Killed.kills % 3 else "monitor"
            os.kill(self.processes[name].pid, signal.SIGKILL)
            self.processes[name].wait()
            self.start(name)
            Killed.kills += 1
            Killed._next = time.monotonic() + Killed._chance.uniform(3, 7)
        super().check()
