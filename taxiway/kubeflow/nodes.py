"""The tasks of a pipeline by their places in the graph that Kubeflow makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taxiway.language import spec
from taxiway.language.spec import Json, Pipeline


@dataclass(frozen=True)
class Node:
    """A container or importer of a pipeline.

    Attributes:
        name: The task's name in a run: `transform`, `sub/transform`.
        path: Where Kubeflow's graph has it: `root.sub.transform`; groups count.
        executor: Its executor in the compiled pipeline.
        attempts: How often the pipeline lets it be tried.
        loops: How many loops it is in.
    """

    name: str
    path: str
    executor: Json
    attempts: int = 1
    loops: int = 0


def nodes(pipeline: Pipeline) -> list[Node]:
    """Every container and importer of a pipeline, in the order in which they depend on each other."""
    return list(_nodes(pipeline, pipeline.root, "", "root", 0))


def _nodes(pipeline: Pipeline, component: Json, prefix: str, path: str, loops: int) -> Iterator[Node]:
    dag = component["dag"]
    for name in spec.ordered(dag):
        task = dag["tasks"][name]
        inner = pipeline.component(task)
        around = loops + ("parameterIterator" in task or "artifactIterator" in task)
        if "dag" in inner:
            yield from _nodes(pipeline, inner, spec.child_name(prefix, name, task), f"{path}.{name}", around)
        else:
            attempts = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
            yield Node(prefix + name, f"{path}.{name}", pipeline.executor(inner), attempts, around)
