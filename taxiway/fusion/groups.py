"""Which tasks of a DAG share a container: stages that follow each other, up to one that keeps its own.

A task's depth is how many borders lie before it: between a task that stays as it is and any other, and between two that
cannot be in one pod. Connected tasks of one depth are a group; so no group waits for another that waits for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from taxiway.fusion import raw
from taxiway.fusion.parts import Part, mounts, parts
from taxiway.language.spec import Pipeline
from taxiway.language.values import Json


def groups(pipeline: Pipeline, dag: Json) -> Iterator[dict[str, list[Part]]]:
    """The groups of a DAG: the parts that each of its tasks is, in the order in which they run."""
    order = raw.ordered(dag)
    found = {name: parts(pipeline, dag, name) for name in order}
    places = {name: _place(own) for name, own in found.items()}
    for names in _connected(dag, order, places, _depths(dag, order, places)):
        group = {name: found[name] for name in names}
        if len(group) > 1 and _fit([part for own in group.values() for part in own]):
            yield group


def _place(own: list[Part]) -> str:
    """What a task's pod is like; empty where it stays as it is."""
    places = {part.place for part in own}
    return places.pop() if len(places) == 1 else ""


def _depths(dag: Json, order: list[str], places: Mapping[str, str]) -> dict[str, int]:
    depths: dict[str, int] = {}
    for name in order:
        before = raw.dependencies(dag["tasks"][name])
        depths[name] = max((depths[other] + (not _share(places, name, other)) for other in before), default=0)
    return depths


def _share(places: Mapping[str, str], one: str, other: str) -> bool:
    return bool(places[one]) and places[one] == places[other]


def _connected(
    dag: Json, order: list[str], places: Mapping[str, str], depths: Mapping[str, int]
) -> Iterator[list[str]]:
    group = {name: {name} for name in order}
    for name in order:
        for other in raw.dependencies(dag["tasks"][name]):
            if _share(places, name, other) and depths[name] == depths[other]:
                joined = group[name] | group[other]
                group.update(dict.fromkeys(joined, joined))
    return ([name for name in order if name in members] for members in _distinct(group, order))


def _distinct(group: Mapping[str, set[str]], order: list[str]) -> list[set[str]]:
    return [group[name] for name in order if name == next(each for each in order if each in group[name])]


def _fit(members: list[Part]) -> bool:
    """Whether one pod can have all that they mount, all variables, and all that their texts name."""
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
