"""Task states from run details: recorded answers of a real Kubeflow, and generated ones of the same form."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kfp_server_api import ApiClient  # type: ignore[import-untyped]

from taxiway import loading
from taxiway.kubeflow import details
from taxiway.kubeflow.details import Seen
from taxiway.kubeflow.nodes import Node, nodes
from taxiway.language.executors import Executor
from tests.taxiway.kubeflow.graphs import WORKFLOW, look

RECORDINGS = Path(__file__).with_name("recordings")
CACHED = ("SUCCEEDED", 0.0, True)


def of_recording(name: str) -> dict[str, Seen]:
    """The tasks of the taxi pipeline in a recorded answer of `GET /apis/v2beta1/runs/<id>`."""
    known = nodes(loading.load("pipelines/chicago_taxi/pipeline.yaml"))
    return _states(known, (RECORDINGS / f"{name}.json").read_text())


def _described(text: str) -> list[Any]:
    return list(ApiClient().deserialize(SimpleNamespace(data=text), "V2beta1Run").run_details.task_details)


def _states(known: list[Node], text: str) -> dict[str, Seen]:
    return {found.name: found for found in details.seen(known, _described(text))}


def _shown(found: dict[str, Seen]) -> dict[str, tuple[str, float, bool]]:
    return {name: (task.state, task.seconds, task.is_cached) for name, task in found.items()}


def test_states_of_a_finished_run_of_2_17() -> None:
    states = of_recording("finished-2.17.0")
    assert _shown(states) == {
        "example-gen": CACHED,
        "statistics-gen": CACHED,
        "schema-gen": CACHED,
        "example-validator": CACHED,
        "transform": CACHED,
        "trainer": CACHED,
        "infra-validator": CACHED,
        "baseline": ("SUCCEEDED", 10.0, False),
        "evaluator": ("SUCCEEDED", 20.0, False),
        "pusher": ("SUCCEEDED", 10.0, False),
    }
    assert states["evaluator"].pods == ("chicago-taxi-pzjq6-system-container-impl-1780193208",)


def test_states_of_a_running_run_of_2_17_with_retry_nodes() -> None:
    states = of_recording("running-2.17.0-retries")
    assert _shown(states) == {
        "example-gen": CACHED,
        "statistics-gen": ("SUCCEEDED", 20.0, False),
        "schema-gen": ("SUCCEEDED", 20.0, False),
        "example-validator": ("SUCCEEDED", 10.0, False),
        "transform": ("SUCCEEDED", 20.0, False),
        "trainer": ("SUCCEEDED", 21.0, False),
        "baseline": ("SUCCEEDED", 10.0, False),
        "infra-validator": ("RUNNING", 0.0, False),
        "evaluator": ("PENDING", 0.0, False),
    }
    assert states["trainer"].pods == ("chicago-taxi-nrzrv-system-container-impl-155517599",)


CASES = {
    "states": ({"baseline": ("RUNNING", 0), "example-gen": ("SUCCEEDED", 20), "pusher": ("CANCELED", 3)}, ()),
    "cached": ({"baseline": ("SUCCEEDED", 1)}, ("baseline",)),
    "turns": ({f"for-loop-1.{turn}.baseline": ("SUCCEEDED", 4 + turn) for turn in (0, 1, 10)}, ()),
    "loops in loops": ({f"for-loop-1.{a}.for-loop-2.{b}.baseline": ("RUNNING", 0) for a in (0, 1) for b in (0, 1)}, ()),
    "sub-pipelines": (
        {"sub.baseline": ("SUCCEEDED", 8), "sub.sub.baseline": ("FAILED", 9), "baseline": ("RUNNING", 0)},
        (),
    ),
    "conditions": ({"condition-1.baseline": ("SUCCEEDED", 8)}, ()),
    "an importer": ({"importer": ("SUCCEEDED", 3)}, ()),
}


@pytest.mark.parametrize("retries", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_states_of_tasks_in_sub_pipelines_loops_and_conditions(case: str, retries: bool) -> None:
    tasks, cached = CASES[case]
    known = {_path(path): path for path in tasks}
    places = [
        Node(
            name=path,
            path=f"root.{path}",
            executor=Executor(kind="importer" if path == "importer" else "container"),
            loops=_loops(written),
        )
        for path, written in known.items()
    ]
    run = ApiClient().deserialize(SimpleNamespace(data=_text(look("RUNNING", tasks, retries=retries))), "V2beta1Run")
    by_name = {seen.name: seen for seen in details.seen(places, run.run_details.task_details)}
    expected = {
        _path(path) + "".join(f"[{part}]" for part in path.split(".") if part.isdigit()): state
        for path, (state, _) in tasks.items()
    }
    assert {name: seen.state for name, seen in by_name.items()} == expected
    assert [name for name, seen in by_name.items() if seen.is_cached] == list(cached)


@pytest.mark.parametrize("retries", [False, True])
def test_tasks_of_a_skipped_group_are_skipped(retries: bool) -> None:
    known = [
        Node(name="pusher", path="root.condition-1.pusher", executor=Executor(kind="container")),
        Node(name="other", path="root.condition-2.other", executor=Executor(kind="container")),
    ]
    states = _states(known, _text(look("SUCCEEDED", {"condition-1": ("SKIPPED", 0)}, retries=retries)))
    assert _shown(states) == {"pusher": ("SKIPPED", 0.0, False)}


def test_a_run_that_has_just_started_has_no_states() -> None:
    known = [Node(name="pusher", path="root.pusher", executor=Executor(kind="container"))]
    assert details.seen(known, []) == []
    assert _states(known, _text(look("PENDING", {}))) == {}


def test_the_driver_of_a_run_of_2_17_that_cannot_start() -> None:
    described = _described((RECORDINGS / "waiting-2.17.0-retries.json").read_text())
    known = nodes(loading.load("pipelines/chicago_taxi/pipeline.yaml"))
    assert details.seen(known, described) == []
    assert details.drivers(known, described) == {"root": ("chicago-taxi-cqnnp-system-dag-driver-493487780",)}


@pytest.mark.parametrize("retries", [False, True])
def test_drivers_that_have_ended_or_are_those_of_tasks_are_left_out(retries: bool) -> None:
    known = [Node(name="a", path="root.a", executor=Executor(kind="container"))]
    tasks = {"a-driver": ("RUNNING", 0), "sub-driver": ("SUCCEEDED", 3), "condition-1-driver": ("PENDING", 0)}
    text = _text(look("RUNNING", tasks, retries=retries))
    assert list(details.drivers(known, _described(text))) == ["root.condition-1"]
    [found] = _states(known, text).values()
    assert found.state == "PENDING"
    assert found.pods[0].startswith(f"{WORKFLOW}-system-container-driver-")


def _text(document: Any) -> str:
    return json.dumps(document)


def _path(written: str) -> str:
    return ".".join(part for part in written.split(".") if not part.isdigit())


def _loops(written: str) -> int:
    return sum(part.isdigit() for part in written.split("."))
