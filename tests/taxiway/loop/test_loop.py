"""A whole loop over real tables, a real lineage store and real runs of a quick pipeline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta

import psutil
import pytest

from components.contract.errors import ServiceError
from taxiway.lineage import chain, tree
from taxiway.lineage.loop import cycles
from taxiway.lineage.loop.cycle import Event, State
from taxiway.lineage.store import LineageStore
from taxiway.loop import people
from taxiway.loop.loop import Ticked
from taxiway.loop.run import Running
from taxiway.loop.telling import Telling
from tests.taxiway.alerts.receivers import Receiver, receiver
from tests.taxiway.loop.conftest import MINUTE, NOW, Site, ended, until

BEGUN, OVER = "2026-01-05T00:00:00+00:00", "2026-01-05T01:00:00+00:00"


LOCKED = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


class Told:
    """Keeps what a loop says."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.ticks: list[Ticked] = []
        self.is_waiting = threading.Event()
        self.port = 0

    def waiting(self) -> None:
        self.is_waiting.set()

    def listening(self, port: int) -> None:
        self.port = port

    def ticked(self, ticked: Ticked) -> None:
        self.ticks.append(ticked)

    def failed(self, error: str) -> None:
        self.errors.append(error)

    def receiver(self, way: str, error: str) -> None:
        self.errors.append(f"{way}: {error}")


def test_an_alarm_retrains_once_on_its_window(drifted: Site) -> None:
    loop = drifted.loop()
    cycle = ended(loop)
    waiting, retraining, judged, promoted = State.WAITING, State.RETRAINING, State.JUDGED, State.PROMOTED
    assert [event.state for event in cycle.events] == [waiting, retraining, retraining, judged, promoted]
    assert (
        cycle.reason == "version 1; servers load it from where it was pushed, as there is no delivery in the settings"
    )
    assert cycle.events[0].reason == f"alarm {drifted.watch.alarms[0].alarm}: {drifted.watch.alarms[0].sentence}"
    assert cycle.events[3].reason == "version 1 was pushed: better by 0.02"
    assert drifted.pushes == [f"{BEGUN} {OVER}"]
    assert loop.tick(NOW + 100_000 * MINUTE).taken == []
    assert len(drifted.cycles) == 1


def test_a_worse_model_is_not_pushed_and_the_reason_is_kept(drifted: Site) -> None:
    cycle = ended(drifted.loop(parameters={"blessed": "0", "reason": "worse by 0.1"}))
    assert (cycle.state, cycle.reason) == (State.NOTHING_PUSHED, "worse by 0.1")
    assert drifted.pushes == []


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_a_run_that_fails_is_told_once_and_cools_down(drifted: Site, hook: Receiver) -> None:
    alerts = {"webhooks": [{"url": hook.url}]}
    loop = drifted.loop(parameters={"blessed": "fail"}, alerts=alerts, cool_down="1h", triggers=[{"alarm": {}}])
    cycle = ended(loop)
    assert cycle.state == State.FAILED
    assert cycle.reason.startswith(f"the run {cycle.facts['run']} failed: ")
    assert "no space left on device" in cycle.reason
    for _ in range(2):
        Telling(lambda way, error: pytest.fail(error)).tell(loop, NOW, is_news=True, waits=True)
    [body] = hook.bodies
    assert body["event"] == "opened"
    assert "no space left on device" in body["text"]
    people.ask(loop.lineage, "taxi", by="ana", reason="space is there", now=NOW, start=None, end=None)
    loop.settings = drifted.loop().settings
    assert ended(loop, NOW + MINUTE).trigger.reason == "ana asked for it: space is there"


def test_a_good_end_is_told_as_closed(drifted: Site, hook: Receiver) -> None:
    loop = drifted.loop(alerts={"webhooks": [{"url": hook.url}]})
    ended(loop)
    Telling(lambda way, error: pytest.fail(error)).tell(loop, NOW, is_news=True, waits=True)
    assert [(body["event"], body["alarms"][0]["column"]) for body in hook.bodies] == [("closed", "promoted")]


def test_a_pipeline_that_is_refused_fails_the_cycle(drifted: Site) -> None:
    cycle = ended(drifted.loop(parameters={"colour": "red"}))
    assert cycle.state == State.FAILED
    assert "the pipeline quick has no parameter 'colour'" in cycle.reason


def test_the_cycle_keeps_the_settings_it_began_with(drifted: Site) -> None:
    file, told = drifted.file(), Told()
    running = Running(file, drifted.home, told)
    with running.alone():
        running.once(NOW)
        drifted.file(parameters={"window_start": "wrong"}, pipeline="gone")
        until(lambda: running.once(NOW) and drifted.cycles[0].is_over)
        assert drifted.pushes == [f"{BEGUN} {OVER}"]
        file.write_text("model: [")
        running.once(NOW)
    assert len(told.errors) == 1
    assert told.errors[0].endswith("the settings of before are kept")


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(drifted: Site) -> None:
    loop = drifted.loop(quiet_hours=["00:00-24:00"])
    before = [entry.name for entry in loop.lineage.entries(("loop", "taxi"))]
    [found] = loop.dry(NOW)
    assert found.seen.says.startswith("alarm ")
    assert found.why_not == "quiet hours: 00:00-24:00 (UTC), and it is Mon 02:00"
    [found] = drifted.loop().dry(NOW)
    assert found.begins
    assert [entry.name for entry in loop.lineage.entries(("loop", "taxi"))] == before == []


