"""The tasks of a pipeline with their positions in Kubeflow's graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from taxiway.language import spec
from taxiway.language.components import DagComponent
from taxiway.language.executors import Executor
from taxiway.language.spec import Pipeline


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
    executor: Executor
    attempts: int = 1
    loops: int = 0
    types: Mapping[str, str] = field(default_factory=dict)

    def in_iterations(self, iterations: Sequence[int]) -> str:
        """Its name in these iterations of the loops around it: `transform[2]`."""
        return self.name + "".join(f"[{iteration}]" for iteration in iterations)


def nodes(pipeline: Pipeline) -> list[Node]:
    """Every container and importer of a pipeline, in topological order."""
    return list(_nodes(pipeline, pipeline.root, "", "root", 0))


def _nodes(pipeline: Pipeline, component: DagComponent, prefix: str, path: str, loops: int) -> Iterator[Node]:
    for name, task in component.dag.ordered():
        inner = pipeline.component(task)
        around = loops + (task.loop is not None)
        if isinstance(inner, DagComponent):
            yield from _nodes(pipeline, inner, spec.child_name(prefix, name, task), f"{path}.{name}", around)
        else:
            yield Node(
                name=prefix + name,
                path=f"{path}.{name}",
                executor=pipeline.executor(inner),
                attempts=1 + task.retry.times,
                loops=around,
                types={each: parameter.type for each, parameter in inner.inputs.parameters.items()},
            )
