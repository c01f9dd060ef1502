"""Records of `components.execution.provenance`: which is whose source, and in which order they read best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from components.execution.provenance import Record

_OF_A_CALL = ("stage", "stage_version", "parameters", "code", "image", "inputs")


def sources(record: Record, records: Iterable[Record]) -> dict[str, Record]:
    """The records of an artifact's inputs, by port; those that no stage made are missing.

    A digest alone may fit several: every blessing is the same empty file, and a run without a cache makes equal files
    once more. The one that shares most inputs with the artifact is meant, as a pushed model's blessing is of that
    model; of several the last that was there in time.
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
    """The records of the other outputs of the call that made an artifact, one an output.

    Equal records of two calls may be there once, with the time of one of them (see `provenance.distinct`).
    """
    found: dict[str, Record] = {}
    for each in records:
        if each["output"] != record["output"] and all(each.get(key) == record.get(key) for key in _OF_A_CALL):
            exact = each.get("created") == record.get("created")
            found[each["output"]] = each if exact else found.get(each["output"], each)
    return list(found.values())


def in_order(records: Sequence[Record]) -> list[Record]:
    """Breadth first from the first record, then from what else is there, latest first.

    So the order does not depend on where the records were found.
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
