"""One window: counted, compared, judged, and written to the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa

from components.monitoring.alarms import schema_changes, update
from components.monitoring.alarms.alarm import Change
from components.monitoring.alarms.facts import Facts, Part, Traffic
from components.monitoring.calibration.decide import decide, decide_all
from components.monitoring.calibration.limits import limits
from components.monitoring.decision import Decision
from components.monitoring.drift import rows as drift_rows
from components.monitoring.drift.multivariate import MultivariateResult, compare_rows
from components.monitoring.passes.references import Known
from components.monitoring.passes.references import slicer as slicer_of
from components.monitoring.passes.settings import Settings
from components.monitoring.profile import rows as profile_rows
from components.monitoring.profile.traffic import Traffic as Counts
from components.monitoring.profile.window import Counted, count
from components.monitoring.quality import measure
from components.monitoring.quality.doubts import doubts
from components.monitoring.quality.facts import Settings as QualitySettings
from components.monitoring.store import Fence, Store
from components.monitoring.summaries import Summary
from components.monitoring.tables import DRIFT, PREVIOUS, PROFILE, TRAINING, WINDOWS
from components.monitoring.window import Window

Batches = Callable[[list[str] | None], Iterator[pa.RecordBatch]]
"""Reads a window's rows, of some columns or all of them."""

TOGETHER_SHARE, TOGETHER_FLOOR = 0.1, 0.02
"""The share of the level that the measure over all columns has, and its least effect, as AUC above 0.5."""

_LABELS_BITS = 24
_PART_ROWS = 30
"""Of a slice or version with fewer rows nothing is said."""


@dataclass(frozen=True)
class Computed:
    """A computed window.

    Attributes:
        window: The window.
        rows: Its rows.
        signals: The number of signals in it.
        changes: What changed of the alarms.
        table_version: The version of the inference table that it was computed from.
        versions: The versions that answered; those that cannot be compared are not among `counted`.
        counted: What was counted, which the next window is compared with.
        doubts: Why estimates of the quality are not to be trusted.
    """

    window: Window
    rows: int
    signals: int
    changes: list[Change]
    table_version: int
    versions: list[int | None]
    counted: Mapping[tuple[int, str], Mapping[str, Summary]] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class At:
    """The versions of the tables that a window is computed from.

    Attributes:
        table: The inference table's version.
        labels: The labels' version; None if there are none.
        id: The id of the inference table: one that is made anew has another.
    """

    table: int
    labels: int | None
    id: str = ""

    def fence(self, window: Window) -> Fence:
        """Lets a window be replaced only from the same or later versions."""
        labels = 0 if self.labels is None else self.labels + 1
        return Fence(f"{window.length} {window.start.isoformat()} {self.id}", (self.table << _LABELS_BITS) + labels)


def counted(batches: Batches, known: Mapping[int, Known]) -> Counted:
    """What is counted in a window, by version and slice."""
    config = next((each.version.eval_config for each in known.values()), {})
    return count(batches(None), {version: each.whole for version, each in known.items()}, slicer_of(config))


def compute(
    store: Store,
    window: Window,
    batches: Batches,
    known: Mapping[int, Known],
    *,
    requests: Mapping[int | None, Traffic],
    earlier: Mapping[int, Known],
    previous: Mapping[tuple[int, str], Mapping[str, Summary]],
    settings: Settings,
    at: At,
    now: datetime,
) -> Computed:
    """Computes a window, and replaces what the tables have of it.

    Args:
        store: The model's tables.
        window: The window.
        batches: Reads its rows.
        known: What its versions were trained on.
        requests: Its requests by version; see `traffic`.
        earlier: The same of the version before, for those that answer for the first time.
        previous: What was counted in the window before.
        settings: The monitor's settings.
        at: The versions of the tables that are read.
        now: The time.

    Raises:
        UserError: The settings do not fit the data.
        ServiceError: Others write to the tables without a pause.
        SupersededError: Another monitor computes the window from later rows or labels.
    """
    fence = at.fence(window)
    found = counted(batches, known)
    parts = _parts(found, known, settings)
    together = {v: compare_rows(known[v].whole, rows) for v, rows in found.samples.items() if rows.num_rows}
    decisions = _decisions(parts, known, together, settings)
    profile = [*_profile(window, parts, found.traffic, settings, now)]
    drift = [*_drift(window, parts, known, decisions, previous=previous, settings=settings, now=now)]
    quality = _quality(store, window, batches, known, settings=settings, at=at)
    facts = Facts(_facts(parts, known, decisions), requests, quality, _schemas(known, earlier))
    where = window.place
    store.replace("profile", pa.concat_tables([PROFILE.empty_table(), *profile]), where, fence)
    store.replace("drift", pa.concat_tables([DRIFT.empty_table(), *drift]), where, fence)
    if quality is not None:
        store.replace("quality", quality, where, fence)
    changes = update.update(store, window, facts, now, settings.alarms, fence=fence)
    rows = sum(each.rows for each in found.traffic.values())
    store.replace("windows", _windows_row(window, rows, at, _reference(found, known), now), where, fence)
    signals = sum(each.signal for of_part in decisions.values() for each in of_part)
    return Computed(
        window=window,
        rows=rows,
        signals=signals,
        changes=changes,
        table_version=at.table,
        versions=sorted(found.traffic, key=repr),
        counted=found.summaries,
        doubts=doubts(quality),
    )


def _parts(
    found: Counted, known: Mapping[int, Known], settings: Settings
) -> dict[tuple[int, str], Mapping[str, Summary]]:
    """The versions and slices of which something can be said."""
    return {
        (version, name): {column: each for column, each in columns.items() if column not in settings.ignore}
        for (version, name), columns in found.summaries.items()
        if name in known[version].references and columns and _rows(columns) >= (_PART_ROWS if name else 1)
    }


