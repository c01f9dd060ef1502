"""How large an experiment has to be and how long it takes, by the traffic that the inference table has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scipy.special import ndtr

from components.contract.errors import TaxiwayError, UserError
from components.experiments import design
from components.experiments.arms import Arm
from components.monitoring.store import Store
from taxiway.experiments import words
from taxiway.experiments.data import sums, units
from taxiway.experiments.data.database import database
from taxiway.experiments.settings import PROPORTION, RANK, RATIO, SEQUENTIAL, Experiment, Metric


@dataclass(frozen=True)
class Planned:
    """A metric's plan.

    Attributes:
        metric: The metric.
        mean: What it is now.
        effect: The least effect that is to be found: `matters`, else what the planned units find.
        units: The units of both arms together that find it, with the power asked for.
        days: How many days it takes; None if nothing comes.
        detectable: The least effect that the settings' units find.
        impact: The effect times the units of thirty days: what shipping would add.
    """

    metric: Metric
    mean: float
    effect: float
    units: int
    days: int | None
    detectable: float
    impact: float


@dataclass(frozen=True)
class Traffic:
    """The units of the past: how many came first on each day."""

    per_day: list[int]
    units: int


def plans(
    experiment: Experiment, store: Store, days: int, power: float, until: datetime
) -> tuple[Traffic, list[Planned]]:
    """The plan of every metric, from the last days of all traffic.

    Raises:
        UserError: There is no table, or a column is missing.
        DataError: No request was recorded in these days.
    """
    past = replace(
        experiment,
        start=until - timedelta(days=days),
        end=None,
        ramp=[],
        metrics=[_plain(m) for m in experiment.metrics],
    )
    with database() as connection:
        found = units.build(connection, past, store, until, everybody=True)
        rows = connection.execute("SELECT first::DATE, count(*) FROM units GROUP BY 1 ORDER BY 1").fetchall()
        traffic = Traffic([count for _, count in rows], sum(count for _, count in rows))
        planned = [
            _planned(experiment, metric, _arm(found, index), traffic, power)
            for index, metric in enumerate(experiment.metrics)
            if metric.computed != RANK
        ]
    return traffic, planned


def _plain(metric: Metric) -> Metric:
    """Without CUPED, whose gain is known afterwards."""
    return replace(metric, covariate="")


def _arm(found: units.Units, index: int) -> Arm:
    """All units together, whatever they had."""
    joints = sums.at_all(sums.whole(found, index))
    together = joints[0]
    for each in joints[1:]:
        together = together + each
    return sums.pair(found, _plain(found.experiment.metrics[index]), together, together).control


def _planned(experiment: Experiment, metric: Metric, arm: Arm, traffic: Traffic, power: float) -> Planned:
    known, both = _known(experiment, metric, arm, power), _of_both(experiment)
    down = metric.sign < 0
    detectable = design.least_detectable_effect(known, experiment.units * both, down=down)
    matters = metric.margin or metric.matters
    effect = metric.sign * matters if matters else detectable
    needed = design.sample_size(known, effect)
    monthly = sum(traffic.per_day[-7:]) / max(len(traffic.per_day[-7:]), 1) * 30
    return Planned(
        metric,
        mean=float(arm.mean),
        effect=effect,
        units=needed,
        days=_days(needed, traffic, both),
        detectable=detectable,
        impact=effect * monthly,
    )


def _of_both(experiment: Experiment) -> float:
    """The share of the control and one treatment among all arms."""
    two = experiment.arms[experiment.control].share + experiment.arms[experiment.treatments[0]].share
    return two / sum(experiment.shares.values())


def _known(experiment: Experiment, metric: Metric, arm: Arm, power: float) -> design.Design:
    control, treated = (experiment.arms[name].share for name in (experiment.control, experiment.treatments[0]))
    asked = {
        "level": _level(experiment),
        "power": power,
        "treated": treated / (control + treated),
        "comparisons": experiment.comparisons,
    }
    try:
        return design.of_arm(arm, is_share=metric.computed == PROPORTION, **asked)
    except TaxiwayError as error:
        raise UserError(
            f"{metric.name} has {float(arm.n):,.0f} units that do not differ, so nothing can be planned",
            fix="look further back with --days, or name another column",
        ) from error


def _level(experiment: Experiment) -> float:
    """The level of a test at one fixed size that is as strict as the method is at the planned size.

    The confidence sequence is narrowest there; its half-width follows from the mixture's variance (sequential.py). The
    power is that of one look at the end, so a sequential experiment has it or more.
    """
    if experiment.method != SEQUENTIAL:
        return experiment.level
    each = -2 * math.log(experiment.level / experiment.comparisons)
    weight = each + math.log(each + 1)
    half = math.sqrt((each + math.log(1 + weight)) * (1 + weight) / weight)
    return min(2 * float(ndtr(-half)) * experiment.comparisons, experiment.level)


def _days(needed: int, traffic: Traffic, part: float) -> int | None:
    try:
        return design.days(needed, traffic.per_day, min(part, 1.0))
    except TaxiwayError:  # nothing comes
        return None


def lines(experiment: Experiment, traffic: Traffic, planned: list[Planned], power: float) -> Iterator[str]:
    """The plan in words."""
    count = len(traffic.per_day)
    yield f"{traffic.units:,} {'requests' if experiment.unit == 'request' else 'units'} came in {count} days"
    for each in planned:
        yield f"{each.metric.name}: {words.value(each.metric, each.mean)} now"
        took = f"about {each.days} days" if each.days else "no traffic comes"
        yield (
            f"  a difference of {words.change(each.metric, each.effect)} is found with {power:.0%} power by "
            f"{each.units:,} units of both arms: {took}, plus the window of {words.lasting(experiment.window)}"
        )
        yield f"  the {experiment.units:,.0f} planned units find {words.change(each.metric, each.detectable)} or more"
        if each.metric.computed != RATIO and each.metric.margin is None:
            worth = f"{each.impact:+,.0f} {each.metric.unit or each.metric.name}"
            yield f"  shipped to all, that would be {worth} in 30 days"
