"""Records of provenance (see `components.provenance`): which is whose source, and in which order they read best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from components.provenance import Record


def sources(record: Record, records: Iterable[Record]) -> dict[str, Record]:
    """The records of an artifact's inputs, by port; those that no stage made are missing.

    A digest alone may fit several: every blessing is the same empty file. The one that shares most inputs with the
    artifact is meant: a pushed model's blessing is of that model.
    """
    found = {}
    for port, digest in record["inputs"].items():
        fitting = [each for each in records if each["digest"] == digest and each is not record]
        if fitting:
            found[port] = max(fitting, key=lambda each: len(each["inputs"].items() & record["inputs"].items()))
    return found


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
