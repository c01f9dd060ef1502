"""Whether an experiment can be believed: every check is made at every look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from components.experiments import layers
from components.experiments.compare.categories import chi_square
from components.experiments.hashing import by_key
from components.experiments.validity.mismatch import Mismatch, Stretch, mismatch
from components.experiments.validity.same import same
from taxiway.experiments.compare import Steps
from taxiway.experiments.data import sums
from taxiway.experiments.data.units import Units
from taxiway.experiments.settings import LEFT_OUT, RATIO, REQUEST, Experiment
from taxiway.experiments.slices import Sliced

BELIEVED = 0.001
"""The p-value of a sample-ratio mismatch below which nothing is believed."""
_MUCH = 0.01
_SAMPLE = 1000
_SAME_UNITS = 20_000


@dataclass(frozen=True)
class Check:
    """What was checked: good, or to be read (warn), or a reason to believe nothing (bad); info has no verdict."""

    name: str
    state: Literal["good", "warn", "bad", "info"]
    words: str


def sample_ratio(units: Units, steps: Steps) -> Mismatch | None:
    """The test of the units of each arm against the weights; None if sampled logs cannot tell."""
    if any(low < high - 1e-9 for low, high in units.shares.values()):
        return None
    counts = units.connection.execute(
        f"SELECT {sums.stretch(units, steps)}, arm, count(*) FROM units GROUP BY 1, 2"
    ).fetchall()
    names = list(units.experiment.arms)
    kept = {name: units.shares.get(name, (1.0, 1.0))[0] for name in names}
    stretches = []
    for number, (_, weights) in enumerate(steps):
        found = {names[arm]: float(count) for stretch, arm, count in counts if stretch == number}
        expected = {name: weights[name] * kept[name] for name in names}
        # Requests on their way while weights change are no mismatch.
        found = {name: count for name, count in found.items() if expected[name] > 0}
        stretches.append(Stretch(found, expected))
    return mismatch(stretches)


def all_checks(
    units: Units,
    given: tuple[Steps, bool],
    found: Mismatch | None,
    looks: Sequence[dict[str, Any]],
    sliced: Sequence[Sliced],
) -> list[Check]:
    """Every check of a look, the worst first.

    Args:
        units: The units.
        given: The weights over time, and whether a bandit has set them.
        found: The sample-ratio mismatch.
        looks: All looks at the model's experiments so far.
        sliced: The differences by slice.
    """
    steps, is_bandit = given
    experiment = units.experiment
    checks = [
        _ratio(found, looks, experiment),
        *_mixed(units, len(steps) > 1),
        *_outcomes(units),
        *_missing(units),
        *_sampled(units),
        *_paradoxes(sliced),
        *_assignment(units, len(steps) > 1),
        *_others(experiment, looks),
        *_changed(experiment, looks),
        *_bandit(units, is_bandit),
        *_same(units),
        *_left_out(units),
    ]
    order = {"bad": 0, "warn": 1, "good": 2, "info": 3}
    return sorted(checks, key=lambda check: order[check.state])


def _ratio(found: Mismatch | None, looks: Sequence[dict[str, Any]], experiment: Experiment) -> Check:
    name = "Units per arm"
    if found is None:
        return Check(name, "info", "Requests were recorded with shares that changed, so units cannot be counted.")
    p_value = least_mismatch(found, looks, experiment)
    listed = ", ".join(
        f"{arm} {count:,.0f} of {found.expected[arm]:,.0f} expected" for arm, count in found.found.items()
    )
    if p_value < BELIEVED:
        return Check(
            name,
            "bad",
            f"Sample-ratio mismatch (p = {p_value:.2g}): {listed}. Units are lost or counted twice in one arm.",
        )
    return Check(name, "good", f"They fit the weights: {listed} (p = {p_value:.2g}, at any number of looks).")


def least_mismatch(found: Mismatch | None, looks: Sequence[dict[str, Any]], experiment: Experiment) -> float:
    """The least p-value of all looks with these settings: once found, a mismatch does not go away."""
    mine = [look for look in looks if look["settings"] == experiment.digest and look["experiment"] == experiment.name]
    before = [look["mismatch"] for look in mine if look["mismatch"] is not None]
    return float(min([*before, found.p_value if found else 1.0]))


def _mixed(units: Units, is_moved: bool) -> Iterator[Check]:
    mixed, total = units.counts.mixed, max(units.counts.units, 1)
    words = f"{mixed:,} of {total:,} units had more than one arm; each counts for its first."
    if not mixed:
        yield Check("One arm per unit", "good", "No unit had more than one arm.")
    elif mixed / total <= _MUCH:
        yield Check("One arm per unit", "good", words)
    elif is_moved:
        yield Check("One arm per unit", "info", f"{words} The weights changed, which moves keys.")
    else:
        words += " The difference is diluted: set sticky_key in route.yaml to the unit."
        yield Check("One arm per unit", "warn", words)


def _outcomes(units: Units) -> Iterator[Check]:
    for name, lost in units.counts.lost.items():
        total = next(_rows(units, source.table) for source in units.sources if source.outcome.name == name)
        words = f"{total - lost:,} of {total:,} rows of {name} have a request or key of the experiment."
        yield Check(f"Outcomes: {name}", "warn" if lost == total else "info" if lost > total / 2 else "good", words)


def _rows(units: Units, table: str) -> int:
    return int(units.connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def _missing(units: Units) -> Iterator[Check]:
    """Whether one arm lacks outcomes more often, where units without one are left out."""
    if not any(source.outcome.missing == LEFT_OUT for source in units.sources):
        return
    for index, metric in enumerate(units.experiment.metrics):
        there = f"v{index}_1 > 0" if metric.kind != "mean" and _has_two(units, index) else f"v{index}_0 IS NOT NULL"
        rows = units.connection.execute(
            f"SELECT count(*) FILTER ({there}), count(*) FROM units WHERE ready GROUP BY arm ORDER BY arm"
        ).fetchall()
        if len(rows) < 2 or all(known == n for known, n in rows) or not any(known for known, _ in rows):
            continue
        p_value = chi_square([[known, n - known] for known, n in rows]).p_value
        parts = [f"{known / n:.1%}" for known, n in rows]
        words = f"{' and '.join(parts)} of the units have one, in the order of the arms (p = {p_value:.2g})."
        state: Literal["warn", "good"] = "warn" if p_value < BELIEVED else "good"
        yield Check(f"Units with {metric.name}", state, words)


def _has_two(units: Units, index: int) -> bool:
    return len(sums.columns(units, index)) > 1 and not units.experiment.metrics[index].covariate


def _sampled(units: Units) -> Iterator[Check]:
    if not units.is_weighted:
        low = min((share for share, _ in units.shares.values()), default=1.0)
        if low < 1 and units.experiment.unit != REQUEST:
            words = (
                f"{low:.0%} of the requests were recorded, so users with few requests are missing in both arms alike."
            )
            yield Check("Recorded share", "info", words)
        return
    listed = ", ".join(f"{arm} {low:g} to {high:g}" for arm, (low, high) in units.shares.items())
    if units.experiment.unit == REQUEST:
        yield Check("Recorded share", "good", f"It differs ({listed}); each request counts by one over its share.")
        return
    words = f"It differs ({listed}). Sums are weighted by it, but users that were never recorded cannot be: record all."
    yield Check("Recorded share", "warn", words)


def _paradoxes(sliced: Sequence[Sliced]) -> Iterator[Check]:
    found = [each for each in sliced if each.paradox]
    for each in found:
        words = f"{each.metric} of {each.arm}: within the slices of {each.name} the difference is {each.within:+.4g}, "
        words += (
            f"over all units {each.difference:+.4g}. The mix of slices differs between the arms: believe the slices."
        )
        yield Check("Simpson's paradox", "warn", words)
    if sliced and not found:
        names = ", ".join(dict.fromkeys(each.name for each in sliced))
        yield Check("Simpson's paradox", "good", f"The slices of {names} do not contradict the whole.")


def _assignment(units: Units, is_moved: bool) -> Iterator[Check]:
    """A sample of the units against the hash by which the proxy, or the layer, assigns."""
    experiment = units.experiment
    if experiment.unit == REQUEST or is_moved:
        return
    rows = units.connection.execute(f"SELECT key, arm FROM units ORDER BY unit LIMIT {_SAMPLE}").fetchall()
    arms = list(experiment.arms)
    fits = sum(expected_arm(experiment, key) == arms[arm] for key, arm in rows)
    words = f"{fits:,} of {len(rows):,} keys looked at have the arm that the hash gives them."
    if fits >= (1 - _MUCH) * len(rows):
        yield Check("Sticky assignment", "good", words)
    else:
        words += " Other weights, another key, or an assignment of your own: if so, ignore this."
        yield Check("Sticky assignment", "info", words)


def expected_arm(experiment: Experiment, key: str) -> str | None:
    """The arm that a key gets: by the layer, or as the proxy assigns to its targets; None outside of the experiment."""
    if experiment.layer:
        parts = {
            name: layers.Experiment(share, experiment.shares if name == experiment.name else {"any": 1.0})
            for name, share in experiment.layer.shares.items()
        }
        found = layers.assigned(layers.Layer(experiment.layer.name, parts), key)
        return found[1] if found and found[0] == experiment.name else None
    targets = {arm.target or name: name for name, arm in experiment.arms.items()}
    weights = {target: experiment.arms[name].share for target, name in targets.items()}
    return targets[by_key(key.encode(), weights)]


def _others(experiment: Experiment, looks: Sequence[dict[str, Any]]) -> Iterator[Check]:
    """Other experiments with the model at the same time."""
    others = {look["experiment"]: look for look in looks if look["experiment"] != experiment.name}
    mine = experiment.layer.name if experiment.layer else ""
    together = [
        name
        for name, look in others.items()
        if (look["ended"] is None or look["ended"] > experiment.start)
        and (experiment.end is None or look["started"] < experiment.end)
        and not (mine and look["layer"] == mine)
    ]
    if together:
        words = f"{', '.join(together)} ran on this model at the same time, not in the same layer. "
        words += "Units may be in both: put them into one layer if one may change the other's effect."
        yield Check("Other experiments", "warn", words)
    else:
        yield Check("Other experiments", "good", "No other one that was looked at shares units with this one.")


def _changed(experiment: Experiment, looks: Sequence[dict[str, Any]]) -> Iterator[Check]:
    mine = [look for look in looks if look["experiment"] == experiment.name]
    digests = list(dict.fromkeys([*(look["settings"] for look in mine), experiment.digest]))
    if len(digests) > 1:
        words = f"The settings were changed {len(digests) - 1} times after somebody had looked ({', '.join(digests)}). "
        words += "The level holds for one of them, chosen before; give the experiment another name to begin anew."
        yield Check("Settings", "warn", words)
    else:
        yield Check("Settings", "good", f"They are the same at every look ({digests[0]}).")


def _bandit(units: Units, is_bandit: bool) -> Iterator[Check]:
    if not is_bandit:
        return
    words = (
        "A bandit moved the weights. Shares and means are weighted by one over the probability of the arm, and their "
    )
    words += "intervals hold for one look, after the bandit has ended."
    yield Check("Bandit", "info", words)
    if any(metric.computed == RATIO for metric in units.experiment.metrics):
        yield Check(
            "Bandit", "warn", "Ratios are not weighted: they are biased where traffic changed with the weights."
        )


def _same(units: Units) -> Iterator[Check]:
    """In an A/A run: whether random halves of the units differ as seldom as they should."""
    if not units.experiment.same:
        return
    for index, metric in enumerate(units.experiment.metrics):
        if len(sums.columns(units, index)) > 1:
            continue
        column = f"v{index}_0"
        rows = units.connection.execute(
            f"SELECT {column} AS value FROM units WHERE ready AND {column} IS NOT NULL "
            f"ORDER BY unit LIMIT {_SAME_UNITS}"
        )
        values = np.asarray(rows.fetchnumpy()["value"], dtype=float)
        if values.size < 4 or values.min() == values.max():
            continue
        found = same(values, runs=400)
        words = f"{found.found:.1%} of 400 random halves differ at 5 %; that their p-values are uniform has "
        words += f"p = {found.uniform:.2g}."
        yield Check(f"A/A of {metric.name}", "good" if found.uniform > BELIEVED else "bad", words)


def _left_out(units: Units) -> Iterator[Check]:
    counts = units.counts
    parts = [
        (counts.waiting, "units wait for the end of their window"),
        (counts.beyond, "units came after the planned size and do not count"),
        (counts.keyless, "requests had no key"),
        (counts.elsewhere, "requests since the start belong to no arm"),
    ]
    if words := "; ".join(f"{count:,} {what}" for count, what in parts if count):
        yield Check("Left out", "info", f"{words}.")
