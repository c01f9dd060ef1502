"""The stage's artifact: what the pass found, and the rows that a report shows, readable without the tables."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.contract.artifacts import ModelMonitoring
from components.contract.files import whole_folder
from components.monitor.watching import Asked, Passed
from components.monitoring.alarms.alarm import Alarm
from components.monitoring.store import Store

ALARMS, WINDOWS, TABLES = "alarms.json", "windows.json", "tables"
"""The artifact's files."""

SHOWN = 200
"""The latest windows, whose rows the artifact has."""

_COPIED = ("windows", "profile", "drift", "quality", "alarms")


def write(monitoring: ModelMonitoring, asked: Asked, passed: Passed) -> None:
    """Writes the artifact, and its metadata."""
    with whole_folder(monitoring.path) as folder:
        _write_json(folder / ALARMS, [_as_json(each) for each in passed.alarms])
        _write_json(folder / WINDOWS, passed.windows)
        _copy(asked.store, asked.settings.watched.window, folder / TABLES)
    monitoring.metadata.update(
        model_name=asked.model_name,
        tables=asked.tables,
        windows=len(passed.windows),
        rows=sum(each["rows"] for each in passed.windows),
        signals=sum(each["signals"] for each in passed.windows),
        alarms=len(passed.open),
        suspected=len(passed.suspected),
    )
    monitoring.summarize("alarms", _summary(passed))
    for version, reason in sorted(passed.unknown.items()):
        monitoring.note(f"version {version} was not compared: {reason}")


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, default=str))


def _as_json(alarm: Alarm) -> dict[str, Any]:
    times = {name: each.isoformat() if each else None for name, each in _times(alarm).items()}
    return {**asdict(alarm), **times, "picture": json.loads(alarm.picture) if alarm.picture else None}


def _times(alarm: Alarm) -> dict[str, Any]:
    names = ("since", "opened", "last", "closed", "changed", "acknowledged")
    return {name: getattr(alarm, name) for name in names}


def _copy(store: Store, length: str, folder: Path) -> None:
    """Copies the rows of the latest windows."""
    folder.mkdir()
    starts = store.read("windows", [("window", "=", length)], ["window_start"]) if store.open("windows") else None
    latest = sorted(starts["window_start"].to_pylist())[-SHOWN:] if starts else []
    for name in _COPIED if latest else ():
        since = [("last", ">=", latest[0])] if name == "alarms" else [("window_start", ">=", latest[0])]
        rows = store.read(name, [("window", "=", length), *since])
        keys = [each for each in ("window_start", "version", "slice", "column", "alarm") if each in rows.column_names]
        pq.write_table(rows.sort_by([(each, "ascending") for each in keys]), folder / f"{name}.parquet")


def _summary(passed: Passed) -> str:
    windows = f"{len(passed.windows)} window{'s' * (len(passed.windows) != 1)} computed"
    if passed.open:
        return f"{len(passed.open)} open ({windows}): {passed.open[0].sentence}"
    return f"none open ({windows})"
