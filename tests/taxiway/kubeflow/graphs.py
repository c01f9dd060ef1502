"""Run details in Kubeflow's format: Argo's graph as a flat list of nodes with the ids of their children."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

Json = dict[str, Any]

WORKFLOW = "small-x7k2p"
_OVER = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")


def hashed(name: str) -> int:
    """The 32-bit FNV-1a hash that Argo uses for node ids."""
    return reduce(lambda value, byte: (value ^ byte) * 16777619 % 2**32, name.encode(), 2166136261)


def full_name(path: str, *, retries: bool = False) -> str:
    """The full name of a node, from its path with loop iterations as numbers: `for-loop-1.0.schema-gen.executor`."""
    attempt = "(0)" if retries else ""
    parts = [WORKFLOW, "root"]
    for part in path.split("."):
        parts += [f"iteration-iterations({part}:{part})", "iteration-item"] if part.isdigit() else [part]
    return ".".join(f"{part}{attempt}" for part in parts[:-1]) + f".{parts[-1]}"


def impl_pod(path: str, *, retries: bool = False, attempt: int | None = None, template: str = "") -> str:
    """The pod that runs a task's container."""
    name = full_name(f"{path}.executor", retries=retries) + ("" if attempt is None else f"({attempt})")
    return f"{WORKFLOW}-{template or 'system-container-impl'}-{hashed(name)}"


@dataclass
class Argo:
    """Argo's nodes by full name.

    Attributes:
        retries: Whether the workflow controller has a default retry strategy, so that every node is below a retry node.
    """

    retries: bool = False
    nodes: dict[str, Json] = field(default_factory=dict)

    def add(self, name: str, state: str, seconds: int, attempts: int = 1, above: str = "") -> str:
        """Adds a node below another, with its attempts if any; returns the name under which children are added."""
        self.put(name, state, seconds, above)
        if not self.retries:
            return name
        for attempt in range(attempts):
            ended = "FAILED" if attempt < attempts - 1 else state
            self.put(f"{name}({attempt})", ended, seconds, name)
        return f"{name}({attempts - 1})"

    def put(self, name: str, state: str, seconds: int, above: str) -> None:
        """Adds a node without attempts."""
        self.nodes.setdefault(name, {"label": name.rpartition(".")[2], "children": []})
        self.nodes[name] |= {"state": state, "seconds": seconds}
        children = self.nodes[above]["children"] if above else []
        if above and name not in children:
            children.append(name)

    def details(self) -> list[Json]:
        """The nodes as `run_details.task_details`, in arbitrary order."""
        return [_detail(node) for _, node in sorted(self.nodes.items(), key=lambda item: hashed(item[0]))]


def look(state: str, tasks: Mapping[str, tuple[Any, ...]], error: str = "", *, retries: bool = False) -> Json:
    """A run's state and its details.

    Args:
        state: The run's state.
        tasks: State and seconds of each task, by its path in the pipeline's graph; SUCCEEDED in less than 2 seconds
            means a cache hit. Loop iterations are numbers: `for-loop-1.0.schema-gen`. A path that ends in `-driver` is
            only a driver; a SKIPPED group is empty. An optional third value is the number of attempts of a task with
            its own retries.
        error: Kubeflow's error message.
        retries: Whether Argo adds a retry node above each node.
    """
    graph = Argo(retries)
    root = graph.add(f"{graph.add(WORKFLOW, state, 59)}.root", state, 59, above=f"{WORKFLOW}{'(0)' * retries}")
    for path, details in tasks.items():
        _add_task(graph, root, path.split("."), *details)
    return {
        "state": state,
        "created_at": "2026-11-21T03:00:00Z",
        "finished_at": "2026-11-21T03:01:00Z",
        "error": {"message": error} if error else None,
        "run_details": {"task_details": graph.details()},
    }


def _add_task(graph: Argo, around: str, parts: list[str], state: str, seconds: int, attempts: int = 0) -> None:
    first, *others = parts
    if first.isdigit():
        # A loop has no attempts, but its iterations have.
        group = f"{around}.iteration-iterations"
        graph.put(group, "RUNNING", 30, _driven(graph, around, "iteration"))
        turn = graph.add(f"{around}.iteration-iterations({first}:{first})", "RUNNING", 30, above=group)
        item = graph.add(f"{turn}.iteration-item", "RUNNING", 30, above=_driven(graph, turn, "iteration-item"))
        _add_task(graph, item, others, state, seconds, attempts)
    elif others:
        group = graph.add(f"{around}.{first}", "RUNNING", 40, above=_driven(graph, around, first))
        _add_task(graph, group, others, state, seconds, attempts)
    elif first.endswith("-driver") or "importer" in first:
        graph.add(f"{around}.{first}", state, seconds, above=around)
    else:
        task = graph.add(f"{around}.{first}", state, seconds, above=_driven(graph, around, first))
        if not re.match("condition|for-loop", first):
            ran = "SKIPPED" if state == "SUCCEEDED" and seconds < 2 else state
            pod = Argo((graph.retries or attempts > 0) and ran != "SKIPPED", graph.nodes)
            pod.add(f"{task}.executor", ran, seconds, max(attempts, 1), above=task)


def _driven(graph: Argo, around: str, label: str) -> str:
    return graph.add(f"{around}.{label}-driver", "SUCCEEDED", 3, above=around)


def _detail(node: Json) -> Json:
    ended = f"2026-11-21T03:00:{node['seconds']:02}Z"
    return {
        "display_name": node["label"],
        "state": node["state"],
        "start_time": "2026-11-21T03:00:00Z",
        "end_time": ended if node["state"] in _OVER else "0001-01-01T00:00:00Z",
        "child_tasks": [{"pod_name": f"{WORKFLOW}-{hashed(child)}"} for child in node["children"]],
    }