def _children(site: Site) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if "--run-id" in (each.info["cmdline"] or []) and str(site.folder) in str(each.info)]


def test_a_run_that_is_killed_goes_on_under_another_id(drifted: Site) -> None:
    loop = drifted.loop(parameters={"pause": "30"})
    loop.tick(NOW)
    [child] = until(lambda: _children(drifted))
    until(lambda: list(drifted.home.runs.glob("*/run.json")))
    os.killpg(child.pid, signal.SIGKILL)
    until(lambda: loop.tick(NOW).taken)
    assert drifted.cycles[0].reason.endswith("begins, attempt 2")
    for each in until(lambda: _children(drifted)):
        os.killpg(each.pid, signal.SIGKILL)


def test_of_two_loops_on_a_machine_the_second_waits(drifted: Site) -> None:
    first, second = (Running(drifted.file(), drifted.home, Told()) for _ in range(2))
    stopped = threading.Event()
    thread = threading.Thread(target=second.every, args=(timedelta(seconds=1), stopped))
    with first.alone():
        thread.start()
        assert second.teller.is_waiting.wait(30)
        assert second.teller.ticks == []
        stopped.set()
    thread.join()


def test_two_loops_on_two_machines_retrain_once(drifted: Site) -> None:
    """They share the lineage store, and each takes the steps that the other has not taken."""
    loops = [drifted.loop() for _ in range(2)]
    known = [loop.dry(NOW) for loop in loops]
    assert all(found.begins for [found] in known)
    threads = [threading.Thread(target=ended, args=(loop,)) for loop in (drifted.loop(), drifted.loop())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [cycle] = drifted.cycles
    assert cycle.state == State.PROMOTED
    assert drifted.pushes == [f"{BEGUN} {OVER}"]
    assert len(list(drifted.home.runs.iterdir())) == 1


def test_a_lineage_store_that_is_locked_keeps_the_loop_waiting(drifted: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    running = Running(drifted.file(), drifted.home, told)
    ended(drifted.loop())
    loop = running._current()
    loop.lineage = LineageStore.open(drifted.home.lineage, delays=(0.01,))
    people.ask(drifted.lineage, "taxi", by="ana", reason="", now=NOW, start=None, end=None)
    # Locks of one process do not keep itself out.
    command = [sys.executable, "-c", LOCKED, drifted.home.lineage]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locking:
        assert locking.stdout and locking.stdout.readline()
        with pytest.raises(ServiceError, match=r"the lineage store .* failed"):
            running.once(NOW)
        locking.communicate()
    until(lambda: running.once(NOW) and len(drifted.cycles) == 2 and drifted.cycles[0].is_over)


def test_the_lineage_says_why_a_version_serves(drifted: Site) -> None:
    cycle = ended(drifted.loop())
    record = [
        {"digest": "sha256:1", "type": "PushedModel", "stage": "push", "inputs": {}, "parameters": {}, "created": ""}
    ]
    place = drifted.served / "1"
    (place / "provenance.json").write_text(json.dumps(record))
    found = chain.trace(str(place), store=drifted.lineage)
    lines = tree.origins(found)["why"]
    assert lines[0] == f"{cycle.id}, promoted"
    assert lines[1] == f"  2026-01-05T02:00:00+00:00 waiting: {cycle.trigger.reason}"
    assert lines[-2].endswith("judged: version 1 was pushed: better by 0.02")
    [document] = json.loads(chain.to_json(found))["cycles"]
    assert (document["id"], document["state"], document["facts"]["version"]) == (cycle.id, "promoted", 1)
    assert [step["by"] for step in document["steps"]] == ["the loop"] * 5


def test_the_version_that_serves_is_the_stable_one_else_the_latest_that_was_not_taken_back(drifted: Site) -> None:
    loop = drifted.loop()
    for version in ("1", "2", "3"):
        (drifted.served / version).mkdir()
        (drifted.served / version / "saved_model.pb").touch()
    world, settings, pushed = loop.world, loop.settings, f"{drifted.served}/3"
    assert world.serving(pushed, settings) == 2
    trigger = loop.dry(NOW)[0].begins
    assert trigger
    cycle = cycles.begin(loop.lineage, "taxi", trigger, settings.given, (), now=NOW)
    assert cycle
    cycles.add(loop.lineage, cycle, Event(State.ROLLED_BACK, "", NOW, facts={"pushed": f"{drifted.served}/2"}))
    assert world.serving(pushed, settings) == 1
    config = f'name: "taxi" base_path: "{drifted.served}" version_labels {{ key: "stable" value: 3 }}'
    (drifted.served / "models.config").write_text(f"model_config_list {{ config {{ {config} }} }}")
    assert world.serving(pushed, settings) == 3
    assert loop._known(trigger).facts["champion"] == 3
