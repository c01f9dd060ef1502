"""Relations between the records of provenance, sources, siblings and order, and the name of the data in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.execution.provenance import Record

# Of a record's `data`; see `components.versioning.data_versions`.
Data = Mapping[str, Any]

_OF_A_CALL = ("stage", "stage_version", "parameters", "code", "image", "inputs")


def sources(record: Record, records: Iterable[Record]) -> dict[str, Record]:
    """The records of an artifact's inputs, by port. Inputs that no stage made are missing.

    A digest can match several records: every blessing is the same empty file, and a run without cache makes equal
    files again. The best match shares the most inputs with the artifact, as a pushed model's blessing does; among
    equals, it is the latest one made before the artifact.
    """
    made = record.get("created", "")

    def nearness(each: Record) -> tuple[int, bool, str]:
        shared = len(each["inputs"].items() & record["inputs"].items())
        return shared, each.get("created", "") <= made, each.get("created", "")

    found = {}
    for port, digest in record["inputs"].items():
        fitting = [each for each in records if each["digest"] == digest and each is not record]
        if fitting:
            found[port] = max(fitting, key=nearness)
    return found


def siblings(record: Record, records: Iterable[Record]) -> list[Record]:
    """The records of the other outputs of the call that made an artifact, one per output.

    Equal records of two calls may be stored once, with the time of one of them (see `provenance.distinct`).
    """
    found: dict[str, Record] = {}
    for each in records:
        if each["output"] != record["output"] and all(each.get(key) == record.get(key) for key in _OF_A_CALL):
            exact = each.get("created") == record.get("created")
            found[each["output"]] = each if exact else found.get(each["output"], each)
    return list(found.values())


def in_order(records: Sequence[Record]) -> list[Record]:
    """Sorts records breadth-first from the first one, then from the remaining ones, latest first.

    This makes the order independent of where the records were found.
    """
    ordered: list[Record] = []
    for root in [*records[:1], *sorted(records[1:], key=_age, reverse=True)]:
        waiting = [root]
        while waiting:
            record = waiting.pop(0)
            if record not in ordered:
                ordered.append(record)
                waiting += sources(record, records).values()
    return ordered


def _age(record: Record) -> tuple[str, str, str, str]:
    return record.get("created", ""), record["stage"], record["output"], record["digest"]


def data_name(data: Data) -> str:
    """The path of the data that a record names, with the revision if one was given: `data/trips@v1`."""
    return "@".join(str(part) for part in (data.get("path"), data.get("revision")) if part)
