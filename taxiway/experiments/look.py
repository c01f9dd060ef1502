"""One look at an experiment: units, differences, checks and the decision, and a row in the table of looks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from components.experiments.design import impact
from components.monitoring.store import Store
from taxiway.experiments import tables, words
from taxiway.experiments.checks import Check, all_checks, least_mismatch, sample_ratio
from taxiway.experiments.compare import BETTER, Course, Found, all_found, courses
from taxiway.experiments.data import units as data
from taxiway.experiments.data.database import database
from taxiway.experiments.data.units import Counts, Units
from taxiway.experiments.decide import TITLES, Decision, decide
from taxiway.experiments.settings import MEAN, PROPORTION, Experiment
from taxiway.experiments.slices import Sliced, all_slices

_OF = 1000


@dataclass(frozen=True)
class Look:
    """What one look found.

    Attributes:
        experiment: The settings.
        time: When it was.
        until: Up to which time rows were counted.
        counts: What was counted and left out.
        units: The units that were compared, by arm.
        decision: What to do, and why.
        found: Every metric of every treatment.
        courses: How the intervals narrowed.
        sliced: The differences by slice.
        checks: What was checked, the worst first.
        mismatch: The p-value of the sample-ratio mismatch.
        before: The earlier looks at this experiment.
    """

    experiment: Experiment
    time: datetime
    until: datetime
    counts: Counts
    units: dict[str, int]
    decision: Decision
    found: list[Found]
    courses: list[Course]
    sliced: list[Sliced]
    checks: list[Check]
    mismatch: float
    before: list[dict[str, Any]]


def look(experiment: Experiment, store: Store, until: datetime | None = None, *, by: str = "look") -> Look:
    """Looks at an experiment once, and writes that somebody did.

    Args:
        experiment: The settings.
        store: The model's tables.
        until: The time up to which rows count; now by default.
        by: What looks: look, report or bandit.

    Raises:
        UserError: A table, a source or a column is missing.
        DataError: No request of the arms was recorded.
        ServiceError: The store is away.
    """
    now = datetime.now(UTC)
    looks = tables.rows(store, tables.LOOKS)
    with database() as connection:
        units = data.build(connection, experiment, store, until or now)
        found = _looked(units, store, looks, now)
    tables.append(store, tables.LOOKS, _row(found, by))
    return found


def _looked(units: Units, store: Store, looks: list[dict[str, Any]], now: datetime) -> Look:
    experiment = units.experiment
    steps = steps_of(experiment, store)
    is_bandit = bool(tables.steps(store, experiment.name))
    ratio = sample_ratio(units, steps)
    sliced = all_slices(units, steps)
    checks = all_checks(units, (steps, is_bandit), ratio, looks, sliced)
    found = all_found(units, steps if is_bandit else None)
    compared = _by_arm(units)
    return Look(
        experiment=experiment,
        time=now,
        until=units.until,
        counts=units.counts,
        units=compared,
        decision=decide(experiment, found, checks, sum(compared.values())),
        found=found,
        courses=[] if is_bandit else courses(units),
        sliced=sliced,
        checks=checks,
        mismatch=least_mismatch(ratio, looks, experiment),
        before=[each for each in looks if each["experiment"] == experiment.name],
    )


def steps_of(experiment: Experiment, store: Store) -> list[tuple[float, dict[str, float]]]:
    """From when on arms had which weights: the settings' own, their ramp, and what a bandit has set."""
    given = [(experiment.start, experiment.shares)]
    given += [(step.start, step.shares) for step in experiment.ramp]
    given += tables.steps(store, experiment.name)
    return [(when.timestamp(), shares) for when, shares in sorted(given, key=lambda each: each[0])]


def _by_arm(units: Units) -> dict[str, int]:
    rows = dict(units.connection.execute("SELECT arm, count(*) FROM units WHERE ready GROUP BY arm").fetchall())
    return {name: int(rows.get(index, 0)) for index, name in enumerate(units.experiment.arms)}


def _row(found: Look, by: str) -> dict[str, Any]:
    experiment = found.experiment
    return {
        "experiment": experiment.name,
        "model": experiment.model,
        "time": found.time,
        "until": found.until,
        "by": by,
        "settings": experiment.digest,
        "method": experiment.method,
        "layer": experiment.layer.name if experiment.layer else "",
        "started": experiment.start,
        "ended": experiment.end,
        "decision": found.decision.kind,
        "sentence": found.decision.sentence,
        "units": sum(found.units.values()),
        "mismatch": found.mismatch,
        "found": json.dumps([_plain(each) for each in found.found]),
    }


def _plain(found: Found) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(found).items()
    }


def as_json(found: Look) -> dict[str, Any]:
    """A look for programs."""
    row = {name: str(value) if isinstance(value, datetime) else value for name, value in _row(found, "look").items()}
    checks = [asdict(each) for each in found.checks]
    return {**row, "arm": found.decision.arm, "found": [_plain(each) for each in found.found], "checks": checks}


def lines(found: Look) -> Iterator[str]:
    """A look in words: the same figures as on the page."""
    experiment = found.experiment
    yield f"{experiment.name}: {TITLES[found.decision.kind]}"
    yield found.decision.sentence
    yield from impacts(found)
    yield ""
    yield whom(found)
    for each in found.found:
        before = f"{each.arm}: " if len(experiment.treatments) > 1 else ""
        yield f"  {before}{words.line(words.metric_of(experiment, each.metric), each)}"
    yield ""
    for check in found.checks:
        yield f"  [{check.state}] {check.name}: {check.words}"
    yield f"This was look {len(found.before) + 1}."


def whom(found: Look) -> str:
    """On whom it was tried, and for how long."""
    parts = ", ".join(f"{arm} {count:,}" for arm, count in found.units.items())
    kind = kind_of_unit(found.experiment)
    length = words.lasting((found.experiment.end or found.until) - found.experiment.start)
    return (
        f"{sum(found.units.values()):,} {kind} ({parts}) in {length}, since {found.experiment.start:%Y-%m-%d %H:%M} UTC"
    )


def kind_of_unit(experiment: Experiment) -> str:
    """What was assigned, in the plural."""
    name = experiment.unit.partition(":")[2].removesuffix("_id")
    return f"{name}s" if name else "requests"


def impacts(found: Look) -> list[str]:
    """What shipping would bring, of the first goal of the arm to ship."""
    if not found.decision.arm:
        return []
    mine = [each for each in found.found if each.arm == found.decision.arm and each.state == BETTER]
    metric = words.metric_of(found.experiment, mine[0].metric)
    if metric.computed not in (PROPORTION, MEAN):
        return []
    low, likely, high = (f"{each:+,.0f}" for each in impact(mine[0], _OF))
    unit = metric.unit or metric.name
    return [f"For every {_OF:,} {kind_of_unit(found.experiment)} that is {likely} {unit} ({low} to {high})."]
