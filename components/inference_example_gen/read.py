"""The labelled requests of a window, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.contract.commands import typed
from components.contract.errors import DataError, UserError
from components.inference import reading
from components.inference.columns import is_input
from components.monitoring.labels import columns
from components.monitoring.labels.join import labels_of
from components.monitoring.store import INFERENCE, LABELS, Store

_FACTS = ["request_id", "row", "time", "version", "status", "share"]
_KEY = ["request_id", "row"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which rows are wanted.

    Attributes:
        tables: The folder or URL with the tables of all models.
        model_name: The model's name.
        start: The window's start.
        end: The window's end, which is not part of it.
        labels: The outcomes that a row needs; none for those in the schema.
        max_age: How long after a request an outcome with its keys may happen.
        inference_version: The version of the inference table; -1 for the newest.
        labels_version: The version of the labels' table; -1 for the newest.
    """

    tables: str
    model_name: str
    start: datetime
    end: datetime
    labels: Sequence[str]
    max_age: timedelta
    inference_version: int = -1
    labels_version: int = -1

    @property
    def store(self) -> Store:
        """The model's tables."""
        root = self.tables if "://" in self.tables else str(Path(self.tables).absolute())
        return Store(f"{root.rstrip('/')}/{self.model_name}")

    @property
    def window(self) -> str:
        """The window as text."""
        return f"from {self.start.isoformat()} to {self.end.isoformat()}"


@dataclass(frozen=True)
class Found:
    """The labelled rows.

    Attributes:
        rows: By time: what is known of the requests, their inputs, and the outcomes `label_<name>`.
        counts: `requests`, and how many of these rows are `failed`, `duplicates`, or `without_label`.
        inference_version: The version of the inference table.
        labels_version: That of the labels' table.
        inputs: The inputs that the table has.
    """

    rows: pa.Table
    counts: dict[str, int]
    inference_version: int
    labels_version: int
    inputs: Sequence[str]


def read(asked: Asked, known: Sequence[str] | None) -> Found:
    """The labelled rows of a window.

    Args:
        asked: Which rows.
        known: The features of the schema; None if there is none.

    Raises:
        UserError: There are no such tables, or no such outcome.
        DataError: The window has no requests, or none of them has a label.
    """
    if asked.start >= asked.end:
        raise UserError(f"the window is empty: it goes {asked.window}", fix="let window_end be after window_start")
    store = asked.store
    version = _version(store, INFERENCE, asked.inference_version, _fix_of_requests(asked))
    labelled = _version(store, LABELS, asked.labels_version, _fix_of_labels(asked))
    requests = _requests(asked, version)
    labels = labels_of(
        store, asked.start, asked.end, max_age=asked.max_age, version=labelled, inference_version=version
    )
    answered = requests.filter(_is_answered(requests))
    once = _once(answered)
    rows = _with_labels(once, labels, _wanted(asked, labels.column_names, known))
    counts = {
        "requests": requests.num_rows,
        "failed": requests.num_rows - answered.num_rows,
        "duplicates": answered.num_rows - once.num_rows,
        "without_label": once.num_rows - rows.num_rows,
    }
    if not rows.num_rows:
        raise DataError(f"none of the {once.num_rows:,} requests {asked.window} has a label", fix=_fix_of_labels(asked))
    return Found(rows, counts, version, labelled, [name for name in requests.column_names if is_input(name)])


def _fix_of_requests(asked: Asked) -> str:
    return (
        f"serve with --inference-tables {asked.tables} --model-name {asked.model_name}, "
        "or correct `tables` and `model_name`"
    )


def _fix_of_labels(asked: Asked) -> str:
    return "add labels: " + typed("taxiway labels add", asked.model_name, "FILE", "--tables", asked.tables)


def _version(store: Store, name: str, wanted: int, fix: str) -> int:
    table = store.open(name)
    what = "inference table" if name == INFERENCE else "labels"
    if table is None:
        raise UserError(f"there {'is' if name == INFERENCE else 'are'} no {what} in {store.path(name)}", fix=fix)
    newest = table.version()
    if wanted > newest:
        raise UserError(f"{store.path(name)} has no version {wanted}", fix=f"its newest version is {newest}")
    return newest if wanted < 0 else wanted


def _requests(asked: Asked, version: int) -> pa.Table:
    table = asked.store.open(INFERENCE)
    assert table is not None
    table.load_as_version(version)
    names = [field.name for field in table.schema().fields]
    wanted = [name for name in names if name in _FACTS or is_input(name)]
    found = list(reading.batches(asked.store.root, version, asked.start, asked.end, wanted))
    if not found:
        raise DataError(f"there is no request {asked.window} in {table.table_uri}", fix=_times(asked, version))
    return pa.Table.from_batches(found).combine_chunks()


def _times(asked: Asked, version: int) -> str:
    times = asked.store.read(INFERENCE, columns=["time"], version=version)["time"]
    if not len(times):
        return _fix_of_requests(asked)
    first, last = pc.min(times).as_py(), pc.max(times).as_py()
    return f"its requests are from {first.isoformat()} to {last.isoformat()}: correct window_start and window_end"


def _is_answered(requests: pa.Table) -> pa.ChunkedArray:
    return pc.and_(pc.is_valid(requests["version"]), pc.fill_null(pc.equal(requests["status"], "OK"), False))


def _once(requests: pa.Table) -> pa.Table:
    """The first answer to each row of a request: a mirrored or repeated request has several."""
    ordered = requests.sort_by([(name, "ascending") for name in (*_KEY, "time", "version")])
    if not ordered.num_rows:
        return ordered
    ids = ordered["request_id"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    new = (np.diff(ids, prepend=-1) != 0) | (np.diff(ordered["row"].to_numpy(), prepend=-1) != 0)
    return ordered.filter(pa.array(new))


def _wanted(asked: Asked, there: Sequence[str], known: Sequence[str] | None) -> list[str]:
    """The columns with the outcomes that a row needs."""
    outcomes = [name.removeprefix(columns.LABEL) for name in columns.outcomes(list(there))]
    wanted = list(asked.labels) or [name for name in outcomes if known is None or name in known]
    if missing := [name for name in wanted if outcomes and name not in outcomes]:
        raise UserError(f"the labels have no outcome {missing[0]!r}", fix=f"there are: {', '.join(outcomes)}")
    if outcomes and not wanted:
        raise UserError(
            f"no outcome of the labels is a feature of the schema: {', '.join(outcomes)}",
            fix="add them by the name of the training data's column, with --label NAME=COLUMN",
        )
    return [columns.LABEL + name for name in wanted]


def _with_labels(rows: pa.Table, labels: pa.Table, wanted: Sequence[str]) -> pa.Table:
    """The rows that have all outcomes, by time."""
    if not wanted or not labels.num_rows:
        return rows.slice(0, 0)
    kept = labels.select([*_KEY, *wanted])
    for name in wanted:
        kept = kept.filter(pc.is_valid(kept[name]))
    places = rows.select(_KEY).append_column("place", pa.array(np.arange(rows.num_rows)))
    joined = places.join(kept, _KEY, join_type="inner")
    found = rows.take(joined["place"])
    for name in wanted:
        found = found.append_column(name, joined[name])
    return found.sort_by([(name, "ascending") for name in ("time", *_KEY)]).combine_chunks()
