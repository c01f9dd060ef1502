"""An experiment's settings: experiment.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from components.contract.commands import typed as command
from components.contract.digests import text_digest
from components.contract.errors import UserError
from components.contract.settings import named, nearest, typed
from components.contract.times import duration, moment
from taxiway import yaml_files

UP, DOWN = "up", "down"
SEQUENTIAL, FIXED, BAYESIAN = "sequential", "fixed", "bayesian"
METHODS = (SEQUENTIAL, FIXED, BAYESIAN)
PROPORTION, MEAN, RATIO, RANK = "proportion", "mean", "ratio", "rank"
ZERO, LEFT_OUT = "zero", "left out"
REQUEST = "request"
REQUESTS = "requests"
"""The column with the number of a unit's requests."""
LABELS = "labels"
"""The source that is the model's own table of labels."""
BEFORE = "before"
"""The covariate that is the metric itself before the experiment."""

OFFLINE = ("log loss", "precision", "recall", "ndcg")
"""Kinds of metrics that compare a label with an output; they are ratios over a unit's rows."""
KINDS = {
    PROPORTION: PROPORTION,
    "conversion": PROPORTION,
    MEAN: MEAN,
    "watch time": MEAN,
    RATIO: RATIO,
    "click-through": RATIO,
    RANK: RANK,
    **dict.fromkeys(OFFLINE, RATIO),
}
"""The kinds of metrics, and what each is computed as."""

_UNIT = re.compile(r"request|(feature|header):(.+)")
_FIX = f"write one with `{command('taxiway experiment init', 'MODEL')}`"


@dataclass(frozen=True)
class Arm:
    """What is tried: requests of a proxy's target, of a label, or of a version.

    Attributes:
        share: The share of units that it should get, relative to the other shares.
        target: The proxy's target.
        label: The label by which the version was named.
        version: The version that answered.
    """

    share: float
    target: str = ""
    label: str = ""
    version: int | None = None


@dataclass(frozen=True)
class Outcome:
    """Where outcomes come from.

    Attributes:
        source: A CSV or Parquet file, a Delta table, SQL over files, or `labels` for the model's table of labels.
        name: Its name in `column: NAME.COLUMN`; as a column, the number of its rows.
        id: The column with request ids.
        key: Instead: the column with the units' keys.
        time: The column that says when it happened.
        missing: What a unit without an outcome has: zero, as of orders; or it is left out, as without a label.
    """

    source: str
    name: str
    id: str = ""
    key: str = ""
    time: str = ""
    missing: str = ZERO


@dataclass(frozen=True)
class Metric:
    """What is compared.

    Attributes:
        name: Its name.
        kind: One of `KINDS`.
        column: A column of an outcome or of the inference table; of offline metrics, the label.
        below: Of a ratio: what it is divided by.
        score: Of offline metrics: the output.
        threshold: Of precision and recall: the least score of a positive answer.
        top: Of NDCG: how many rows of a request count; 0 for all.
        goal: Which direction is better: up or down.
        margin: If given, the metric is a guardrail: it may not become worse by more than this.
        matters: The least difference that matters, in the metric's units.
        covariate: For CUPED: `before` for the metric itself before the experiment, or an input.
        unit: The word after its figures, such as minutes.
    """

    name: str
    kind: str
    column: str
    below: str = REQUESTS
    score: str = ""
    threshold: float = 0.5
    top: int = 0
    goal: str = ""
    margin: float | None = None
    matters: float | None = None
    covariate: str = ""
    unit: str = ""

    @property
    def computed(self) -> str:
        """What it is computed as: proportion, mean, ratio or rank."""
        return KINDS[self.kind]

    @property
    def sign(self) -> int:
        """1 if more is better, else -1."""
        return -1 if self.goal == DOWN else 1


@dataclass(frozen=True)
class Layer:
    """Experiments that exclude each other: this one and others, with their shares of the layer's units."""

    name: str
    shares: dict[str, float]


@dataclass(frozen=True)
class Step:
    """Shares of the arms from a time on, where they were changed, as in a ramp-up."""

    start: datetime
    shares: dict[str, float]


