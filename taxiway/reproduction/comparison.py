"""Compares rebuilt outputs with those in the lineage, and finds what may explain a difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.execution.provenance import Record
from taxiway.reproduction.calls import Call

EQUAL, DIFFERS, MISSING = "equal", "differs", "not made"


@dataclass(frozen=True)
class Made:
    """The record of a rebuilt output."""

    record: Record


@dataclass(frozen=True)
class Outcome:
    """The result of one call.

    Attributes:
        stage: The stage.
        state: `equal`, `differs`, or `not made` if it or an earlier call failed.
        outputs: Digests by output: the recorded one and the new one ("" for none).
        reasons: What may explain a difference.
    """

    stage: str
    state: str
    outputs: dict[str, tuple[str, str]]
    reasons: list[str]


def compare(call: Call, made: Mapping[str, Made]) -> Outcome:
    """Compares the outputs of a call."""
    outputs = {
        name: (str(record["digest"]), str(made[name].record["digest"]) if name in made else "")
        for name, record in call.outputs.items()
    }
    if not all(now for _, now in outputs.values()):
        return Outcome(call.task, MISSING, outputs, [])
    if all(then == now for then, now in outputs.values()):
        return Outcome(call.task, EQUAL, outputs, [])
    name = next(name for name, (then, now) in outputs.items() if then != now)
    return Outcome(call.task, DIFFERS, outputs, list(_reasons(call.outputs[name], made[name].record)))


def _reasons(then: Record, now: Record) -> Iterator[str]:
    if {port: digest for port, digest in then["inputs"].items() if port in now["inputs"]} != now["inputs"]:
        yield "its inputs differ"
        return
    if left := then["inputs"].keys() - now["inputs"].keys():
        yield f"it was rebuilt without {', '.join(sorted(left))}, which no longer exists"
    found = [*_determinism(then), *_data(then, now), *_code(then, now), *_environment(then, now)]
    yield from found or ["the same code with the same inputs gave another result: the stage is not deterministic"]


def _determinism(then: Record) -> Iterator[str]:
    if "deterministic" in then and not then["deterministic"]:
        yield f"the recorded run was not deterministic: {then['not_deterministic']}"


def _data(then: Record, now: Record) -> Iterator[str]:
    before, after = ((record.get("data") or {}).get("content", "") for record in (then, now))
    if before != after:
        yield f"the data was {before or 'unknown'}, is now {after or 'unknown'}"


def _code(then: Record, now: Record) -> Iterator[str]:
    if then["code"].get("modified"):
        yield f"the code was commit {then['code'].get('commit', '')[:12]} with uncommitted changes"
    if then["stage_version"] != now["stage_version"]:
        yield "the stage's own code differs: another version of Taxiway"
    for kind in ("modules", "files"):
        before, after = (record["code"].get(kind, {}) for record in (then, now))
        for name, value in before.items():
            if _digest(value) != _digest(after.get(name)):
                was, now_is = _digest(value)[:19], _digest(after.get(name))[:19]
                yield f"{name} differs: {_name(value)} was {was}, is now {now_is}"


def _digest(value: Any) -> str:
    return str(value.get("digest", "") if isinstance(value, dict) else value or "nothing")


def _name(value: Any) -> str:
    return str(value.get("name", "")) if isinstance(value, dict) else ""


def _environment(then: Record, now: Record) -> Iterator[str]:
    before, after = then.get("environment"), now.get("environment", {})
    if not before:
        yield "the lineage does not contain the packages and the CPU that it was made with"
        return
    for name, version in sorted({"python": before["python"], **before["packages"]}.items()):
        current = {"python": after["python"], **after["packages"]}.get(name, "not installed")
        if current != version:
            yield f"{name} was {version}, is now {current}"
    if before["processor"] != after["processor"]:
        yield f"the CPU was {before['processor']}, is now {after['processor']}"
    if then.get("image") != now.get("image"):
        yield f"the image was {then.get('image') or 'none'}, is now {now.get('image') or 'none'}"
