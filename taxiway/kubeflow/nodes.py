"""The tasks of a pipeline as Argo's nodes: what Kubeflow's run details name, and the pods behind them.

Source: kubeflow/pipelines, backend/src/v2/compiler/argocompiler (the templates), backend/src/common/util/workflow.go
(pods' names); argo-workflows, workflow/common (nodes' ids).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from taxiway.language import spec
from taxiway.language.spec import Json, Pipeline

_IMPL = "system-container-impl"
"""The template of what runs a task's container."""


@dataclass(frozen=True)
class Node:
    """A container or importer of a pipeline.

    Attributes:
        name: The task's name in a run: `transform`, `sub/transform`.
        path: Where Argo's graph has it: `root.sub.transform`; groups count.
        executor: Its executor in the compiled pipeline.
        attempts: How often it may be tried.
        is_looped: Whether it may run several times.
    """

    name: str
    path: str
    executor: Json
    attempts: int = 1
    is_looped: bool = False

    @property
    def label(self) -> str:
        """What run details call it."""
        return self.path.rpartition(".")[2]

    def pods(self, workflow: str, children: Iterable[str] = ()) -> list[str]:
        """The pods that may have run it, the latest first; its driver's last.

        Args:
            workflow: The workflow's name.
            children: What run details have below it. In a loop only they tell its turns apart, and the attempts of a
                turn nothing does.
        """
        if self.is_looped:
            return [_named(workflow, _IMPL, child) for child in children if self.attempts == 1]
        if "importer" in self.executor:
            return [_pod(workflow, "system-importer", self.path)]
        driver = _pod(workflow, "system-container-driver", f"{self.path}-driver")
        if self.attempts == 1:
            return [_pod(workflow, _IMPL, f"{self.path}.executor"), driver]
        tries = (f"{self.path}.executor({attempt})" for attempt in reversed(range(self.attempts)))
        return [*(_pod(workflow, f"retry-{_IMPL}", path) for path in tries), driver]


def nodes(pipeline: Pipeline) -> list[Node]:
    """Every container and importer of a pipeline, in the order in which they depend on each other."""
    return list(_nodes(pipeline, pipeline.root, "", "root", False))


def node_id(workflow: str, path: str) -> str:
    """Argo's id of a node: the workflow's name, and the FNV-1a hash of the node's full name."""
    value = 0x811C9DC5
    for byte in f"{workflow}.{path}".encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{workflow}-{value}"


def _pod(workflow: str, template: str, path: str) -> str:
    return _named(workflow, template, node_id(workflow, path))


def _named(workflow: str, template: str, node: str) -> str:
    return f"{workflow}-{template}-{node.rpartition('-')[2]}"


def _nodes(pipeline: Pipeline, component: Json, prefix: str, path: str, is_looped: bool) -> Iterator[Node]:
    dag = component["dag"]
    for name in spec.ordered(dag):
        task = dag["tasks"][name]
        inner = pipeline.component(task)
        if "dag" in inner:
            turns = is_looped or "parameterIterator" in task or "artifactIterator" in task
            yield from _nodes(pipeline, inner, spec.child_name(prefix, name, task), f"{path}.{name}", turns)
        else:
            attempts = 1 + int(task.get("retryPolicy", {}).get("maxRetryCount", 0))
            yield Node(prefix + name, f"{path}.{name}", pipeline.executor(inner), attempts, is_looped)
