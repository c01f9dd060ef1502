"""The columns that metrics name, and what they are in SQL over the rows of requests and their outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from components.contract.errors import UserError
from components.contract.settings import nearest
from components.inference.columns import INPUT, OUTPUT
from components.monitoring.labels.columns import LABEL
from components.monitoring.labels.sources import named
from taxiway.experiments.data.outcomes import Source
from taxiway.experiments.settings import LEFT_OUT, OFFLINE, RATIO, REQUESTS, Experiment, Metric

FAILED = "failed"
_OWN = {
    REQUESTS: "(e.example = 0)::DOUBLE",
    FAILED: "(e.example = 0 AND e.failed)::DOUBLE",
}


@dataclass(frozen=True)
class Value:
    """A number in SQL.

    Attributes:
        sql: Over a row `e` of requests joined with outcomes `o0`, `o1`, ...; or the column of a source by key.
        source: The source by key that has it; None for rows.
        is_zero: Whether a unit without it has 0; else it is left out.
    """

    sql: str
    source: int | None = None
    is_zero: bool = False


@dataclass
class Columns:
    """What there is to name, and which columns of the inference table were named.

    Attributes:
        there: The columns of the inference table.
        sources: The outcomes.
        used: Those of the inference table that are needed.
    """

    there: Sequence[str]
    sources: Sequence[Source]
    used: set[str] = field(default_factory=set)

    def value(self, name: str, where: str) -> Value:
        """What a name stands for: an outcome's column, a column of its own, or one of the inference table.

        Raises:
            UserError: There is no such column.
        """
        for index, source in enumerate(self.sources):
            if found := _of_source(source, index, name):
                return found
        if name in _OWN:
            return Value(_OWN[name], is_zero=True)
        return Value(f"e.{named(self.recorded(name, where))}::DOUBLE")

    def recorded(self, name: str, where: str) -> str:
        """A column of the inference table by its name, with or without its prefix.

        Raises:
            UserError: There is none.
        """
        for each in (name, INPUT + name, OUTPUT + name):
            if each in self.there:
                self.used.add(each)
                return each
        raise UserError(f"{where} is {name!r}, and there is no such column", fix=nearest(name, self._names()))

    def _names(self) -> list[str]:
        of_sources = [_plain(column) for source in self.sources for column in source.columns]
        return [*of_sources, *(source.outcome.name for source in self.sources), *_OWN, *self.there]


def _plain(column: str) -> str:
    return column.removeprefix(LABEL)


def _of_source(source: Source, index: int, name: str) -> Value | None:
    outcome = source.outcome
    short = name.removeprefix(f"{outcome.name}.")
    column = next((each for each in source.columns if short in (each, _plain(each))), "")
    if name == outcome.name and not column:
        column = "n"
    if not column:
        return None
    prefix = "" if source.is_by_key else f"o{index}."
    return Value(f"{prefix}{named(column)}", index if source.is_by_key else None, outcome.missing != LEFT_OUT)


def sides(metric: Metric, columns: Columns, where: str) -> list[Value]:
    """The sums that a metric is made of: one, or what is above and what is below a ratio.

    Raises:
        UserError: A column is missing, or an offline metric has columns that are not of rows.
    """
    if metric.kind in OFFLINE:
        return _offline(metric, columns, where)
    first = columns.value(metric.column, f"{where}.column")
    return [first, columns.value(metric.below, f"{where}.below")] if metric.computed == RATIO else [first]


def _offline(metric: Metric, columns: Columns, where: str) -> list[Value]:
    label, score = columns.value(metric.column, f"{where}.column"), columns.value(metric.score, f"{where}.score")
    if label.source is not None or score.source is not None:
        raise UserError(f"{where} compares rows, and {metric.column!r} is joined by key", fix="join it by id")
    y, p = label.sql, score.sql
    known = f"({y} IS NOT NULL AND {p} IS NOT NULL)"
    chosen = f"({known} AND {p} >= {metric.threshold!r})"
    clipped = f"least(greatest({p}, 1e-15), 1 - 1e-15)"
    parts = {
        "log loss": (f"-({y} * ln({clipped}) + (1 - {y}) * ln(1 - {clipped}))", f"{known}::DOUBLE"),
        "precision": (f"{y} * {chosen}::INT", f"{chosen}::DOUBLE"),
        "recall": (f"{y} * {chosen}::INT", f"CASE WHEN {known} THEN {y} END"),
        "ndcg": (y, p),
    }[metric.kind]
    return [Value(part, is_zero=True) for part in parts]


def all_sides(experiment: Experiment, columns: Columns) -> list[list[Value]]:
    """The sides of every metric."""
    return [sides(metric, columns, f"metrics[{index}]") for index, metric in enumerate(experiment.metrics)]
