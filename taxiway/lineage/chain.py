"""Traces an artifact back to the data, the commit and the modules that it was made from.

The source is the lineage store if it knows the artifact, else the `provenance.json` beside every artifact and pushed
model. The result is the same either way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from components.contract.errors import UserError
from components.execution.provenance import Record
from components.execution.records import in_order
from taxiway.lineage import rollbacks
from taxiway.lineage.lookup import look_up
from taxiway.lineage.loop import why
from taxiway.lineage.monitoring import alarms

if TYPE_CHECKING:
    from taxiway.lineage.loop.cycle import Cycle
    from taxiway.lineage.rollbacks import Rollback
    from taxiway.lineage.store import LineageStore


@dataclass(frozen=True)
class Chain:
    """What an artifact was made from.

    Attributes:
        target: The target as given by the user.
        records: See `components.execution.provenance`; the target's own first, each before its sources.
        rollbacks: Rollbacks from or to the target, latest last; known only to the store.
        cycles: The cycles of the loop that the target came of, latest last; known only to the store.
    """

    target: str
    records: list[Record]
    rollbacks: list[Rollback] = field(default_factory=list)
    cycles: list[Cycle] = field(default_factory=list)

    @property
    def data(self) -> list[dict[str, Any]]:
        """The data versions behind it: DVC path, hash and revision. Equal data is listed once with the first commit."""
        return _distinct((record["data"] for record in self.records if record.get("data")), but="commit")

    @property
    def code(self) -> list[dict[str, Any]]:
        """The Git commits of the code that was used: `commit` and `modified`."""
        codes = (record.get("code", {}) for record in self.records)
        return _distinct({key: code[key] for key in ("commit", "modified")} for code in codes if code.get("commit"))

    @property
    def modules(self) -> list[dict[str, str]]:
        """The user's modules that were used: `name`, `function` and `digest`. Equal code is listed once."""
        used = (module for r in self.records for module in r.get("code", {}).get("modules", {}).values())
        return _distinct(used, but="file_digest")


def to_json(chain: Chain) -> str:
    """The chain as JSON: `target`, `data`, `code`, `modules`, `records`, `rollbacks` and `cycles`."""
    names = ("target", "data", "code", "modules", "records")
    found = {name: getattr(chain, name) for name in names}
    said = {"rollbacks": [asdict(each) for each in chain.rollbacks], "cycles": list(map(why.to_json, chain.cycles))}
    return json.dumps({**found, **said}, indent=1)


def trace(target: str, *, store: LineageStore | None = None) -> Chain:
    """Finds what an artifact was made from.

    Args:
        target: A pushed version's folder or URL, an artifact's path or URI, a digest (`sha256:...`; a unique prefix
            of at least eight hex digits is enough), or the id of an alarm.
        store: The lineage store; without one, the target's own files are read.

    Raises:
        UserError: The target is unknown; the error names the closest match.
    """
    # A pushed version's record lists its files, which only verification needs.
    records = [{k: v for k, v in record.items() if k != "files"} for record in _records(target, store)]
    return Chain(target, in_order(records), rollbacks.all_of(store, target), why.cycles_of(store, target))


def _records(target: str, store: LineageStore | None) -> list[Record]:
    found = alarms.look_up_alarm(target, store)
    if found or store is None:
        return found or look_up(target, store)
    try:
        return look_up(target, store)
    except UserError as error:
        if hint := alarms.hint(target, store):
            raise UserError(f"{error.what}, and no alarm has this id", fix=hint) from error
        raise


def _distinct(values: Iterable[dict[str, Any]], but: str = "") -> list[dict[str, Any]]:
    """The distinct values in order; of values that differ only in the key `but`, the first."""
    found: dict[str, dict[str, Any]] = {}
    for value in values:
        found.setdefault(json.dumps({**value, but: ""}, sort_keys=True), value)
    return list(found.values())
