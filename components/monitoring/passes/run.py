"""A pass over a model's tables: every window that has new rows or labels, from the oldest to the newest.

Nothing is added up from pass to pass. A window is computed from all of its rows at one version of the tables, and
replaces what was there, so each row counts once, whatever was killed before, and two monitors at once write the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from components.contract.errors import ServiceError, UserError
from components.inference import reading
from components.inference.privacy.privacy import Privacy
from components.monitoring.labels.columns import keys
from components.monitoring.passes.compute import At, Batches, Computed, compute, counted
from components.monitoring.passes.references import Known, known
from components.monitoring.passes.settings import Settings
from components.monitoring.passes.traffic import COLUMNS, traffic
from components.monitoring.passes.trained import Trained
from components.monitoring.passes.windows import EPOCH, silent, touched, window
from components.monitoring.reference import training
from components.monitoring.store import INFERENCE, LABELS, Store, SupersededError, quoted
from components.monitoring.summaries import Summary
from components.monitoring.tables import PASSES
from components.monitoring.window import Window

Find = Callable[[int], Trained]
"""Finds what a version was trained on; raises TaxiwayError if nobody knows."""

AHEAD = timedelta(minutes=5)
"""How far the monitor's clock may run ahead of that of whoever adds labels."""

_KEPT = timedelta(days=30)
"""How long passes are kept; only the last ones are needed."""

