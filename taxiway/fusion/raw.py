"""The parts of a compiled pipeline as documents, for fusion to change; `taxiway.language` has them as typed values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from taxiway.language.components import Dag
from taxiway.language.executors import Executor
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Task
from taxiway.language.values import Json

SETTINGS = ("image", "env", "resources")
"""A container's settings: everything except its command."""


def component(pipeline: Pipeline, task: Json) -> Json:
    """The component that a task runs."""
    return dict(pipeline.spec["components"][task["componentRef"]["name"]])


def executor(pipeline: Pipeline, component: Json) -> Json:
    """The executor of a component."""
    return dict(pipeline.spec["deploymentSpec"]["executors"][component["executorLabel"]])


def platform(pipeline: Pipeline, component: Json) -> Json:
    """The Kubernetes settings of a component's pods."""
    kubernetes = pipeline.platform.get("platforms", {}).get("kubernetes", {})
    return dict(kubernetes.get("deploymentSpec", {}).get("executors", {}).get(component["executorLabel"], {}))


def stage(executor: Json) -> str:
    """The stage that an executor runs; empty for anything else."""
    return Executor.of(executor).stage


def is_group(task: Json) -> bool:
    """Whether a task is a condition, a loop or an exit handler."""
    return Task.of(task).is_group


def dependencies(task: Json) -> list[str]:
    """The tasks in the same DAG that must end before a task."""
    return Task.of(task).dependencies


def ordered(dag: Json) -> list[str]:
    """The names of a DAG's tasks, each after those that it depends on."""
    return [name for name, _ in Dag.of(dag).ordered()]


def references(value: Mapping[str, Any] | list[Any] | Any) -> Iterator[Json]:
    """All documents in a DAG that refer to the output of a task; they can be changed in place."""
    if isinstance(value, dict):
        if value.keys() & {"producerTask", "producerSubtask"}:
            yield value
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
