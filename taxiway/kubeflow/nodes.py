"""The tasks of a pipeline by their places in the graph that Kubeflow makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
        types: The declared types of its parameters, by name.
    """

    name: str
    path: str
    executor: Json
    attempts: int = 1
    loops: int = 0
    types: Mapping[str, str] = field(default_factory=dict)


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
            parameters = inner.get("inputDefinitions", {}).get("parameters", {})
            types = {name: str(definition.get("parameterType")) for name, definition in parameters.items()}
            yield Node(prefix + name, f"{path}.{name}", pipeline.executor(inner), attempts, around, types)
