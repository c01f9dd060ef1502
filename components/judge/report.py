"""What reports show of a comparison: the verdict and its reason, the gains with their intervals, and all metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from components.contract.artifacts import Artifact, ModelComparison
from components.judge.output import COMPARISON
from components.reports.artifacts import Sections, alone
from components.reports.dots import Dot, dots
from components.reports.figures import counted, number, percent
from components.reports.markup import Content
from components.reports.page import Section
from components.reports.parts import badge, facts, notice, stack
from components.reports.readers.trying import Unreadable, tried
from components.reports.tables import Cell, Column, table

Json = Mapping[str, Any]

_NAMES = {"recent": "recent", "examples": "other", "together": "together"}
_DIGITS = 4
_KINDS: dict[str, Any] = {"better": "good", "worse": "bad", "undecided": "warn", "no_champion": "plain"}
_SHOWN, _FEWEST = 12, 20
"""Slices in a picture, and their rows: smaller ones say nothing."""


def _comparison(comparison: Artifact) -> Section:
    found = tried("The comparison", lambda: json.loads((comparison.path / COMPARISON).read_text()))
    if isinstance(found, Unreadable):
        return Section("comparison", "Comparison with the champion", notice(found.sentence, "warn"))
    return Section("comparison", "Comparison with the champion", stack(*_body(found)), _summary(found))


def _summary(found: Json) -> str:
    rows = counted(int(found["gains"][0]["rows"]), "recent row")
    return f"{found['verdict'].replace('_', ' ').capitalize()}, by {found['rule']['metric']} on {rows}."


def _body(found: Json) -> Iterator[Content]:
    yield notice(_sentence(found["reason"]), _KINDS[found["verdict"]] if found["verdict"] != "no_champion" else "info")
    yield facts(_facts(found))
    compared = [each for each in found["gains"] if each["value"] is not None]
    if compared:
        yield dots(
            [_dot(_NAMES[each["name"]], each) for each in compared],
            title=f"Gain in {found['rule']['metric']}, with its {_level(found)} interval",
            reference=0.0,
            note="Recent rows, other rows, and all together. The challenger is better to the right of the line.",
        )
    yield _metrics(found["metrics"])
    yield from _slices(found)


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}."


def _level(found: Json) -> str:
    return percent(1 - found["rule"]["level"])


def _facts(found: Json) -> Iterator[tuple[Content, Content]]:
    rule = found["rule"]
    yield "Verdict", badge(found["verdict"].replace("_", " "), _KINDS[found["verdict"]])
    yield "Blessed", "yes" if found["blessed"] else "no"
    yield "Better if", f"the interval on recent rows is above {number(rule['least_gain'])}"
    if any(each["name"] == "examples" for each in found["gains"]):
        yield "Not worse if", f"the interval on other rows is not below {number(-rule['margin'])}"


def _dot(label: str, gain: Json) -> Dot:
    # Rounded, so that a label and its interval are on one line of a phone too.
    ends = None if gain["low"] is None else (round(gain["low"], _DIGITS), round(gain["high"], _DIGITS))
    return Dot(label, round(gain["value"], _DIGITS), ends, counted(int(gain["rows"]), "row"))


def _metrics(metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Content:
    parts = [name for name in metrics if name != "together"]
    columns: list[str | Column] = ["Metric"]
    columns += [Column(f"{_NAMES[part]}: {who}", True) for part in parts for who in ("challenger", "champion")]
    names = list(dict.fromkeys(name for each in metrics.values() for name in each))
    lines: list[Sequence[Cell | Content]] = [
        [name, *(metrics[part].get(name, {}).get(who) for part in parts for who in ("challenger", "champion"))]
        for name in names
    ]
    return table("Metrics of both models", columns, lines)


def _slices(found: Json) -> Iterator[Content]:
    for part, slices in found["slices"].items():
        large = [each for each in slices if each["rows"] >= _FEWEST]
        if part != "together" and large:
            shown = [_dot(each["name"], each) for each in large[:_SHOWN]]
            few = f"The {_SHOWN} smallest of {len(large)} gains. " if len(large) > _SHOWN else ""
            yield dots(
                shown,
                title=f"Gain by slice on {_NAMES[part]} rows, smallest first",
                reference=0.0,
                note=f"{few}The intervals hold for all slices together. Slices do not change the verdict.",
            )


SECTIONS: Sections = [(ModelComparison, alone(_comparison))]
