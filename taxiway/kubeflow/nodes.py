"""The tasks of a pipeline with their positions in Kubeflow's graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from taxiway.language import spec
from taxiway.language.loops import Loop
from taxiway.language.spec import Json, Pipeline


@dataclass(frozen=True, kw_only=True)
class Node:
    """A container or importer of a pipeline.

    Attributes:
        name: The task's name in a run: `transform`, `sub/transform`.
        path: Its path in Kubeflow's graph, including groups: `root.sub.transform`.
        executor: Its executor in the compiled pipeline.
        attempts: Maximum number of attempts.
        loops: Number of enclosing loops.
        types: The declared types of its parameters, by name.
    """

    name: str
    path: str
    executor: Json
    attempts: int = 1
    loops: int = 0
    types: Mapping[str, str] = field(default_factory=dict)


def nodes(pipeline: Pipeline) -> list[Node]:
    """Every container and importer of a pipeline, in topological order."""
    return list(_nodes(pipeline, pipeline.root, "", "root", 0))


def _nodes(pipeline: Pipeline, component: Json, prefix: str, path: str, loops: int) -> Iterator[Node]:
    dag = component["dag"]
    for name in spec.ordered(dag):
        task = dag["tasks"][name]
        inner = pipeline.component(task)
        around = loops + (Loop.of(task) is not None)
        if "dag" in inner:
            yield from _nodes(pipeline, inner, spec.child_name(prefix, name, task), f"{path}.{name}", around)
        else:
            attempts = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
            parameters = inner.get("inputDefinitions", {}).get("parameters", {})
            types = {name: str(definition.get("parameterType")) for name, definition in parameters.items()}
            yield Node(
                name=prefix + name,
                path=f"{path}.{name}",
                executor=pipeline.executor(inner),
                attempts=attempts,
                loops=around,
                types=types,
            )
