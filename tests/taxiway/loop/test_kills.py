"""A loop that is killed at any moment retrains once for each trigger, and goes on from where it was."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from taxiway.lineage.loop.cycle import State
from taxiway.lineage.store import LineageStore
from taxiway.loop import people
from taxiway.storage.home import Home
from tests.taxiway.delivery.conftest import Setup, Traffic
from tests.taxiway.loop.conftest import NOW, Site, until

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.taxiway.loop.test_kills"])
_EFFECTS = (("taxiway.lineage.store", "LineageStore", "claim"), ("taxiway.loop.runs.local", "LocalRuns", "start"))
_ROLLOUT = (("taxiway.delivery.keeper", "Keeper", "save"),)


def _run(file: Path, home: Path, dies_at: int = -1, effects: Any = ()) -> None:
    """A loop in a process of its own, which may die before or after one of its effects."""
    os.environ["TAXIWAY_HOME"] = str(home)
    os.environ.pop("TAXIWAY_LINEAGE", None)
    from taxiway.loop.printing import Printer
    from taxiway.loop.run import Running

    count = iter(range(1000))
    for module, kind, name in effects:
        _mortal(getattr(sys.modules[module], kind), name, lambda: next(count) == dies_at)
    import threading

    Running(file, Home(home), Printer(Console(quiet=True))).every(timedelta(seconds=0.05), threading.Event())


def _mortal(kind: type, name: str, dies: Callable[[], bool]) -> None:
    whole = getattr(kind, name)

    def call(*arguments: Any, **named: Any) -> Any:
        if dies():
            os.kill(os.getpid(), signal.SIGKILL)
        found = whole(*arguments, **named)
        if dies():
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(kind, name, call)


def _begun(site: Site, *arguments: Any) -> Any:
    process = _CONTEXT.Process(target=_run, args=(site.folder / "loop.yaml", site.home.root, *arguments), daemon=True)
    process.start()
    return process


def _ended(process: Any) -> None:
    process.kill()
    process.join()


def _runs(site: Site) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [each for each in found if "--run-id" in (each.info["cmdline"] or []) and str(site.folder) in str(each.info)]


def _killed(site: Site, chance: random.Random) -> None:
    """Kills the loop, and every third time its run as well."""
    process = _begun(site)
    time.sleep(chance.uniform(0.0, 1.5))
    _ended(process)
    if chance.random() < 1 / 3:
        for each in _runs(site):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)


def _asked(site: Site, count: int) -> list[str]:
    """Asks for retrainings on as many windows; returns what versions are trained on."""
    store, asked = LineageStore.open(site.home.lineage), []
    for number in range(count):
        start = NOW + number * timedelta(hours=1)
        end = start + timedelta(minutes=59)
        people.ask(store, "taxi", by="ana", reason=str(number), now=NOW, start=start, end=end)
        asked.append(f"{start.isoformat()} {end.isoformat()}")
    return asked


def _kills(site: Site, kills: int, triggers: int) -> None:
    site.file(triggers=[], parameters={"pause": "0.3"}, cool_down="0s")
    asked, chance = _asked(site, triggers), random.Random(0)
    for _ in range(kills):
        _killed(site, chance)
    process = _begun(site)
    try:
        until(lambda: len(site.cycles) == triggers and all(each.is_over for each in site.cycles), 240)
    finally:
        _ended(process)
    assert site.pushes == asked
    assert {each.state for each in site.cycles} == {State.PROMOTED}
    assert len({each.trigger.id for each in site.cycles}) == triggers


def test_ten_kills_leave_one_retraining_for_each_trigger(site: Site) -> None:
    _kills(site, 10, 2)


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_a_hundred_kills_leave_one_retraining_for_each_trigger(site: Site) -> None:
    _kills(site, 100, 20)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_killed_at_any_point_of_the_way_it_goes_on(site: Site, setup: Setup, traffic: Traffic) -> None:
    """Each cycle is killed at another of its effects, before or after it; the next process takes it to its end."""
    traffic(setup.proxy, 200)
    died = [point for point in range(26) if _goes_on(Site(site.folder / f"at-{point}", site.pipeline), setup, point)]
    assert len(died) >= 20


def _goes_on(site: Site, setup: Setup, point: int) -> bool:
    """Whether a loop was killed at a point; another one has taken its cycle to the end."""
    (site.served / "1").mkdir(parents=True)
    (site.served / "1" / "saved_model.pb").write_text("the first")
    site.file(triggers=[], delivery=setup.settings(20))
    [asked] = _asked(site, 1)
    first = _begun(site, point, (*_EFFECTS, *_ROLLOUT))
    first.join(8)
    died = first.exitcode == -signal.SIGKILL
    _ended(first)
    second = _begun(site)
    try:
        until(lambda: site.cycles and site.cycles[0].is_over, 120)
    finally:
        _ended(second)
    [cycle] = site.cycles
    assert cycle.state == State.PROMOTED, f"{point}: {cycle.reason}"
    assert site.pushes == ["the first", asked]
    assert len(list(site.home.runs.iterdir())) == 1
    return died
