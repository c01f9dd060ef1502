"""From the table `units` to the sufficient statistics of each arm: over all, by slice, and over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.experiments import joint
from components.experiments.arms import Arm
from components.experiments.compare import cuped
from components.experiments.joint import Joint
from components.experiments.numbers import Array
from taxiway.experiments.data.database import one
from taxiway.experiments.data.units import Units
from taxiway.experiments.settings import BEFORE, RATIO, Metric

POINTS = 60
"""In how many stretches the time of an experiment is drawn."""


@dataclass(frozen=True)
class Pair:
    """Control and treatment of a metric, and the share of the variance that CUPED has left."""

    control: Arm
    treatment: Arm
    kept: float = 1.0


@dataclass(frozen=True)
class Table:
    """The columns of a metric, summed by arm and group.

    Attributes:
        joints: By arm, with arrays over the groups.
        groups: The groups' names or numbers.
    """

    joints: list[Joint]
    groups: list[str]


def columns(units: Units, index: int) -> list[str]:
    """The columns of a metric in the table `units`: its sides, then what was known before."""
    metric = units.experiment.metrics[index]
    sides = 2 if metric.computed == RATIO else 1
    found = [f"v{index}_{side}" for side in range(sides)]
    if units.is_weighted:
        weighted = [f"{name} * weight" for name in found]
        return [*weighted, f"weight * ({found[0]} IS NOT NULL)::INT"] if sides == 1 else weighted
    if metric.covariate:
        known = [f"p{index}_{side}" for side in range(sides)] if metric.covariate == BEFORE else [f"known{index}"]
        found += [f"coalesce({name}, (SELECT avg({name}) FROM units WHERE ready))" for name in known]
    return found


def whole(units: Units, index: int) -> Table:
    """The sums of each arm over all units that count."""
    return _table(units, index, "''")


def by_slice(units: Units, index: int, expression: str) -> Table:
    """The sums of each arm by a column of the table `units`."""
    return _table(units, index, f"coalesce(({expression})::VARCHAR, 'none')")


def over_time(units: Units, index: int) -> tuple[list[float], Table]:
    """The sums of each arm after each stretch of time, and the ends of the stretches in seconds since 1970."""
    low, high = one(units.connection, "SELECT epoch(min(first)), epoch(max(first)) FROM units WHERE ready")
    if low is None:
        return [], Table([], [])
    width = max((high - low) / POINTS, 1e-6)
    place = f"least(floor((epoch(first) - {low!r}) / {width!r}), {POINTS - 1})::INT"
    found = _table(units, index, f"lpad({place}::VARCHAR, 3, '0')", [f"{each:03}" for each in range(POINTS)])
    waited = units.experiment.window.total_seconds()
    ends = [low + (int(group) + 1) * width + waited for group in found.groups]
    return ends, Table([_cumulative(each) for each in found.joints], found.groups)


def _table(units: Units, index: int, group: str, named: Sequence[str] = ()) -> Table:
    names, own = columns(units, index), f"v{index}_0"
    k = len(names)
    where = f"ready AND {own} IS NOT NULL"
    means = ", ".join(f"coalesce(avg({name}), 0)" for name in names)
    centres = [float(each) for each in one(units.connection, f"SELECT {means} FROM units WHERE {where}")]
    shifted = [f"({name} - {centre!r})" for name, centre in zip(names, centres, strict=True)]
    sums = [f"sum({each})" for each in [*names, *shifted]]
    sums += [f"sum({shifted[i]} * {shifted[j]})" for i in range(k) for j in range(i, k)]
    rows = units.connection.execute(
        f"SELECT arm, {group} AS part, count(*), {', '.join(sums)} FROM units WHERE {where} GROUP BY 1, 2 ORDER BY 2"
    ).fetchall()
    groups = list(named) or sorted({row[1] for row in rows})
    return Table([_joint(rows, arm, groups, k) for arm in range(len(units.experiment.arms))], groups)


def _joint(rows: Sequence[tuple], arm: int, groups: Sequence[str], k: int) -> Joint:
    """An arm's sums, and its products about the centres as those about the means: few digits are lost."""
    place = {group: index for index, group in enumerate(groups)}
    n, totals, sums = np.zeros(len(groups)), np.zeros((len(groups), k)), np.zeros((len(groups), k))
    products = np.zeros((len(groups), k, k))
    upper = [(i, j) for i in range(k) for j in range(i, k)]
    for row in rows:
        if row[0] == arm:
            at = place[row[1]]
            n[at], totals[at], sums[at] = row[2], row[3 : 3 + k], row[3 + k : 3 + 2 * k]
            for (i, j), value in zip(upper, row[3 + 2 * k :], strict=True):
                products[at, i, j] = products[at, j, i] = value
    return Joint(n, _means(totals, n), products - sums[:, :, None] * _means(sums, n)[:, None, :])


