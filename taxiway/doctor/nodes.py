"""Compares nodes with what tasks need: resources, labels, taints. Node affinity and current usage are ignored.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from taxiway.doctor.findings import Line, State
from taxiway.doctor.requirements import Task
from taxiway.language.values import Json

_REPELLING = ("NoSchedule", "NoExecute")


@dataclass(frozen=True)
class _Refusal:
    """Why a task cannot run on a node, how to fix it, and how far the node is from fitting."""

    reason: str
    fix: str
    distance: int = 1


def _unschedulable(task: Task, nodes: list[Json]) -> Line:
    """Why the task fits on no node, according to the nodes that come closest."""
    refused = [_refusals(task, node) for node in nodes]
    distances = [sum(refusal.distance for refusal in refusals) for refusals in refused]
    nearest = [refusals for refusals, far in zip(refused, distances, strict=True) if far == min(distances)]
    # What is hardest to add comes first: a GPU before a CPU.
    refusals_by_distance = sorted(itertools.chain.from_iterable(nearest), key=lambda refusal: -refusal.distance)
    reasons = Counter(refusal.reason for refusal in refusals_by_distance)
    found = "; ".join(f"{number} of {len(nodes)} nodes: {reason}" for reason, number in reasons.items())
    fix = refusals_by_distance[0].fix if refusals_by_distance else "kubectl get nodes"
    return Line(f"nodes for {task.name}", State.MISSING, found or "the cluster has no nodes", fix)


def _refusals(task: Task, node: Json) -> list[_Refusal]:
    """Why a task cannot run on a node; empty if it can."""
    return [*_too_little(task, node), *_other_labels(task, node), *_taints(task, node)]


def _too_little(task: Task, node: Json) -> Iterator[_Refusal]:
    from kubernetes.utils.quantity import parse_quantity

    there = node.get("status", {}).get("allocatable", {})
    for name, wanted in task.requests.items():
        found = there.get(name, "0")
        if parse_quantity(found) >= parse_quantity(wanted):
            continue
        if "/" in name and found == "0":
            fix = f"add a node with {name} and its device plugin, or compile the pipeline without it"
            yield _Refusal(f"no {name}, but {task.name} requests {wanted}", fix, distance=10)
        else:
            reason = f"{found} {name}, but {task.name} requests {wanted}"
            yield _Refusal(reason, f"request less {name}, or add a larger node")


def _other_labels(task: Task, node: Json) -> Iterator[_Refusal]:
    labels = node.get("metadata", {}).get("labels", {})
    for name, value in task.node_labels.items():
        if labels.get(name) != value:
            yield _Refusal(f"the label {name}={value} is missing", f"kubectl label node NODE {name}={value}")


def _taints(task: Task, node: Json) -> Iterator[_Refusal]:
    for taint in node.get("spec", {}).get("taints", []):
        if taint.get("effect") in _REPELLING and not any(_tolerates(each, taint) for each in task.tolerations):
            value = f"={taint['value']}" if taint.get("value") else ""
            reason = f"the taint {taint['key']}{value}:{taint['effect']} is not tolerated"
            toleration = f"Toleration({taint['key']!r}, effect={taint['effect']!r})"
            yield _Refusal(
                reason, f"in the pipeline's resources: {task.name!r}: Resources(tolerations=({toleration},))"
            )


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def lines(tasks: list[Task], nodes: list[Json]) -> list[Line]:
    """One line for each task that fits on no node, or a single line if every task fits."""
    wrong = [_unschedulable(task, nodes) for task in tasks if not any(_refusals(task, node) == [] for node in nodes)]
    if wrong:
        return wrong
    wanted = sorted({f"{quantity} {name}" for task in tasks for name, quantity in task.requests.items() if "/" in name})
    gpus = f" (including {', '.join(wanted)})" if wanted else ""
    found = f"{len(nodes)} nodes: each of the {len(tasks)} tasks fits on one of them{gpus}"
    return [Line("nodes", State.OK, found)]
