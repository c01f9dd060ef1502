"""The content of a card, in the fields of the Model Card Toolkit's schema, version 0.0.2."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from components.contract.artifacts import ModelEvaluation
from components.execution.provenance import VERDICT, Record
from components.execution.records import sources
from components.pusher.card.settings import Settings

SCHEMA_VERSION = "0.0.2"
Json = dict[str, Any]

_OWNER = re.compile(r"(?P<name>[^<]*)<(?P<contact>[^>]+)>\s*")
_IDENTIFIER = re.compile(r"[A-Za-z0-9.+-]+")
_FEW = 100
"""Rows of a slice; fewer say little."""
_MOST_SLICES = 200


def card(settings: Settings, records: Sequence[Record], slices: Sequence[Json]) -> Json:
    """A card as JSON.

    Args:
        settings: What only people know.
        records: The record of the push, and those of everything that the model was made from.
        slices: The metrics of the evaluation by slice, largest first; all rows have an empty name.
    """
    sections = {
        "model_details": _details(settings, records),
        "model_parameters": _parameters(settings, records),
        "quantitative_analysis": {"performance_metrics": list(_metrics(records, slices))},
        "considerations": _considerations(settings, records, slices),
    }
    return {"schema_version": SCHEMA_VERSION, **{name: _filled(found) for name, found in sections.items()}}


def _filled(found: Json) -> Json:
    return {name: value for name, value in found.items() if value}


def _details(settings: Settings, records: Sequence[Record]) -> Json:
    push = records[0]
    return {
        "name": settings.name or PurePosixPath(push["pushed_destination"]).parent.name,
        "overview": settings.overview,
        "documentation": "\n\n".join(filter(None, [settings.documentation, _lineage(records)])),
        "owners": [_owner(each) for each in settings.owners],
        "version": {"name": str(push["pushed_version"]), "date": str(push["created"])[:10]},
        "licenses": [_licence(settings.licence)] if settings.licence else [],
        "references": [{"reference": each} for each in settings.references],
        "citations": [{"citation": each} for each in settings.citations],
    }


def _owner(text: str) -> Json:
    found = _OWNER.fullmatch(text)
    return {"name": found["name"].strip(), "contact": found["contact"]} if found else {"name": text}


def _licence(text: str) -> Json:
    return {"identifier" if _IDENTIFIER.fullmatch(text) else "custom_text": text}


def _lineage(records: Sequence[Record]) -> str:
    """Where it comes from, in sentences; the file with the records has all of it."""
    push = records[0]
    commits = _distinct(_commit(each) for each in records)
    modules = _distinct(
        f"{module.get('function')} of {module.get('name')} ({module.get('digest')})"
        for each in records
        for module in each.get("code", {}).get("modules", {}).values()
    )
    lines = [f"Content of the version: {push['digest']}."]
    lines += [f"Code: commit {', '.join(commits)}."] if commits else []
    lines += [f"Made by {'; '.join(modules)}."] if modules else []
    if verdict := sources(push, records).get("judge_blessing", {}).get(VERDICT):
        lines.append(f"Compared with the version in use: {verdict}.")
    return " ".join([*lines, "The whole lineage is in provenance.json beside this card."])


def _commit(record: Record) -> str:
    code = record.get("code", {})
    changed = " with uncommitted changes" if code.get("modified") else ""
    return f"{code['commit']}{changed}" if code.get("commit") else ""


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, texts)))


def _parameters(settings: Settings, records: Sequence[Record]) -> Json:
    found = {str(each["data"].get("path")): each["data"] for each in records if each.get("data")}
    sensitive = {"sensitive": {"sensitive_data": settings.sensitive}} if settings.sensitive else {}
    data = [{"name": path, "description": _version(each), **sensitive} for path, each in found.items()]
    return {"data": data}


def _version(data: Mapping[str, Any]) -> str:
    names = {"revision": "revision", "DVC": "dvc_hash", "content": "content", "commit": "commit"}
    known = {name: data.get(key) for name, key in names.items()}
    words = [f"{name} {value}" for name, value in known.items() if value]
    words += [f"requests from {' to '.join(data['window'])}"] if data.get("window") else []
    return ", ".join([*words, *([] if data.get("versioned", True) else ["not versioned"])])


def _metrics(records: Sequence[Record], slices: Sequence[Json]) -> Iterator[Json]:
    """Every metric over all rows, then by slice."""
    if not slices:
        slices = [{"slice": "", "metrics": _evaluation(records).get("metrics", {})}]
    for each in slices[:_MOST_SLICES]:
        where = {"slice": each["slice"]} if each["slice"] else {}
        yield from (
            {"type": name, "value": value, **where} for name, value in each["metrics"].items() if math.isfinite(value)
        )


def _evaluation(records: Sequence[Record]) -> Record:
    return next((each for each in records if each["type"] == ModelEvaluation.__name__), {})


def _considerations(settings: Settings, records: Sequence[Record], slices: Sequence[Json]) -> Json:
    described = {name: getattr(settings, name) for name in ("users", "use_cases", "tradeoffs")}
    limits = [*settings.limitations, *_known_limits(records, slices)]
    return {
        **{name: [{"description": each} for each in texts] for name, texts in described.items()},
        "limitations": [{"description": each} for each in limits],
        "ethical_considerations": [
            {"name": name, "mitigation_strategy": strategy} for name, strategy in settings.risks.items()
        ],
    }


def _known_limits(records: Sequence[Record], slices: Sequence[Json]) -> Iterator[str]:
    """What the lineage tells of its limits."""
    if not records[0].get("judged"):
        yield "No evaluator judged this model before it was pushed."
    if any(each["data"].get("versioned") is False for each in records if each.get("data")):
        yield "It was trained on data without a version, which may not be found again."
    if not all(each.get("deterministic", 1) for each in records):
        yield "Its training cannot be repeated bit by bit."
    few = [each["slice"] for each in slices if each["slice"] and (each.get("rows") or 0) < _FEW]
    if few:
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        yield f"Slices with fewer than {_FEW} rows, whose metrics say little: {', '.join(few[:5])}{more}."
