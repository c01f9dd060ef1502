"""What to do, and why, from the differences and the checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from taxiway.experiments import words
from taxiway.experiments.checks import Check
from taxiway.experiments.compare import BETTER, BROKEN, HOLDS, UNDECIDED, WORSE, Found
from taxiway.experiments.settings import BAYESIAN, FIXED, Experiment, Metric

SHIP, STOP, SAME, WAIT, INVALID = "ship", "stop", "same", "wait", "invalid"
STATUS = {SHIP: 0, WAIT: 3, SAME: 4, STOP: 5, INVALID: 6}
"""The exit status of `look --check`."""
TITLES = {
    SHIP: "Ship it",
    STOP: "Stop it",
    SAME: "No difference that matters",
    WAIT: "Wait: not decided yet",
    INVALID: "Do not believe it",
}


@dataclass(frozen=True)
class Decision:
    """What to do.

    Attributes:
        kind: ship, stop, same, wait or invalid.
        arm: The arm to ship; empty for none.
        sentence: The reason, in words.
    """

    kind: str
    sentence: str
    arm: str = ""


def decide(experiment: Experiment, found: Sequence[Found], checks: Sequence[Check], units: int) -> Decision:
    """The decision of one look.

    Args:
        experiment: The settings.
        found: Every metric of every treatment.
        checks: What was checked.
        units: The units that were compared.
    """
    if bad := [check for check in checks if check.state == "bad"]:
        return Decision(INVALID, f"{bad[0].words} Find the cause before anything is concluded.")
    if experiment.same:
        return _of_same(experiment, found)
    if experiment.method == FIXED and units < experiment.units:
        return Decision(
            WAIT, f"{units:,} of {experiment.units:,.0f} planned units are there; at a fixed size only the end decides."
        )
    return _of_arms(experiment, found)


def _of_same(experiment: Experiment, found: Sequence[Found]) -> Decision:
    different = [each for each in found if each.state in (BETTER, WORSE, BROKEN)]
    if different:
        line = words.line(words.metric_of(experiment, different[0].metric), different[0])
        return Decision(INVALID, f"The arms are the same, and yet they differ. {line}.")
    return Decision(SAME, "This is an A/A run: the arms are the same, and no metric differs. The split can be trusted.")


def _of_arms(experiment: Experiment, found: Sequence[Found]) -> Decision:
    by_arm = {arm: [each for each in found if each.arm == arm] for arm in experiment.treatments}
    good = {arm: each for arm, each in by_arm.items() if _is_good(each)}
    if good:
        arm = max(good, key=lambda name: _first(experiment, good[name]))
        return Decision(SHIP, _why(experiment, arm, [each for each in good[arm] if each.state == BETTER]), arm)
    bad = {arm: [each for each in rows if each.state in (WORSE, BROKEN)] for arm, rows in by_arm.items()}
    if all(bad.values()):
        return Decision(STOP, " ".join(_why(experiment, arm, rows) for arm, rows in bad.items()))
    if all(_is_same(experiment, rows) for rows in by_arm.values()):
        return Decision(SAME, _nothing(experiment))
    return Decision(WAIT, _waiting(experiment, by_arm))


def _is_good(rows: Sequence[Found]) -> bool:
    """Better in one metric, worse in none, and every guardrail holds."""
    states = [each.state for each in rows]
    return BETTER in states and WORSE not in states and BROKEN not in states and _guarded(rows)


def _guarded(rows: Sequence[Found]) -> bool:
    return all(each.state == HOLDS for each in rows if each.is_guardrail)


def _first(experiment: Experiment, rows: Sequence[Found]) -> float:
    each = next(row for row in rows if row.state == BETTER)
    return words.metric_of(experiment, each.metric).sign * each.difference


def _why(experiment: Experiment, arm: str, rows: Sequence[Found]) -> str:
    return f"{arm} against {experiment.control}: " + "; ".join(_reason(experiment, each) for each in rows) + "."


def _reason(experiment: Experiment, each: Found) -> str:
    metric = words.metric_of(experiment, each.metric)
    return (
        f"{each.metric} is {words.STATES[each.state]} by {words.change(metric, abs(each.difference)).lstrip('+')} "
        f"({words.interval(metric, each)})"
    )


def _is_same(experiment: Experiment, rows: Sequence[Found]) -> bool:
    """Whether no difference that matters is left: by the planned size, or by intervals within `matters`."""
    goals = [each for each in rows if not each.is_guardrail]
    if not goals or any(each.state in (BETTER, WORSE) for each in goals):
        return False
    if experiment.method == FIXED:
        return True
    return all(_is_small(words.metric_of(experiment, each.metric), each) for each in goals)


def _is_small(metric: Metric, each: Found) -> bool:
    if metric.matters is None or not (math.isfinite(each.low) and math.isfinite(each.high)):
        return False
    return -metric.matters < each.low and each.high < metric.matters


def _nothing(experiment: Experiment) -> str:
    if experiment.method == FIXED:
        return f"At the planned size of {experiment.units:,.0f} units no metric differs more than chance explains."
    return "The intervals leave no room for a difference that matters: keep what is simpler or cheaper."


def _waiting(experiment: Experiment, by_arm: dict[str, list[Found]]) -> str:
    open_ = [each for rows in by_arm.values() for each in rows if each.state == UNDECIDED]
    listed = "; ".join(
        f"{each.metric} could be {words.interval(words.metric_of(experiment, each.metric), each)}" for each in open_[:3]
    )
    if not open_:
        return "Metrics point in different directions: weigh them, or change the arm."
    known = [each for rows in by_arm.values() for each in rows if each.state in (BETTER, WORSE, BROKEN)]
    if known:
        return f"{'; '.join(_reason(experiment, each) for each in known)}; but {listed}."
    if experiment.method == BAYESIAN:
        return f"No arm is probable enough to be better yet: {listed}."
    return f"Nothing can be told yet: {listed}."