def _means(sums: Array, n: Array) -> Array:
    return np.divide(sums, n[:, None], out=np.zeros_like(sums), where=n[:, None] > 0)


def _cumulative(each: Joint) -> Joint:
    """The groups and all before them."""
    parts = [Joint(each.n[index], each.means[index], each.products[index]) for index in range(len(each.means))]  # type: ignore[index]
    found = [parts[0]] if parts else []
    for part in parts[1:]:
        found.append(found[-1] + part)
    return _stacked(found, each)


def _stacked(parts: Sequence[Joint], empty: Joint) -> Joint:
    if not parts:
        return empty
    n = np.array([float(part.n) for part in parts])
    return Joint(n, np.stack([part.means for part in parts]), np.stack([part.products for part in parts]))


def at(table: Table, group: int) -> list[Joint]:
    """The arms in one group."""
    return [Joint(float(each.n[group]), each.means[group], each.products[group]) for each in table.joints]  # type: ignore[index]


def pair(units: Units, metric: Metric, control: Joint, treatment: Joint) -> Pair:
    """Two arms as they are compared: with weights, as a ratio, or adjusted by CUPED."""
    if metric.computed == RATIO and metric.covariate and not units.is_weighted and _all_positive(control, treatment):
        found = cuped.ratios(control, treatment)
        return Pair(found.control, found.treatment, float(np.ravel(found.kept)[-1]))
    if metric.computed == RATIO or units.is_weighted:
        return Pair(_ratio(control), _ratio(treatment))
    if metric.covariate:
        found = cuped.means(control, treatment)
        return Pair(found.control, found.treatment, float(np.ravel(found.kept)[-1]))
    return Pair(control.combined([1.0]), treatment.combined([1.0]))


def _all_positive(*arms: Joint) -> bool:
    """Whether both ratios have something below in both arms."""
    return all(bool((arm.means[..., [1, 3]] > 0).all()) for arm in arms)


def _ratio(arm: Joint) -> Arm:
    """The ratio's arm; one without anything below has no units."""
    known = arm.means[..., 1] > 0
    filled = Joint(
        np.where(known, arm.n, 0.0),
        np.where(known[..., None], arm.means, [0.0, 1.0]),
        np.where(known[..., None, None], arm.products, 0.0),
    )
    return joint.ratio(filled)


def stretch(units: Units, steps: Sequence[tuple[float, dict[str, float]]]) -> str:
    """The number of the stretch of weights in which a unit came, as SQL."""
    cases = " ".join(
        f"WHEN epoch(first) >= {start!r} THEN {number}" for number, (start, _) in reversed(list(enumerate(steps)))
    )
    return f"CASE {cases} ELSE 0 END"


def at_all(table: Table) -> list[Joint]:
    """The arms of a table with one group, or without any unit."""
    if table.groups:
        return at(table, 0)
    k = table.joints[0].means.shape[-1]
    return [Joint(0.0, np.zeros(k), np.zeros((k, k))) for _ in table.joints]


def nth(found: Pair, index: int) -> Pair:
    """The arms after one stretch of time."""
    return Pair(_nth(found.control, index), _nth(found.treatment, index), found.kept)


def _nth(arm: Arm, index: int) -> Arm:
    n, mean, squares = (float(np.ravel(part)[index]) for part in (arm.n, arm.mean, arm.squares))
    return Arm(n, mean, squares)
