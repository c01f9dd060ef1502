"""Compares the arms of each metric with the control, by the method of the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from components.contract.errors import TaxiwayError
from components.experiments import bayes
from components.experiments.arms import Arm
from components.experiments.bandits import ipw
from components.experiments.compare import means, proportions, ranks
from components.experiments.compare.comparison import Comparison
from components.experiments.sequential import Plan, sequence
from taxiway.experiments.data import sums
from taxiway.experiments.data.units import Units
from taxiway.experiments.settings import BAYESIAN, PROPORTION, RANK, RATIO, SEQUENTIAL, Experiment, Metric

Steps = Sequence[tuple[float, dict[str, float]]]
"""The seconds since 1970 from which on arms had these weights."""

BETTER, WORSE, HOLDS, BROKEN, UNDECIDED = "better", "worse", "holds", "broken", "undecided"
"""What is known of a difference: of a goal, or of a guardrail."""


@dataclass(frozen=True)
class Found:
    """A metric of an arm against the control.

    Attributes:
        metric: The metric's name.
        arm: The treatment's name.
        control: The control's estimate.
        treatment: The treatment's estimate.
        difference: Treatment minus control, in the metric's units.
        low: The lower end of its interval; -inf while nothing is known.
        high: The upper end.
        relative: The difference as a part of the control's estimate; NaN if that is 0.
        p_value: For all comparisons together; NaN of Bayesian ones.
        n_control: The control's units.
        n_treatment: The treatment's units.
        state: What is known: better, worse, holds, broken or undecided.
        kept: The share of the variance that CUPED has left.
        above: Bayesian: the probability that the treatment is better.
        loss: Bayesian: what choosing the treatment costs in the mean if it is not.
        is_guardrail: Whether it only may not become worse.
    """

    metric: str
    arm: str
    control: float
    treatment: float
    difference: float
    low: float
    high: float
    relative: float
    p_value: float
    n_control: int
    n_treatment: int
    state: str = UNDECIDED
    kept: float = 1.0
    above: float = float("nan")
    loss: float = float("nan")
    is_guardrail: bool = False


@dataclass(frozen=True)
class Course:
    """A difference over time, with its interval: seconds since 1970, and values."""

    metric: str
    arm: str
    times: list[float]
    difference: list[float]
    low: list[float]
    high: list[float]


def all_found(units: Units, steps: Steps | None = None) -> list[Found]:
    """Every metric of every treatment.

    Args:
        units: The units.
        steps: The weights that a bandit has set: means and shares are then weighted by their inverse.
    """
    experiment = units.experiment
    found = []
    for index, metric in enumerate(experiment.metrics):
        arms = dict(zip(experiment.arms, sums.at_all(sums.whole(units, index)), strict=True))
        for name in experiment.treatments:
            pair = sums.pair(units, metric, arms[experiment.control], arms[name])
            if metric.computed == RANK:
                found.append(_ranked(units, index, name, pair))
            elif steps and metric.computed != RATIO:
                found.append(_weighted(units, index, name, steps))
            else:
                found.append(compared(experiment, metric, name, pair))
    return found


def compared(experiment: Experiment, metric: Metric, name: str, pair: sums.Pair) -> Found:
    """One metric of one treatment, from the statistics of the arms."""
    method = {SEQUENTIAL: _sequential, BAYESIAN: _bayesian}.get(experiment.method, _fixed)
    found = method(experiment, metric, pair)
    control, treatment = float(pair.control.mean), float(pair.treatment.mean)
    given = {
        "low": -np.inf,
        "high": np.inf,
        "p_value": np.nan,
        **found,
    }
    whole = Found(
        metric=metric.name,
        arm=name,
        control=control,
        treatment=treatment,
        difference=treatment - control,
        relative=(treatment - control) / abs(control) if control else np.nan,
        n_control=int(pair.control.n),
        n_treatment=int(pair.treatment.n),
        kept=pair.kept,
        **{key: float(value) for key, value in given.items()},  # type: ignore[arg-type]
    )
    return _judged(experiment, metric, whole)


def level(experiment: Experiment) -> float:
    """The level of each comparison: all together have that of the settings (Bonferroni)."""
    return experiment.level / experiment.comparisons


def plan(experiment: Experiment) -> Plan:
    """How the confidence sequences are looked at."""
    return Plan(level=level(experiment), units=experiment.units)


def _sequential(experiment: Experiment, metric: Metric, pair: sums.Pair) -> Mapping[str, float]:
    found = sequence(pair.control, pair.treatment, plan(experiment))
    return {
        "low": float(found.low),
        "high": float(found.high),
        "p_value": min(1.0, float(found.p_value) * experiment.comparisons),
    }


def _fixed(experiment: Experiment, metric: Metric, pair: sums.Pair) -> Mapping[str, float]:
    is_share = metric.computed == PROPORTION and _is_plain(pair)
    try:
        found = (proportions.z if is_share else means.welch)(pair.control, pair.treatment, level(experiment))
    except TaxiwayError:  # too few units: nothing is known
        return {}
    return _ends(experiment, found)


def _ends(experiment: Experiment, found: Comparison) -> Mapping[str, float]:
    p_value = min(1.0, float(found.p_value) * experiment.comparisons)
    return {"low": float(found.low), "high": float(found.high), "p_value": p_value}


def _is_plain(pair: sums.Pair) -> bool:
    """Whether units have 0 or 1: CUPED and weights change that."""
    return all(
        abs(float(arm.squares) - float(arm.total) * (1 - float(arm.mean))) <= 1e-6 * max(float(arm.total), 1.0)
        for arm in (pair.control, pair.treatment)
    )


def posterior(metric: Metric, arm: Arm, is_share: bool) -> bayes.Posterior:
    """What is believed of an arm, from a flat prior."""
    return bayes.Beta().after(arm) if is_share else bayes.Normal().after(arm)


def _bayesian(experiment: Experiment, metric: Metric, pair: sums.Pair) -> Mapping[str, float]:
    is_share = metric.computed == PROPORTION and _is_plain(pair)
    try:
        arms = {
            "control": posterior(metric, pair.control, is_share),
            "treatment": posterior(metric, pair.treatment, is_share),
        }
        found = bayes.difference(arms["control"], arms["treatment"], level(experiment))
        standing = bayes.standings(arms, level(experiment), less_is_better=metric.sign < 0)
    except TaxiwayError:  # too few units: nothing is known
        return {}
    return {"low": found.low, "high": found.high, "above": standing[1].best, "loss": standing[1].loss}


def _ranked(units: Units, index: int, name: str, pair: sums.Pair) -> Found:
    experiment, metric = units.experiment, units.experiment.metrics[index]
    control, treatment = (_values(units, index, each) for each in (experiment.control, name))
    given = {"control": 0.5, "treatment": np.nan, "difference": np.nan, "low": -np.inf, "high": np.inf}
    given |= {"p_value": np.nan}
    try:
        found = ranks.mann_whitney(control, treatment, level(experiment))
        given |= {
            "treatment": float(found.treatment),
            "difference": float(found.difference),
            **_ends(experiment, found),
        }
    except TaxiwayError:  # too few units, or all are the same
        pass
    whole = Found(
        metric=metric.name,
        arm=name,
        relative=np.nan,
        n_control=len(control),
        n_treatment=len(treatment),
        **given,  # type: ignore[arg-type]
    )
    return _judged(experiment, metric, whole)


def _weighted(units: Units, index: int, name: str, steps: Steps) -> Found:
    """After a bandit: each unit counts by one over the probability that it had of getting its arm."""
    experiment, metric = units.experiment, units.experiment.metrics[index]
    arms, given = list(experiment.arms), {"difference": np.nan, "low": -np.inf, "high": np.inf, "p_value": np.nan}
    log = _log(units, index, steps)
    means = [np.nan, np.nan]
    try:
        places = arms.index(experiment.control), arms.index(name)
        means = [ipw.value(log, place).value for place in places]
        found = ipw.difference(log, *places, level(experiment))
        given = {"difference": found.value, "low": found.low, "high": found.high}
        given["p_value"] = min(1.0, found.p_value * experiment.comparisons)
    except TaxiwayError:  # an arm has no units, or had no chance
        pass
    whole = Found(
        metric=metric.name,
        arm=name,
        control=means[0],
        treatment=means[1],
        relative=given["difference"] / abs(means[0]) if means[0] else np.nan,
        n_control=int((log.arms == arms.index(experiment.control)).sum()),
        n_treatment=int((log.arms == arms.index(name)).sum()),
        **given,  # type: ignore[arg-type]
    )
    return _judged(experiment, metric, whole)


def _log(units: Units, index: int, steps: Steps) -> ipw.Log:
    rows = units.connection.execute(
        f"SELECT arm, {sums.stretch(units, steps)} AS step, v{index}_0 AS value FROM units "
        f"WHERE ready AND v{index}_0 IS NOT NULL ORDER BY first"
    ).fetchnumpy()
    shares = np.array([[weights[arm] for arm in units.experiment.arms] for _, weights in steps])
    shares = shares / shares.sum(-1, keepdims=True)
    return ipw.Log(np.asarray(rows["arm"]), shares[np.asarray(rows["step"])], np.asarray(rows["value"], dtype=float))


def _values(units: Units, index: int, arm: str) -> np.ndarray:
    number, column = list(units.experiment.arms).index(arm), f"v{index}_0"
    rows = units.connection.execute(
        f"SELECT {column} AS value FROM units WHERE ready AND arm = {number} AND {column} IS NOT NULL"
    )
    found: np.ndarray = np.asarray(rows.fetchnumpy()["value"], dtype=float)
    return found


def _judged(experiment: Experiment, metric: Metric, found: Found) -> Found:
    """With what the interval says of the goal or the margin."""
    ends = sorted((metric.sign * found.low, metric.sign * found.high))
    if metric.margin is not None:
        state = HOLDS if ends[0] > -metric.margin else BROKEN if ends[1] < -metric.margin else UNDECIDED
    elif experiment.method == BAYESIAN:
        state = _believed(experiment, metric, found)
    else:
        state = BETTER if ends[0] > 0 else WORSE if ends[1] < 0 else UNDECIDED
    return replace(found, state=state, is_guardrail=metric.margin is not None)


def _believed(experiment: Experiment, metric: Metric, found: Found) -> str:
    """Of Bayesian comparisons: probable enough, and cheap enough if it is wrong."""
    needed = 1 - level(experiment)
    is_cheap = metric.matters is None or found.loss <= metric.matters
    return BETTER if found.above >= needed and is_cheap else WORSE if found.above <= 1 - needed else UNDECIDED


def courses(units: Units) -> list[Course]:
    """How the interval of each difference narrowed, as far as the method has one at every time."""
    experiment, found = units.experiment, list[Course]()
    for index, metric in enumerate(experiment.metrics):
        if metric.computed == RANK:
            continue
        times, table = sums.over_time(units, index)
        arms = dict(zip(experiment.arms, table.joints, strict=False))
        for name in experiment.treatments if times else ():
            pair = sums.pair(units, metric, arms[experiment.control], arms[name])
            found.append(_course(experiment, metric, name, (times, pair)))
    return found


def _course(experiment: Experiment, metric: Metric, name: str, given: tuple[list[float], sums.Pair]) -> Course:
    times, pair = given
    if experiment.method == SEQUENTIAL:
        seen = sequence(pair.control, pair.treatment, plan(experiment))
        ends = seen.difference, seen.low, seen.high
    else:
        each = [compared(experiment, metric, name, sums.nth(pair, index)) for index in range(len(times))]
        ends = tuple([getattr(one, key) for one in each] for key in ("difference", "low", "high"))  # type: ignore[assignment]
    return Course(metric.name, name, times, *(np.asarray(end, dtype=float).tolist() for end in ends))
