"""Windows of a watched model in the lineage: executions of type `monitor`, from the model and its data to each window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import Artifact

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

_STAGE = "watch"


class WatchedWindow(Artifact):
    """A window of a model's traffic: rows in the monitor's tables."""


@dataclass(frozen=True)
class Seen:
    """A computed window.

    Attributes:
        start: Its start.
        end: Its end.
        rows: Its rows.
        signals: The number of signals in it.
        table_version: The version of the inference table that it was computed from.
        alarms: What changed of the alarms: the id, the state and the sentence of each.
    """

    start: datetime
    end: datetime
    rows: int
    signals: int
    table_version: int
    alarms: tuple[Mapping[str, str], ...] = ()
