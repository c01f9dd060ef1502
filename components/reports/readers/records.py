"""The records of artifacts, as far as they can be understood: what another program wrote must not end a report."""

from __future__ import annotations

from typing import Any

from components.contract.artifacts import Artifact
from components.execution import provenance
from components.execution.provenance import Record
from components.reports.readers.trying import Unreadable, tried


def chain(artifact: Artifact) -> list[Record]:
    """The records of an artifact and its ancestors, its own first; empty if there are none that can be read."""
    found = tried("The record", lambda: provenance.chain(artifact))
    return [] if isinstance(found, Unreadable) else [each for each in found if _is_sound(each)]


def own(artifact: Artifact | None) -> Record:
    """An artifact's own record; empty if there is none."""
    return next(iter(chain(artifact)), {}) if artifact else {}


def modules(record: Record) -> list[dict[str, Any]]:
    """The user's modules that were used: `name`, `function` and `digest`."""
    return list(record.get("code", {}).get("modules", {}).values())


def figure(artifact: Artifact, name: str) -> float | None:
    """A number in an artifact's metadata; None if there is none. Kubeflow passes every number as a double."""
    found = tried(name, lambda: float(artifact.metadata[name]))
    return None if isinstance(found, Unreadable) else found


def _is_sound(record: Any) -> bool:
    if not isinstance(record, dict) or not _are_dicts(record, "inputs", "parameters", "code"):
        return False
    texts = [record.get("digest"), record.get("type"), record.get("stage"), *record["inputs"].values()]
    code = record.get("code", {})
    used = code.get("modules", {})
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(code.get("commit", ""), str)
        and isinstance(used, dict)
        and all(isinstance(module, dict) for module in used.values())
        and isinstance(record.get("data") or {}, dict)
    )


def _are_dicts(record: Record, *names: str) -> bool:
    return all(isinstance(record.get(name, {}), dict) for name in names) and "inputs" in record
