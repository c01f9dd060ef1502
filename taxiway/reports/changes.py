"""What changed between two runs: parameters, packages, code and data by digest, as their manifests have it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.reports.figures import short_digest
from taxiway.reports.run import RecordedRun

_WIDE = {"code": "Code", "container": "Container", "named": "Code", "packages": "Packages", "variables": "Environment"}
_DATA = ("content", "dvc_hash")


@dataclass(frozen=True)
class Change:
    """Something that differs.

    Attributes:
        kind: `Parameter`, `Data`, `Code`, `Packages`, `Input`, `Task` and the like.
        what: What it is.
        tasks: The tasks that it concerns; empty for all.
        before: Its value before; empty if there was none.
        now: Its value now; empty if there is none.
    """

    kind: str
    what: str
    tasks: tuple[str, ...]
    before: str
    now: str


def between(before: RecordedRun, now: RecordedRun) -> list[Change]:
    """What differs between two runs; the same change of several tasks is one."""
    found = [*_parameters(before, now), *_tasks(before, now), *_commit(before, now)]
    shared = [name for name in now.manifests if name in before.manifests]
    merged: dict[tuple[str, str, str, str], list[str]] = {}
    for task in shared:
        for key in _of_task(before.manifests[task].get("parts", {}), now.manifests[task].get("parts", {})):
            merged.setdefault(key, []).append(task)
    return [*found, *(Change(kind, what, tuple(tasks), *pair) for (kind, what, *pair), tasks in merged.items())]


def uncompared(before: RecordedRun, now: RecordedRun) -> list[str]:
    """The tasks of both runs of which at least one left nothing to compare."""
    both = [name for name in now.run.tasks if name in before.run.tasks]
    return [name for name in both if name not in now.manifests or name not in before.manifests]


def text(value: Any) -> str:
    """A value as JSON; a string as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _parameters(before: RecordedRun, now: RecordedRun) -> Iterator[Change]:
    for name, one, other in _different(before.parameters, now.parameters):
        yield Change("Parameter", name, (), one, other)


def _tasks(before: RecordedRun, now: RecordedRun) -> Iterator[Change]:
    # A task that a run has not come to yet is no change.
    names = [*before.run.tasks, *now.run.tasks] if now.is_over else now.run.tasks
    for name in dict.fromkeys(names):
        if (name in before.run.tasks) != (name in now.run.tasks):
            states = [str(run.tasks[name].state).lower() if name in run.tasks else "" for run in (before.run, now.run)]
            yield Change("Task", name, (name,), states[0] or "did not run", states[1] or "did not run")


def _commit(before: RecordedRun, now: RecordedRun) -> Iterator[Change]:
    one, other = commit(before), commit(now)
    if one != other and one and other:
        yield Change("Code", "commit", (), one, other)


def commit(recorded: RecordedRun) -> str:
    """The commits that a run's outputs were made at, short; usually one."""
    codes = [record.get("code") or {} for record in records(recorded)]
    names = [
        f"{code['commit'][:12]}{' and changes' if code.get('modified') else ''}" for code in codes if code.get("commit")
    ]
    return ", ".join(sorted(set(names)))


def records(recorded: RecordedRun) -> list[dict[str, Any]]:
    """The records of how a run's outputs were made, where the outputs are still there."""
    found = []
    for manifest in recorded.manifests.values():
        for listed in manifest["artifacts"].values():
            metadata = (each.get("metadata", {}) for each in listed)
            found += [json.loads(each["provenance"]) for each in metadata if each.get("provenance")]
    return found


def _of_task(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for part in dict.fromkeys([*before, *now]):
        one, other = before.get(part), now.get(part)
        if one == other or part == "run":
            continue
        if part == "packages":
            yield from _packages(one or [], other or [])
        elif part == "named":
            yield from _named(one or {}, other or {})
        elif part == "inputs":
            yield from _inputs(one or {}, other or {})
        elif part == "parameters":
            yield from (("Setting", *each) for each in _different(one or {}, other or {}))
        else:
            what = "the stage's code" if part == "code" else part
            yield _WIDE.get(part, part.capitalize()), what, _short(one), _short(other)


def _different(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys([*before, *now]):
        if name not in before or name not in now or before[name] != now[name]:
            yield name, text(before[name]) if name in before else "", text(now[name]) if name in now else ""


def _packages(before: list[str], now: list[str]) -> Iterator[tuple[str, str, str, str]]:
    one, other = (dict(each.split("==", 1) for each in side if "==" in each) for side in (before, now))
    found = [("Packages", name, was, then) for name, was, then in _different(one, other)]
    if len(found) > 8:
        yield "Packages", f"{len(found)} packages", "", ", ".join(name for _, name, *_ in found)
    else:
        yield from found
    if not found:
        yield "Packages", "Python", before[0] if before else "", now[0] if now else ""


def _named(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """What parameters name: data by version and content, modules and files by digest."""
    for name in dict.fromkeys([*before, *now]):
        one, other = before.get(name), now.get(name)
        if one == other:
            continue
        if isinstance(one, dict) or isinstance(other, dict):
            yield "Data", name, _version(one), _version(other)
        else:
            yield "Code", name, _short(one), _short(other)


def _version(named: Any) -> str:
    known = named if isinstance(named, dict) else {}
    digests = [f"{key} {short_digest(str(known[key]))}" for key in _DATA if known.get(key)]
    return " · ".join([str(known.get("path", "")), *digests]).strip(" ·")


def _inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    one, other = ({port: _digests(listed) for port, listed in side.items()} for side in (before, now))
    yield from (("Input", *each) for each in _different(one, other))


def _digests(listed: list[dict[str, Any]]) -> str:
    return ", ".join(short_digest(str(each.get("digest", ""))) for each in listed)


def _short(value: Any) -> str:
    return (
        short_digest(value) if isinstance(value, str) and value.startswith("sha256:") else text(value) if value else ""
    )
