"""Cycles on Kubeflow: a run is looked up before it is submitted, so that a kill submits nothing twice."""

from __future__ import annotations

from typing import Any

import pytest

from taxiway.lineage.loop.cycle import Cycle, State
from taxiway.loop.loop import Loop
from taxiway.loop.runs.local import run_id
from taxiway.loop.settings import Settings
from tests.taxiway.kubeflow.conftest import kubeflow as kubeflow
from tests.taxiway.kubeflow.stub import Kubeflow
from tests.taxiway.loop.conftest import NOW, Site

ENDED = {"created_at": "2026-01-05T02:00:00Z", "finished_at": "2026-01-05T02:05:00Z"}


@pytest.fixture
def loop(kubeflow: Kubeflow, drifted: Site, monkeypatch: pytest.MonkeyPatch) -> Loop:
    kubeflow.looks = [{"state": "RUNNING"}]
    return submitting(drifted, kubeflow)


def submitting(site: Site, kubeflow: Kubeflow) -> Loop:
    return site.loop(action="submit", kubeflow={"host": kubeflow.url, "experiment": "loops"})


def names(kubeflow: Kubeflow) -> list[str]:
    return [run["display_name"] for run in kubeflow.runs.values()]


def test_a_run_is_submitted_once_and_followed_to_its_end(loop: Loop, drifted: Site, kubeflow: Kubeflow) -> None:
    loop.tick(NOW)
    [cycle] = drifted.cycles
    assert names(kubeflow) == [run_id(cycle, loop.settings)]
    [run] = kubeflow.runs.values()
    assert run["runtime_config"]["parameters"]["window_start"] == "2026-01-05T00:00:00+00:00"
    for again in (loop, submitting(drifted, kubeflow)):
        again.tick(NOW)
    assert len(kubeflow.runs) == 1
    assert drifted.cycles[0].facts["page"].endswith("/#/runs/details/run-0")
    kubeflow.looks = [{"state": "FAILED", "error": {"message": "no quota"}, **ENDED}]
    loop.tick(NOW)
    assert (drifted.cycles[0].state, drifted.cycles[0].reason.endswith("failed: no quota")) == (State.FAILED, True)


def test_a_loop_killed_before_or_after_it_submits_submits_once(
    loop: Loop, drifted: Site, kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    runs = loop.world.runs(loop.settings)
    whole = runs.start

    def start(cycle: Cycle, settings: Settings, name: str) -> Any:
        raise Killed

    monkeypatch.setattr(runs, "start", start)
    with pytest.raises(Killed):
        loop.tick(NOW)
    assert names(kubeflow) == []

    def start_and_die(cycle: Cycle, settings: Settings, name: str) -> Any:
        whole(cycle, settings, name)
        raise Killed

    second = submitting(drifted, kubeflow)
    monkeypatch.setattr(second.world.runs(second.settings), "start", start_and_die)
    with pytest.raises(Killed):
        second.tick(NOW)
    submitting(drifted, kubeflow).tick(NOW)
    assert len(kubeflow.runs) == 1


def test_another_home_submits_only_after_its_patience(loop: Loop, drifted: Site, kubeflow: Kubeflow) -> None:
    known = loop.world.runs(loop.settings)
    known.start = lambda *_: None  # type: ignore[method-assign]
    loop.tick(NOW)
    other = submitting(drifted, kubeflow)
    other.world.__dict__["name"] = "another home"
    other.tick(NOW)
    assert names(kubeflow) == []
    other.world._missed = dict.fromkeys(other.world._missed, -1000000000.0)  # type: ignore[attr-defined]
    other.tick(NOW)
    assert len(kubeflow.runs) == 1


def test_a_kubeflow_that_is_away_is_tried_again(loop: Loop, drifted: Site, kubeflow: Kubeflow) -> None:
    from components.contract.errors import ServiceError

    kubeflow.overrides = {".*": (503, b"{}")}
    with pytest.raises(ServiceError):
        loop.tick(NOW)
    kubeflow.overrides = {}
    loop.tick(NOW)
    assert len(kubeflow.runs) == 1