def _rows(columns: Mapping[str, Summary]) -> int:
    return max((each.rows for each in columns.values()), default=0)


def _decisions(
    parts: Mapping[tuple[int, str], Mapping[str, Summary]],
    known: Mapping[int, Known],
    together: Mapping[int, MultivariateResult],
    settings: Settings,
) -> dict[tuple[int, str], list[Decision]]:
    """What is decided of each part; versions, slices and the measure over all columns share the level."""
    versions = sorted({version for version, _ in parts})
    found: dict[tuple[int, str], list[Decision]] = {}
    for version in versions:
        own = {name: columns for (v, name), columns in parts.items() if v == version}
        decided = decide_all(known[version].references, own, settings.calibration())
        for name, decisions in decided.items():
            columns = len(versions) / (1 - TOGETHER_SHARE if version in together else 1)
            found[version, name] = [_adjusted(each, columns, settings) for each in decisions]
        if version in together:
            found[version, ""] = [*found[version, ""], _together(together[version], len(versions), settings)]
    return found


def _adjusted(decision: Decision, times: float, settings: Settings) -> Decision:
    p = min(1.0, decision.p_adjusted * times)
    signal = decision.signal and p <= settings.level
    return replace(decision, p_adjusted=p, signal=signal, tests=decision.tests * times)


def _together(result: MultivariateResult, versions: int, settings: Settings) -> Decision:
    tests = versions / TOGETHER_SHARE
    p = min(1.0, result.p * tests)
    return Decision(
        column=drift_rows.ALL_COLUMNS,
        test=drift_rows.TOGETHER,
        effect=result.effect,
        effect_unit=drift_rows.AUC,
        p_value=result.p,
        p_adjusted=p,
        signal=p <= settings.level and result.effect >= TOGETHER_FLOOR,
        importance=0.0,
        tests=tests,
        shared=result.rows / max(result.rows + result.reference_rows, 1),
        floor=TOGETHER_FLOOR,
        level=settings.level,
    )


def _profile(
    window: Window,
    parts: Mapping[tuple[int, str], Mapping[str, Summary]],
    requests: Mapping[int | None, Counts],
    settings: Settings,
    now: datetime,
) -> Iterator[pa.Table]:
    total = sum(each.requests for each in requests.values())
    hours = (window.end - window.start).total_seconds() / 3600
    for version, each in requests.items():
        price = settings.price_per_hour
        cost = None if price is None or not total else price * hours * each.requests / total
        key = profile_rows.key(window, version, "", now)
        yield profile_rows.rows(key, parts.get((version, ""), {}) if version is not None else {}, each, cost)
    for (version, name), columns in parts.items():
        if name:
            yield profile_rows.rows(profile_rows.key(window, version, name, now), columns)


def _drift(
    window: Window,
    parts: Mapping[tuple[int, str], Mapping[str, Summary]],
    known: Mapping[int, Known],
    decisions: Mapping[tuple[int, str], list[Decision]],
    *,
    previous: Mapping[tuple[int, str], Mapping[str, Summary]],
    settings: Settings,
    now: datetime,
) -> Iterator[pa.Table]:
    for (version, name), columns in parts.items():
        key = profile_rows.key(window, version, name, now)
        reference = known[version].references[name]
        found = decisions[version, name]
        # Limits are simulated, and slices are many.
        ends = None if name else limits
        yield drift_rows.rows(key, TRAINING, reference=reference.columns, window=columns, decisions=found, limits=ends)
        before = None if name else previous.get((version, name))
        if before and _rows(before):
            then = decide(reference, columns, settings.calibration(), before)
            yield drift_rows.rows(key, PREVIOUS, reference=before, window=columns, decisions=then, limits=limits)


def _facts(
    parts: Mapping[tuple[int, str], Mapping[str, Summary]],
    known: Mapping[int, Known],
    decisions: Mapping[tuple[int, str], list[Decision]],
) -> dict[tuple[int | None, str], Part]:
    return {
        (version, name): Part(
            _rows(columns), decisions[version, name], columns, known[version].references[name].columns
        )
        for (version, name), columns in parts.items()
    }


def _quality(
    store: Store, window: Window, batches: Batches, known: Mapping[int, Known], *, settings: Settings, at: At
) -> pa.Table | None:
    judged = [each.version for each in known.values() if each.version.eval_config]
    if not judged or not (at.labels is not None or any(each.calibrated for each in judged)):
        return None
    asked = QualitySettings(champion=settings.champion, max_age=settings.labels_for)
    return measure.measure(
        store, window, batches(None), judged, asked, labels_version=at.labels, inference_version=at.table
    )


def _schemas(known: Mapping[int, Known], earlier: Mapping[int, Known]) -> dict[int | None, dict[str, str]]:
    """What is different in a version that answers for the first time, beside the version before it."""
    return {
        version: schema_changes.schema_changes(before.whole.columns, known[version].whole.columns)
        for version, before in earlier.items()
    }


def _reference(found: Counted, known: Mapping[int, Known]) -> str:
    """The training data of the version with the most rows."""
    sizes = {version: each.rows for version, each in found.traffic.items() if version in known}
    return known[max(sizes, key=lambda v: sizes[v])].trained.digest if sizes else ""  # type: ignore[index]


def _windows_row(window: Window, rows: int, at: At, reference: str, now: datetime) -> pa.Table:
    row = {
        "window_start": window.start,
        "window_end": window.end,
        "window": window.length,
        "model": window.model,
        "rows": rows,
        "table_version": at.table,
        "labels_version": at.labels,
        "reference": reference,
        "computed": now,
    }
    return pa.Table.from_pylist([row], WINDOWS)
