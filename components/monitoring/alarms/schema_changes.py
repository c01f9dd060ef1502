"""What is different between the columns of two versions of a model."""

from __future__ import annotations

from collections.abc import Mapping

from components.monitoring.summaries import Summary


def schema_changes(before: Mapping[str, Summary], after: Mapping[str, Summary]) -> dict[str, str]:
    """By column, what is different from the version before; empty if nothing is."""
    found = dict.fromkeys(after.keys() - before.keys(), "the version before had no such column")
    found |= dict.fromkeys(before.keys() - after.keys(), "only the version before had this column")
    for name in before.keys() & after.keys():
        old, new = before[name].bins.kind, after[name].bins.kind
        if old != new:
            found[name] = f"it is a {new}, and was a {old} in the version before"
    return dict(sorted(found.items()))
