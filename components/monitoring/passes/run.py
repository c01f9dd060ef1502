"""A pass over a model's tables: every window that has new rows or labels, from the oldest to the newest.

Nothing is added up from pass to pass. A window is computed from all of its rows at one version of the tables, and
replaces what was there, so each row counts once, whatever was killed before, and two monitors at once write the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.contract.errors import TaxiwayError
from components.inference import reading
from components.inference.privacy.privacy import Privacy
from components.monitoring.alarms.facts import Window
from components.monitoring.labels.columns import keys
from components.monitoring.passes.compute import At, Batches, Computed, compute, counted
from components.monitoring.passes.references import Known, known
from components.monitoring.passes.settings import Settings
from components.monitoring.passes.trained import Trained
from components.monitoring.passes.windows import EPOCH, silent, touched, window
from components.monitoring.reference import training
from components.monitoring.store import INFERENCE, LABELS, Store
from components.monitoring.summaries import Summary
from components.monitoring.tables import PASSES

Find = Callable[[int], Trained]
"""Finds what a version was trained on; raises TaxiwayError if nobody knows."""

AHEAD = timedelta(minutes=5)
"""How far the clock of a server may run ahead of the monitor's; later windows wait."""

_FAR = timedelta(days=3650)


@dataclass
class Watch:
    """A model that is watched; versions are found once.

    Attributes:
        store: Its tables.
        model: Its name.
        find: Finds what a version was trained on.
        settings: The monitor's settings.
        cache: The folder that keeps references.
        privacy: The rules by which rows were protected before they were written.
        unknown: Why a version cannot be compared, by version.
    """

    store: Store
    model: str
    find: Find
    settings: Settings
    cache: Path
    privacy: Privacy | None = None
    unknown: dict[int, str] = field(default_factory=dict)
    _known: dict[int, Known] = field(default_factory=dict)
    _limited: dict[int, tuple[frozenset[str], Known]] = field(default_factory=dict)

    def pass_over(self, now: datetime) -> Iterator[Computed]:
        """Computes what is new, window by window, and notes the pass when all are done.

        Args:
            now: The time.

        Raises:
            UserError: The settings do not fit the data.
            ServiceError: A table cannot be read or written.
        """
        began = time.monotonic()
        last = self._last_pass()
        table, ranges = reading.changed(self.store.root, last["table_version"] if last else None)
        labels = self.store.version(LABELS)
        if table < 0:
            return
        at = At(table, labels)
        starts = {*touched(ranges, self.settings.every), *(last["pending"] or [] if last else [])}
        starts |= self._labelled(last, at)
        due = [each for each in starts if self._is_over(each, now)]
        done = 0
        for computed in self._all(sorted({*due, *self._silent(due, now)}), at, now):
            done += 1
            yield computed
        pending = sorted(starts - set(due))
        if last is None or done or table != last["table_version"] or labels != last["labels_version"]:
            self._note(at, pending, done, time.monotonic() - began, now)

    def compared(self, computed: Computed) -> list[Trained]:
        """The versions in a window that were compared with what they were trained on."""
        return [self._known[each].trained for each in computed.versions if each in self._known]  # type: ignore[index]

    def _last_pass(self) -> dict | None:
        found = self.store.read("passes", [("window", "=", self.settings.window)]).sort_by("time").to_pylist()
        return found[-1] if found else None

    def _is_over(self, start: datetime, now: datetime) -> bool:
        return start + self.settings.every + self.settings.lateness <= now

    def _silent(self, due: list[datetime], now: datetime) -> list[datetime]:
        """Windows without any row since the last one: silence is something to be told as well."""
        columns = ["window_start", "window"]
        found = self.store.read("windows", [("window", "=", self.settings.window)], columns)
        known_starts = found["window_start"].to_pylist() if found.num_rows else []
        starts = [*known_starts, *due]
        until = now - self.settings.lateness
        gaps = silent(min(starts), until, self.settings.every) if starts else []
        return [each for each in gaps if each not in set(known_starts)]

    def _labelled(self, last: dict | None, at: At) -> set[datetime]:
        """The windows whose requests have new labels."""
        if last is None or at.labels is None or at.labels == last["labels_version"]:
            return set()
        # The clock of whoever adds labels may be behind.
        fresh = self.store.read(LABELS, [("arrived", ">=", last["time"] - AHEAD)], version=at.labels)
        every = self.settings.every
        found = set[datetime]()
        if keys(fresh.column_names) and fresh.num_rows:
            first, end = pc.min(fresh["label_time"]).as_py(), pc.max(fresh["label_time"]).as_py()
            found |= set(self._known_windows(first - self.settings.labels_for, end))
        ids = pc.unique(fresh["request_id"].drop_null()) if fresh.num_rows else pa.array([], pa.string())
        if len(ids):
            columns = ["request_id", "time"]
            for batch in reading.batches(self.store.root, at.table, EPOCH, EPOCH + 20 * _FAR, columns):
                times = batch.filter(pc.is_in(batch["request_id"], ids))["time"].to_pylist()
                found |= {EPOCH + (each - EPOCH) // every * every for each in times}
        return found

    def _known_windows(self, first: datetime, end: datetime) -> Iterable[datetime]:
        where = [("window", "=", self.settings.window), ("window_start", "<=", end), ("window_end", ">", first)]
        return self.store.read("windows", where, ["window_start"])["window_start"].to_pylist()  # type: ignore[no-any-return]

    def _all(self, starts: list[datetime], at: At, now: datetime) -> Iterator[Computed]:
        before: Computed | None = None
        for start in starts:
            each = window(self.model, start, self.settings.window, self.settings.every)
            batches = self._batches(each, at)
            versions = self._versions(batches, at)
            previous = before.counted if before and before.window.end == start else self._previous(each, at, versions)
            before = compute(
                self.store, each, batches, versions, previous=previous, settings=self.settings, at=at, now=now
            )
            yield before

    def _batches(self, each: Window, at: At) -> Batches:
        return lambda columns: reading.batches(self.store.root, at.table, each.start, each.end, columns)

    def _previous(
        self, each: Window, at: At, versions: Mapping[int, Known]
    ) -> Mapping[tuple[int, str], Mapping[str, Summary]]:
        """What the window before has, if it has rows."""
        before = window(self.model, each.start - self.settings.every, self.settings.window, self.settings.every)
        return counted(self._batches(before, at), versions).summaries if versions else {}

    def _versions(self, batches: Batches, at: At) -> dict[int, Known]:
        """The versions that answered in a window and can be compared."""
        found = set[int]()
        for batch in batches(["version"]):
            found |= {each for each in pc.unique(batch["version"]).to_pylist() if each is not None}
        columns = self._columns(at)
        return {version: each for version in sorted(found) if (each := self._of(version, columns))}

    def _columns(self, at: At) -> frozenset[str]:
        table = self.store.open(INFERENCE)
        assert table is not None
        private = self.privacy.unwatched if self.privacy else frozenset()
        ignored = {f"input_{name}" for name in self.settings.ignore} | {*self.settings.ignore, *private}
        return frozenset(each.name for each in table.schema().fields if each.name not in ignored)

    def _of(self, version: int, columns: frozenset[str]) -> Known | None:
        if version in self.unknown:
            return None
        if version not in self._known:
            try:
                self._known[version] = known(self.find(version), self.settings, self.cache, self.privacy)
            except TaxiwayError as error:
                self.unknown[version] = str(error)
                return None
            training.record(self.store, self.model, self._known[version].whole)
        kept = self._limited.get(version)
        if kept is None or kept[0] != columns:
            # The same object each time: what is simulated for a reference is kept with it.
            kept = self._limited[version] = (columns, self._known[version].limited(set(columns)))
        return kept[1]

    def _note(self, at: At, pending: list[datetime], done: int, seconds: float, now: datetime) -> None:
        row = {
            "time": now,
            "model": self.model,
            "window": self.settings.window,
            "table_version": at.table,
            "labels_version": at.labels,
            "pending": pending,
            "windows": done,
            "seconds": seconds,
        }
        self.store.append("passes", pa.Table.from_pylist([row], PASSES))
