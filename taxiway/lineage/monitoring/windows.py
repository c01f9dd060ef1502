"""Windows of a watched model in the lineage: an execution of type `watch` from the model and its data to each window.

A window that is computed again is another execution if something else was found: the lineage tells what was known
when. What people do with alarms is in the alarms' table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import Artifact, Examples, Model
from components.contract.digests import text_digest

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore
    from taxiway.lineage.stored import StoredArtifact

_STAGE = "watch"


class WatchedWindow(Artifact):
    """A window of a model's traffic: rows of the monitor's tables."""


@dataclass(frozen=True)
class Watched:
    """A version that answered in a window.

    Attributes:
        version: Its number.
        model: Where its SavedModel is.
        model_digest: The digest of that.
        data: Where its training data are.
        data_digest: The digest of these.
    """

    version: int
    model: str
    model_digest: str
    data: str
    data_digest: str


@dataclass(frozen=True)
class Seen:
    """A computed window.

    Attributes:
        model: The model's name.
        start: Its start.
        end: Its end.
        rows: Its rows.
        signals: The number of signals in it.
        tables: The folder or URL of the tables.
        table_version: The version of the inference table that it was computed from.
        alarms: What changed of the alarms: the event, the id and the sentence of each.
        settings: The monitor's settings.
    """

    model: str
    start: datetime
    end: datetime
    rows: int
    signals: int
    tables: str
    table_version: int
    alarms: Sequence[Mapping[str, str]]
    settings: Mapping[str, Any]

    @property
    def artifact(self) -> WatchedWindow:
        """The window as an artifact; its digest is of what was found."""
        facts = {"rows": self.rows, "signals": self.signals, "alarms": json.dumps(self.alarms)}
        times = {"window_start": self.start.isoformat(), "window_end": self.end.isoformat()}
        known = {**times, **facts}
        place = f"{self.tables}/windows#{self.start.isoformat()}"
        # Other windows' rows make new versions of the table, which is nothing new of this one.
        digest = text_digest(json.dumps([place, known], sort_keys=True))
        return WatchedWindow(Path(place), {**known, "table_version": self.table_version, "digest": digest}, place)


def record(store: LineageStore, seen: Seen, versions: Sequence[Watched], now: datetime) -> None:
    """Records a window, once for each content."""
    artifact = seen.artifact
    run = f"{_STAGE}-{seen.model}-{seen.start:%Y%m%d-%H%M%S}-{artifact.metadata['digest'][7:15]}"
    parameters = {"model": seen.model, "tables": seen.tables, "settings": json.dumps(seen.settings, default=str)}
    store.start_run(run, _STAGE, parameters, now)
    store.start_task(run, _STAGE, _STAGE, parameters)
    inputs: dict[str, Artifact] = {}
    for each in versions:
        inputs[f"model_{each.version}"] = Model(Path(each.model), {"digest": each.model_digest}, each.model)
        inputs[f"training_data_{each.version}"] = Examples(Path(each.data), {"digest": each.data_digest}, each.data)
    store.finish_task(run, _STAGE, state="COMPLETE", inputs=inputs, outputs={"window": artifact})
    store.finish_run(run, "COMPLETE")


def of_alarm(store: LineageStore, alarm: str) -> list[StoredArtifact]:
    """The windows in which an alarm changed, latest last; of a window that was computed again, the last such time."""
    found = {each.uri: each for each in recorded(store) if change_of(each, alarm)}
    return sorted(found.values(), key=lambda each: str(each.metadata["window_start"]))


def recorded(store: LineageStore) -> list[StoredArtifact]:
    """All windows, each time that they were computed."""
    return store.artifacts(type_name=WatchedWindow.__name__)


def change_of(window: StoredArtifact, alarm: str) -> dict[str, str]:
    """What changed of an alarm in a window: `event`, `alarm` and `sentence`; empty if nothing did."""
    changes: list[dict[str, str]] = json.loads(window.metadata.get("alarms") or "[]")
    return next((each for each in changes if each["alarm"] == alarm), {})