_TOGETHER = 100
"""Passes among the last that are looked at for some that ran at the same time."""


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
    _first: dict[int, datetime] = field(default_factory=dict)
    _superseded: set[datetime] = field(default_factory=set)

    def pass_over(self, now: datetime) -> Iterator[Computed]:
        """Computes what is new, window by window, and notes the pass when all are done.

        Args:
            now: The time.

        Raises:
            UserError: The settings do not fit the data.
            ServiceError: A table cannot be read or written.
        """
        began = time.monotonic()
        # Who has pushed the missing data meanwhile need not restart the monitor.
        self.unknown.clear()
        self._superseded.clear()
        last = self._last_pass()
        table, ranges = reading.changed(self.store.root, last["table_version"] if last else None)
        labels = self.store.version(LABELS)
        if table < 0:
            return
        at = self._at(table, labels)
        changed = set(touched(ranges, self.settings.every))
        starts = changed | {*(last["pending"] or [] if last else [])} | self._labelled(last, at)
        due = {each for each in starts if self._is_over(each, now)}
        due |= self._followers(changed & due)
        self._first = self._first_windows() if due else {}
        done = 0
        for computed in self._all(sorted(due | {*self._silent(due, now)}), at, now):
            done += 1
            yield computed
        pending = sorted((starts - due) | self._superseded)
        if last is None or done or table != last["table_version"] or labels != last["labels_version"]:
            self._note(at, pending, done, time.monotonic() - began, now)

    def _at(self, table: int, labels: int | None) -> At:
        opened = self.store.open(INFERENCE)
        return At(table, labels, str(opened.metadata().id) if opened else "")

    def compared(self, computed: Computed) -> list[Trained]:
        """The versions in a window that were compared with what they were trained on."""
        return [self._known[each].trained for each in computed.versions if each in self._known]  # type: ignore[index]

    def _last_pass(self) -> dict | None:
        """The last pass; of those that ran at the same time, what all of them have done."""
        found = sorted(self.store.read("passes", [("window", "=", self.settings.window)]).to_pylist(), key=_order)
        if not found:
            return None
        last = found[-1]
        together = [each for each in found[-_TOGETHER:-1] if _ended(each) > last["time"] > each["time"]]
        return {**last, "table_version": min(each["table_version"] for each in [*together, last])}

    def _is_behind(self, each: Window, at: At, now: datetime) -> bool:
        """Whether another monitor, which began later, has computed a window from later rows meanwhile."""
        own = [("window_start", "=", each.start), ("window", "=", each.length)]
        later = [("table_version", ">", at.table), ("computed", ">=", now)]
        return bool(self.store.read("windows", [*own, *later], ["table_version"]).num_rows)

    def _is_over(self, start: datetime, now: datetime) -> bool:
        return start + self.settings.every + self.settings.lateness <= now

    def _silent(self, due: set[datetime], now: datetime) -> list[datetime]:
        """Windows without any row since the last one: silence is something to be told as well."""
        columns = ["window_start", "window"]
        found = self.store.read("windows", [("window", "=", self.settings.window)], columns)
        known_starts = found["window_start"].to_pylist() if found.num_rows else []
        starts = [*known_starts, *due]
        until = now - self.settings.lateness
        gaps = silent(min(starts), until, self.settings.every) if starts else []
        return [each for each in gaps if each not in set(known_starts)]

    def _followers(self, changed: set[datetime]) -> set[datetime]:
        """The windows that were compared with one that late rows have changed."""
        own = [("window", "=", self.settings.window), ("rows", ">", 0)]
        found = self.store.read("windows", own, ["window_start"]) if changed else None
        after = {each + self.settings.every for each in changed}
        return after & set(found["window_start"].to_pylist() if found else [])

    def _labelled(self, last: dict | None, at: At) -> set[datetime]:
        """The windows whose requests have new labels."""
        if last is None or at.labels is None or at.labels == last["labels_version"]:
            return set()
        fresh = self._new_labels(last, at.labels)
        every = self.settings.every
        found = set[datetime]()
        if keys(fresh.column_names) and fresh.num_rows:
            first, end = pc.min(fresh["label_time"]).as_py(), pc.max(fresh["label_time"]).as_py()
            found |= set(self._known_windows(first - self.settings.labels_for, end))
        ids = pc.unique(fresh["request_id"].drop_null()) if fresh.num_rows else pa.array([], pa.string())
        if len(ids):
            columns = ["request_id", "time"]
            # Outcomes are of requests before them, but clocks differ.
            end = pc.max(fresh["label_time"]).as_py() + timedelta(days=1)
            for batch in reading.batches(self.store.root, at.table, EPOCH, end, columns):
                times = batch.filter(pc.is_in(batch["request_id"], ids))["time"].to_pylist()
                found |= {EPOCH + (each - EPOCH) // every * every for each in times}
        return found

    def _new_labels(self, last: dict, version: int) -> pa.Table:
        """The labels that the last pass did not have."""
        recent = [("arrived", ">=", last["time"] - AHEAD)]
        fresh = self.store.read(LABELS, recent, version=version)
        if not fresh.num_rows or last["labels_version"] is None:
            return fresh
        # If the files of its version are gone, some windows are computed once more than they need be.
        with suppress(ServiceError):
            known = self.store.read(LABELS, recent, ["source"], version=last["labels_version"])
            return fresh.filter(pc.invert(pc.is_in(fresh["source"], pc.unique(known["source"]))))
        return fresh

    def _known_windows(self, first: datetime, end: datetime) -> Iterable[datetime]:
        where = [("window", "=", self.settings.window), ("window_start", "<=", end), ("window_end", ">", first)]
        return self.store.read("windows", where, ["window_start"])["window_start"].to_pylist()  # type: ignore[no-any-return]

    def _all(self, starts: list[datetime], at: At, now: datetime) -> Iterator[Computed]:
        before: Computed | None = None
        columns = self._columns() if starts else frozenset()
        for start in starts:
            each = window(self.model, start, self.settings.window, self.settings.every)
            if self._is_behind(each, at, now):
                continue
            batches = self._batches(each, at)
            requests = traffic(batches(COLUMNS))
            answered = sorted(version for version in requests if version is not None)
            versions = {version: found for version in answered if (found := self._of(version, columns))}
            earlier = self._earlier(each, versions, columns)
            previous = before.counted if before and before.window.end == start else self._previous(each, at, versions)
            try:
                before = compute(
                    self.store,
                    each,
                    batches,
                    versions,
                    requests=requests,
                    earlier=earlier,
                    previous=previous,
                    settings=self.settings,
                    at=at,
                    now=now,
                )
            except SupersededError:
                # The other may be killed before it is done.
                self._superseded.add(start)
                continue
            yield before

    def _batches(self, each: Window, at: At) -> Batches:
        return lambda columns: reading.batches(self.store.root, at.table, each.start, each.end, columns)

    def _previous(
        self, each: Window, at: At, versions: Mapping[int, Known]
    ) -> Mapping[tuple[int, str], Mapping[str, Summary]]:
        """What the window before has, if it has rows."""
        before = window(self.model, each.start - self.settings.every, self.settings.window, self.settings.every)
        return counted(self._batches(before, at), versions).summaries if versions else {}

    def _earlier(self, each: Window, versions: Mapping[int, Known], columns: frozenset[str]) -> dict[int, Known]:
        """For versions that answer for the first time, the version before them."""
        for version in versions:
            self._first[version] = min(self._first.get(version, each.start), each.start)
        found = dict[int, Known]()
        for version in (new for new in versions if self._first[new] == each.start):
            older = [before for before, first in self._first.items() if before < version and first <= each.start]
            if older and (known := self._of(max(older), columns)):
                found[version] = known
        return found

    def _first_windows(self) -> dict[int, datetime]:
        """The first window of each version."""
        where = [("column", "=", ""), ("slice", "=", ""), ("window", "=", self.settings.window)]
        found = self.store.read("profile", where, ["version", "window_start"])
        firsts = found.group_by("version").aggregate([("window_start", "min")]).to_pylist() if found.num_rows else []
        return {each["version"]: each["window_start_min"] for each in firsts if each["version"] is not None}

    def _columns(self) -> frozenset[str]:
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
            except UserError as error:
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
        old = (now - _KEPT).astimezone(UTC).isoformat()
        own = f'"window" = {quoted(self.settings.window)}'
        where = f"{own} AND (\"time\" < '{old}' OR \"time\" = '{now.astimezone(UTC).isoformat()}')"
        self.store.replace("passes", pa.Table.from_pylist([row], PASSES), where)


def _order(noted: Mapping[str, Any]) -> tuple[datetime, int, int]:
    return noted["time"], noted["table_version"], -1 if noted["labels_version"] is None else noted["labels_version"]


def _ended(noted: Mapping[str, Any]) -> datetime:
    ended: datetime = noted["time"] + timedelta(seconds=noted["seconds"])
    return ended
