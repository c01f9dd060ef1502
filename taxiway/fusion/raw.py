"""The compiled pipeline as the documents that fusion changes; `taxiway.language` has the values that others read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from taxiway.language.components import Dag
from taxiway.language.executors import Executor
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Task
from taxiway.language.values import Json

SETTINGS = ("image", "env", "resources")
"""What a container is but its command."""


def component(pipeline: Pipeline, task: Json) -> Json:
    """The component that a task runs."""
    return dict(pipeline.spec["components"][task["componentRef"]["name"]])


def executor(pipeline: Pipeline, component: Json) -> Json:
    """What carries out a component that is no DAG."""
    return dict(pipeline.spec["deploymentSpec"]["executors"][component["executorLabel"]])


def platform(pipeline: Pipeline, component: Json) -> Json:
    """What Kubernetes is to add to the pods of a component that is no DAG."""
    kubernetes = pipeline.platform.get("platforms", {}).get("kubernetes", {})
    return dict(kubernetes.get("deploymentSpec", {}).get("executors", {}).get(component["executorLabel"], {}))


def stage(executor: Json) -> str:
    """The stage that an executor runs; empty for anything else."""
    return Executor.of(executor).stage


def is_group(task: Json) -> bool:
    """Whether a task is a condition, a loop or an exit handler."""
    return Task.of(task).is_group


def dependencies(task: Json) -> list[str]:
    """The tasks of the same DAG that have to end before a task."""
    return Task.of(task).dependencies


def ordered(dag: Json) -> list[str]:
    """The names of a DAG's tasks, each after those that it depends on."""
    return [name for name, _ in Dag.of(dag).ordered()]


def references(value: Mapping[str, Any] | list[Any] | Any) -> Iterator[Json]:
    """Everything in a DAG that names a task as the producer of something, to look at or to change."""
    if isinstance(value, dict):
        if value.keys() & {"producerTask", "producerSubtask"}:
            yield value
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)