@dataclass(frozen=True)
class Keys:
    """Where the units' keys of requests are, if they are in a header and so not in the inference table."""

    source: str
    id: str = "request_id"
    key: str = "key"


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        name: Its name, by which its looks are kept.
        model: The model's name.
        arms: The arms by name.
        control: The arm that the others are compared with.
        start: When it began; requests before are no part of it.
        metrics: What is compared; the first one without a margin is the one to decide by.
        hypothesis: What is expected, and why.
        end: When it ended; None while it runs.
        unit: What is assigned: `request`, `feature:NAME` for an input, or `header:NAME`, as the proxy's sticky_key.
        keys: With a header: where the keys are.
        outcomes: Where outcomes come from.
        window: How long after a unit's first request its requests and outcomes count; it is compared afterwards.
        before: How long before the start CUPED looks back.
        ramp: Times from which the shares were others.
        method: How it is decided: sequential, fixed or bayesian.
        level: The probability of any false finding.
        units: The planned units of all arms together; a fixed size compares just so many.
        slices: Inputs by which the difference is looked at.
        layer: The experiments that it excludes.
        same: Whether the arms are the same: an A/A run.
    """

    name: str
    model: str
    arms: dict[str, Arm]
    control: str
    start: datetime
    metrics: list[Metric]
    hypothesis: str = ""
    end: datetime | None = None
    unit: str = REQUEST
    keys: Keys | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    window: timedelta = timedelta(0)
    before: timedelta = timedelta(days=14)
    ramp: list[Step] = field(default_factory=list)
    method: str = SEQUENTIAL
    level: float = 0.05
    units: float = 10_000
    slices: list[str] = field(default_factory=list)
    layer: Layer | None = None
    same: bool = False

    @property
    def treatments(self) -> list[str]:
        """The arms other than the control."""
        return [name for name in self.arms if name != self.control]

    @property
    def shares(self) -> dict[str, float]:
        """The expected share of each arm, relative to the others."""
        return {name: arm.share for name, arm in self.arms.items()}

    @property
    def comparisons(self) -> int:
        """How many differences are decided by: each has its part of the level."""
        return len(self.metrics) * len(self.treatments)

    @property
    def digest(self) -> str:
        """Tells settings apart; another hypothesis is no other experiment."""
        return text_digest(json.dumps({**asdict(self), "hypothesis": ""}, default=str, sort_keys=True))[-12:]


def load(file: Path) -> Experiment:
    """Reads an experiment.

    Raises:
        UserError: The file cannot be read, or a setting is unknown, missing or wrong.
    """
    return parsed(yaml_files.read(file, _FIX), str(file))


def parsed(given: Any, where: str) -> Experiment:
    """An experiment from what its file has; `where` names the file in errors."""
    found = named(given, Experiment, where)
    for name, parse in _PARSERS.items():
        if name in found:
            found[name] = parse(found[name], f"{where}.{name}")
    experiment = typed(found, Experiment, where)
    _require_arms(experiment, where)
    _require_method(experiment, where)
    _require_unit(experiment, where)
    for index, metric in enumerate(experiment.metrics):
        _require_metric(metric, experiment, f"{where}.metrics[{index}]")
    _require_outcomes(experiment, where)
    return experiment


def _record(kind: type) -> Callable[[Any, str], Any]:
    return lambda given, where: typed(named(given, kind, where), kind, where)


def _listed(parse: Callable[[Any, str], Any]) -> Callable[[Any, str], list[Any]]:
    def each(given: Any, where: str) -> list[Any]:
        if not isinstance(given, list):
            raise UserError(f"{where} is {given!r}", fix="write a list, each entry after a dash")
        return [parse(value, f"{where}[{index}]") for index, value in enumerate(given)]

    return each


def _arms(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise UserError(f"{where} is {given!r}", fix="write a map: {stable: {target: stable, share: 0.5}, ...}")
    return {str(name): _record(Arm)(value, f"{where}.{name}") for name, value in given.items()}


def _metric(given: Any, where: str) -> Metric:
    found = named(given, Metric, where)
    kind = found.get("kind")
    if kind not in KINDS:
        raise UserError(f"{where}.kind is {kind!r}", fix=nearest(kind, KINDS))
    return typed({"goal": DOWN if kind == "log loss" else UP, **found}, Metric, where)


def _step(given: Any, where: str) -> Step:
    found = named(given, Step, where)
    return typed({**found, "start": _moment(found["start"], f"{where}.start")}, Step, where)


def _moment(given: Any, where: str) -> datetime:
    return moment(str(given), where, "2026-02-01T08:00:00Z")


def _span(given: Any, where: str) -> timedelta:
    return duration(str(given), where)


_PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "arms": _arms,
    "start": _moment,
    "end": _moment,
    "metrics": _listed(_metric),
    "keys": _record(Keys),
    "outcomes": _listed(_record(Outcome)),
    "window": _span,
    "before": _span,
    "ramp": _listed(_step),
    "layer": _record(Layer),
}


def _require_arms(found: Experiment, where: str) -> None:
    if len(found.arms) < 2:
        raise UserError(f"{where}.arms has {len(found.arms)}", fix="give two arms or more")
    if found.control not in found.arms:
        raise UserError(
            f"{where}.control is {found.control!r}, which is no arm", fix=nearest(found.control, found.arms)
        )
    for name, arm in found.arms.items():
        if sum([bool(arm.target), bool(arm.label), arm.version is not None]) != 1:
            raise UserError(f"{where}.arms.{name} is {arm}", fix="give either target, or label, or version")
    steps = [(f"{where}.arms", found.shares)] + [(f"{where}.ramp", step.shares) for step in found.ramp]
    for place, shares in steps:
        if set(shares) != set(found.arms) or min(shares.values()) < 0 or not sum(shares.values()) > 0:
            raise UserError(f"{place}: the shares are {shares}", fix="give every arm a share of 0 or more, such as 0.5")
    if found.end and found.end <= found.start:
        raise UserError(f"{where}.end is {found.end}, before the start", fix="give a later time, or remove it")


def _require_method(found: Experiment, where: str) -> None:
    if found.method not in METHODS:
        raise UserError(f"{where}.method is {found.method!r}", fix=nearest(found.method, METHODS))
    if not 0 < found.level < 1:
        raise UserError(f"{where}.level is {found.level!r}", fix="write a share such as 0.05")
    if not found.units >= 4:
        raise UserError(f"{where}.units is {found.units!r}", fix="write the planned units of all arms, such as 10000")


def _require_unit(found: Experiment, where: str) -> None:
    if not _UNIT.fullmatch(found.unit):
        raise UserError(f"{where}.unit is {found.unit!r}", fix="write request, feature:NAME or header:NAME")
    if found.unit.startswith("header:") and found.keys is None:
        raise UserError(
            f"{where}.unit is {found.unit!r}, and headers are not in the inference table",
            fix="say where the keys are: keys: {source: keys.csv, id: request_id, key: user}",
        )
    if found.layer and found.name not in found.layer.shares:
        raise UserError(
            f"{where}.layer.shares lacks {found.name!r}", fix=f"add {found.name}: 0.5, its part of the layer"
        )


def _require_metric(metric: Metric, found: Experiment, where: str) -> None:
    if metric.goal not in (UP, DOWN):
        raise UserError(f"{where}.goal is {metric.goal!r}", fix="write up or down, and margin: 0.01 for a guardrail")
    for name in ("margin", "matters"):
        value = getattr(metric, name)
        if value is not None and not value > 0:
            raise UserError(f"{where}.{name} is {value!r}", fix="write a number above 0, in the metric's units")
    if metric.computed == RANK and found.method != FIXED:
        raise UserError(
            f"{where}.kind is rank, and ranks are compared once, at a planned size",
            fix="write method: fixed, or kind: mean",
        )
    if metric.kind in OFFLINE and not metric.score:
        raise UserError(f"{where}.score is missing", fix="add score: output_NAME")
    if metric.covariate and (metric.kind in OFFLINE or metric.computed == RANK):
        raise UserError(f"{where}.covariate is of no use for {metric.kind}", fix="remove it")
    if metric.covariate and metric.computed == RATIO and metric.covariate != BEFORE:
        raise UserError(f"{where}.covariate of a ratio is {metric.covariate!r}", fix=f"write covariate: {BEFORE}")
    if metric.covariate == BEFORE and found.unit == REQUEST:
        raise UserError(f"{where}.covariate: requests have no past", fix="name an input, or write unit: feature:NAME")


def _require_outcomes(found: Experiment, where: str) -> None:
    if not found.metrics:
        raise UserError(f"{where}.metrics is empty", fix="add one: {name: conversion, kind: proportion, column: ...}")
    for what, names in (("metrics", [m.name for m in found.metrics]), ("outcomes", [o.name for o in found.outcomes])):
        if len(set(names)) < len(names):
            raise UserError(f"{where}.{what} has two of one name", fix="give each its own")
    for index, outcome in enumerate(found.outcomes):
        _require_outcome(outcome, found, f"{where}.outcomes[{index}]")
    if not found.window and (found.outcomes or found.unit != REQUEST):
        raise UserError(f"{where}.window is missing", fix="add window: 1d, how long outcomes are waited for")


def _require_outcome(outcome: Outcome, found: Experiment, where: str) -> None:
    if outcome.missing not in (ZERO, LEFT_OUT):
        raise UserError(f"{where}.missing is {outcome.missing!r}", fix=nearest(outcome.missing, (ZERO, LEFT_OUT)))
    if outcome.source != LABELS and bool(outcome.id) == bool(outcome.key):
        raise UserError(f"{where} has {'both' if outcome.id else 'neither'} id and key", fix="give id, or key")
    if outcome.key and not outcome.time:
        raise UserError(f"{where}.time is missing", fix="add time: the column that says when it happened")
    if outcome.key and found.unit == REQUEST:
        raise UserError(f"{where} has a key, and units are requests", fix="give id, or write unit: feature:NAME")
