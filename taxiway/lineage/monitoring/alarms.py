"""From an alarm to the windows in which it changed, and from these to the model, its data and its code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.contract.commands import typed
from components.contract.errors import UserError
from components.execution.provenance import Record
from taxiway.lineage.lookup import look_up
from taxiway.lineage.monitoring import windows

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore
    from taxiway.lineage.stored import StoredArtifact

_ID = re.compile(r"[0-9a-f]{12}")


def look_up_alarm(target: str, store: LineageStore | None) -> list[Record]:
    """The records of an alarm's windows, the latest first, and of what is behind them; none if it is no alarm."""
    if store is None or not _ID.fullmatch(target):
        return []
    found = windows.of_alarm(store, target)[::-1]
    used = {each.id: _inputs(store, each) for each in found}
    records = [_record(each, target, used[each.id]) for each in found]
    models = {each.digest: each for inputs in used.values() for each in inputs.values() if each.type_name == "Model"}
    return records + [record for each in models.values() for record in _behind(each, store)]


def hint(target: str, store: LineageStore) -> str:
    """The command that lists the alarms of the model that was watched last; empty if the target cannot be an alarm."""
    watched = windows.recorded(store) if _ID.fullmatch(target) else []
    root, _, model = watched[-1].uri.partition("/windows#")[0].rpartition("/") if watched else ("", "", "")
    return f"`{typed('taxiway alarms list', model, '--all', '--tables', root)}` lists the alarms" if model else ""


def _inputs(store: LineageStore, window: StoredArtifact) -> dict[str, StoredArtifact]:
    """The models that answered in a window, and their training data."""
    behind = [each for each in store.behind([window]) if each.id != window.id]
    names = {"Model": "model", "Examples": "training_data"}
    return {f"{names[each.type_name]}_{number}": each for number, each in enumerate(behind, 1)}


def _record(window: StoredArtifact, alarm: str, inputs: dict[str, StoredArtifact]) -> Record:
    facts = ("window_start", "window_end", "rows", "signals", "table_version")
    change = windows.change_of(window, alarm)
    return {
        "type": window.type_name,
        "stage": "watch",
        "output": "window",
        "digest": window.digest,
        "created": window.metadata["window_end"],
        "inputs": {name: each.digest for name, each in inputs.items()},
        "parameters": {name: window.metadata[name] for name in facts},
        "alarm": alarm,
        "event": change["event"],
        "sentence": change["sentence"],
    }


def _behind(model: StoredArtifact, store: LineageStore) -> Iterator[Record]:
    """A pushed model's own records: of its place, or, where that is gone, of its digest."""
    for target in (model.uri, model.digest):
        try:
            yield from look_up(target, store)
            return
        except UserError:
            continue
