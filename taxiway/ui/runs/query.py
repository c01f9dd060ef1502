"""Which runs a list shows, and how: the query of its address."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from components.contract.errors import UserError
from taxiway.reports import changes
from taxiway.runs.index import Summary

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(
    r"\s*(?P<name>[^\s<>=!](?:[^<>=!]*[^\s<>=!])?)\s*(?:(?P<sign>>=|<=|!=|=|>|<)\s*(?P<value>.*?)\s*)?"
)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_METRICS = 4
METRIC = "metric:"
"""Precedes a metric's name in `sort`."""


@dataclass(frozen=True)
class Condition:
    """What a metric or a parameter has to be: `auc > 0.9`; a name alone asks that there is one."""

    name: str
    sign: str = ""
    value: str = ""

    def holds(self, values: Any) -> bool:
        """Whether it is true of a run's metrics or parameters."""
        if self.name not in values:
            return False
        if not self.sign:
            return True
        own = values[self.name]
        if (number := _number(self.value)) is not None and isinstance(own, int | float):
            return _OPERATORS[self.sign](own, number)
        return _OPERATORS[self.sign](changes.text(own), self.value)


@dataclass(frozen=True)
class Query:
    """What a list of runs is asked for. An empty field asks for nothing.

    Attributes:
        words: They have to be in the id or in the value of a parameter.
        pipeline: The pipeline's name.
        state: The state.
        metrics: What metrics have to be.
        parameters: What parameters have to be.
        data: A part of a data version: path, revision or hash.
        commit: The beginning of a commit.
        show: The metrics that have a column; by default those that most runs have.
        sort: `started`, `seconds`, or `metric:` and a name; after a `-` the greatest first.
        page: The number of the page, from 1.
    """

    words: str = ""
    pipeline: str = ""
    state: str = ""
    metrics: tuple[Condition, ...] = ()
    parameters: tuple[Condition, ...] = ()
    data: str = ""
    commit: str = ""
    show: tuple[str, ...] = ()
    sort: str = "-started"
    page: int = 1

    def chosen(self, runs: Sequence[Summary]) -> list[Summary]:
        """Those of the runs that are asked for, in order."""
        found = [run for run in runs if self._is_wanted(run)]
        name = self.sort.removeprefix("-")
        known = [run for run in found if _key(run, name) is not None]
        known.sort(key=lambda run: (_key(run, name), run.started), reverse=self.sort.startswith("-"))
        return known + [run for run in found if _key(run, name) is None]

    def columns(self, runs: Sequence[Summary]) -> list[str]:
        """The metrics that have a column: those that are asked for, and those that most of the runs have."""
        asked = [condition.name for condition in self.metrics]
        asked += [self.sort.removeprefix("-").removeprefix(METRIC)] if METRIC in self.sort else []
        usual = () if self.show else _usual(runs)
        return list(dict.fromkeys([*self.show, *asked, *usual]))

    def _is_wanted(self, run: Summary) -> bool:
        return (
            self.pipeline in ("", run.pipeline)
            and self.state in ("", run.state)
            and all(each.holds(run.metrics) for each in self.metrics)
            and all(each.holds(run.parameters) for each in self.parameters)
            and all(word in _text(run) for word in self.words.lower().split())
            and (not self.data or any(self.data in part for part in _versions(run)))
            and (not self.commit or any(each.startswith(self.commit) for each in run.commits))
        )


def _usual(runs: Sequence[Summary]) -> list[str]:
    """The metrics that most runs have, and of those rather the ones that differ."""
    values: dict[str, list[float]] = {}
    for run in runs:
        for name, value in run.metrics.items():
            values.setdefault(name, []).append(value)
    return sorted(values, key=lambda name: (-len(values[name]), len(set(values[name])) == 1))[:_METRICS]


def _key(run: Summary, name: str) -> Any:
    if name.startswith(METRIC):
        value = run.metrics.get(name.removeprefix(METRIC))
        return value if value == value else None  # NaN comes last
    return {"started": run.started, "seconds": run.seconds or None, "pipeline": run.pipeline}[name]


def _text(run: Summary) -> str:
    return " ".join([run.id, *(f"{name}={changes.text(value)}" for name, value in run.parameters.items())]).lower()


def _versions(run: Summary) -> Iterator[str]:
    for data in run.data:
        yield from (str(data[key]) for key in ("path", "revision", "dvc_hash", "content") if data.get(key))


def parsed(given: MultiMapping[str]) -> Query:
    """The query of an address.

    Raises:
        UserError: A condition, the order or the page cannot be understood.
    """
    sort = given.get("sort") or "-started"
    name = sort.removeprefix("-")
    if name not in ("started", "seconds", "pipeline") and not name.startswith(METRIC):
        raise UserError(f"runs cannot be sorted by {name!r}", fix="sort by started, seconds, pipeline or metric:NAME")
    return Query(
        words=given.get("q", ""),
        pipeline=given.get("pipeline", ""),
        state=given.get("state", ""),
        metrics=_conditions(given, "metric", numbers=True),
        parameters=_conditions(given, "param"),
        data=given.get("data", "").strip(),
        commit=given.get("commit", "").strip().lower(),
        show=tuple(name for text in given.getall("show", []) for part in text.split(",") if (name := part.strip())),
        sort=sort,
        page=_page(given.get("page", "1")),
    )


def _conditions(given: MultiMapping[str], field: str, *, numbers: bool = False) -> tuple[Condition, ...]:
    texts = [part for text in given.getall(field, []) for part in _AND.split(text.strip()) if part]
    return tuple(_condition(text, numbers=numbers) for text in texts)


def _condition(text: str, *, numbers: bool) -> Condition:
    match = _CONDITION.fullmatch(text)
    if not match or (match["sign"] and numbers and _number(match["value"]) is None):
        raise UserError(f"{text!r} is no condition", fix="write NAME > 0.9, with one of > >= < <= = !=; or NAME alone")
    return Condition(match["name"], match["sign"] or "", match["value"] or "")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _page(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise UserError(f"there is no page {text!r}", fix="give a number, from 1")
    return int(text)
