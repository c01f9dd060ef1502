"""Finds the groups of tasks in a DAG that can share a container: neighbouring stages with compatible pods.

A task's depth is the number of borders on the longest path to it. There is a border between two dependent tasks that
cannot share a pod. A group consists of connected tasks of the same depth, so that no two groups wait for each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from taxiway.fusion import raw
from taxiway.fusion.parts import Part, mounts, parts
from taxiway.language.spec import Pipeline
from taxiway.language.values import Json


def groups(pipeline: Pipeline, dag: Json) -> Iterator[dict[str, list[Part]]]:
    """The groups of a DAG: for each task, its parts, in the order in which they run."""
    order = raw.ordered(dag)
    found = {name: parts(pipeline, dag, name) for name in order}
    pod_keys = {name: _pod_key(own) for name, own in found.items()}
    for names in _connected(dag, order, pod_keys, _depths(dag, order, pod_keys)):
        group = {name: found[name] for name in names}
        if len(group) > 1 and _fit_in_one_pod([part for own in group.values() for part in own]):
            yield group


def _pod_key(own: list[Part]) -> str:
    """The pod key of a task; empty if it cannot be fused."""
    pod_keys = {part.pod_key for part in own}
    return pod_keys.pop() if len(pod_keys) == 1 else ""


def _depths(dag: Json, order: list[str], pod_keys: Mapping[str, str]) -> dict[str, int]:
    depths: dict[str, int] = {}
    for name in order:
        before = raw.dependencies(dag["tasks"][name])
        depths[name] = max((depths[other] + (not _can_share(pod_keys, name, other)) for other in before), default=0)
    return depths


def _can_share(pod_keys: Mapping[str, str], one: str, other: str) -> bool:
    return bool(pod_keys[one]) and pod_keys[one] == pod_keys[other]


def _connected(
    dag: Json, order: list[str], pod_keys: Mapping[str, str], depths: Mapping[str, int]
) -> Iterator[list[str]]:
    group = {name: {name} for name in order}
    for name in order:
        for other in raw.dependencies(dag["tasks"][name]):
            if _can_share(pod_keys, name, other) and depths[name] == depths[other]:
                joined = group[name] | group[other]
                group.update(dict.fromkeys(joined, joined))
    return ([name for name in order if name in members] for members in _distinct(group, order))


def _distinct(group: Mapping[str, set[str]], order: list[str]) -> list[set[str]]:
    return [group[name] for name in order if name == next(each for each in order if each in group[name])]


def _fit_in_one_pod(members: list[Part]) -> bool:
    """Whether one pod can have the mounts, variables and placeholder inputs of all members without conflicts."""
    entries = mounts([part.platform for part in members])
    named = [each for part in members for each in (*part.channels.items(), *_variables(part))]
    return (
        len({part.modules for part in members} - {""}) < 2
        and all(one == other for name, one in named for also, other in named if name == also)
        and not any(_paths(one) & _paths(other) for one, other in itertools.combinations(entries, 2))
    )


def _paths(entry: Json) -> set[str]:
    variables = {str(each.get("envVar")) for each in entry.get("keyToEnv", [])}
    return variables | {str(entry[key]) for key in ("mountPath", "envVar") if entry.get(key)}


def _variables(part: Part) -> list[tuple[str, Json]]:
    return [(f"${variable['name']}", variable) for variable in part.variables]
