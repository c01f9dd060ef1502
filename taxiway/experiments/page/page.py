"""The page: the decision first, then what it rests on, in words that need no statistics."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from components.reports.markup import Content
from components.reports.page import Section, render
from components.reports.parts import Kind, badge, code, facts, notice, paragraph, stack, tiles, unordered
from components.reports.tables import Cell, Column, table
from taxiway.experiments import words
from taxiway.experiments.compare import BETTER, BROKEN, HOLDS, UNDECIDED, WORSE, Found
from taxiway.experiments.decide import INVALID, SAME, SHIP, STOP, TITLES, WAIT
from taxiway.experiments.look import Look, impacts, kind_of_unit
from taxiway.experiments.page import pictures
from taxiway.experiments.settings import BAYESIAN, BEFORE, FIXED, SEQUENTIAL, Experiment, Metric

_KINDS: dict[str, Kind] = {SHIP: "good", STOP: "bad", SAME: "info", WAIT: "info", INVALID: "bad"}
_STATES: dict[str, Kind] = {BETTER: "good", HOLDS: "good", WORSE: "bad", BROKEN: "bad", UNDECIDED: "plain"}
_CHECKS: dict[str, Kind] = {"good": "good", "warn": "warn", "bad": "bad", "info": "info"}
_CHECKED = {"good": "fine", "warn": "read this", "bad": "not valid", "info": "note"}


def page(look: Look) -> str:
    """The result of a look as HTML."""
    return render(f"Experiment {look.experiment.name}", list(_sections(look)), subtitle=_subtitle(look))


def _subtitle(look: Look) -> str:
    experiment = look.experiment
    end = experiment.end or look.until
    return f"Model {experiment.model} · {experiment.start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def _sections(look: Look) -> Iterator[Section]:
    yield Section("decision", "Decision", _decision(look))
    yield Section("tried", "What was tried", _tried(look))
    yield Section("metrics", "Metrics", _metrics(look), _meaning(look.experiment))
    if look.courses:
        yield Section("time", "Over time", pictures.over_time(look), _narrowing(look.experiment))
    if look.sliced:
        words_ = "A difference that is found in one slice of many is often chance: plan another experiment for it."
        yield Section("slices", "By slice", pictures.slices(look), words_)
    yield Section("checks", "Checks", _checks(look), "Whether the figures above can be believed.")
    yield Section("looks", "Who looked when", _looks(look), _peeked(look))
    yield Section("method", "How it was computed", _method(look))


def _decision(look: Look) -> Markup:
    decision = look.decision
    warned = [each for each in look.checks if each.state == "warn"]
    parts: list[Content] = [notice(decision.sentence, _KINDS[decision.kind], f"{TITLES[decision.kind]}.")]
    if warned:
        names = ", ".join(dict.fromkeys(each.name for each in warned))
        parts.append(notice(f"{names}: see the checks below.", "warn", "Read before you act."))
    return stack(*parts, tiles(_figures(look)), *(paragraph(each) for each in impacts(look)))


def _figures(look: Look) -> Iterator[tuple[Content, Content, Content]]:
    experiment = look.experiment
    by_arm = " · ".join(f"{arm} {count:,}" for arm, count in look.units.items())
    what = experiment.unit.partition(":")[2] or "request"
    yield f"Units ({what})", f"{sum(look.units.values()):,}", by_arm
    yield "Ran for", words.lasting((experiment.end or look.until) - experiment.start), ""
    if first := next((each for each in look.found if not each.is_guardrail), None):
        metric = words.metric_of(experiment, first.metric)
        yield f"{first.metric}, {first.arm}", words.change(metric, first.difference), words.interval(metric, first)
    yield "Looks", f"{len(look.before) + 1}", "this one included"


def _tried(look: Look) -> Markup:
    experiment = look.experiment
    parts: list[Content] = [paragraph(experiment.hypothesis)] if experiment.hypothesis else []
    rows = [
        [
            name,
            "control" if name == experiment.control else "treatment",
            code(_place(experiment, name)),
            Cell(f"{arm.share / sum(experiment.shares.values()):.0%}", arm.share),
            Cell(f"{look.units[name]:,}", look.units[name]),
        ]
        for name, arm in experiment.arms.items()
    ]
    columns: list[str | Column] = ["Arm", "Role", "Requests of", Column("Share", True), Column("Units compared", True)]
    parts.append(table("The arms", columns, rows, is_sortable=False, hide_caption=True))
    parts.append(paragraph(_whom(look)))
    return stack(*parts)


def _place(experiment: Experiment, name: str) -> str:
    arm = experiment.arms[name]
    if arm.version is not None:
        return f"version {arm.version}"
    return f"target {arm.target}" if arm.target else f"label {arm.label}"


def _whom(look: Look) -> str:
    experiment = look.experiment
    name = experiment.unit.partition(":")[2]
    assigned = f"Each {name} keeps one arm" if name else "Each request is assigned by itself"
    waited = ""
    if experiment.window:
        waited = f"; what happens within {words.lasting(experiment.window)} of the first request counts"
    return f"{assigned}{waited}. {look.counts.units:,} {kind_of_unit(experiment)} took part so far."


def _meaning(experiment: Experiment) -> str:
    if experiment.method == BAYESIAN:
        return f"All intervals hold their true differences with a probability of {1 - experiment.level:.0%} or more."
    level = f"{1 - experiment.level:.0%}"
    several = "all intervals together" if experiment.comparisons > 1 else "the interval"
    return f"The true difference is inside {several} with {level} confidence. An interval without 0 is a finding."


def _metrics(look: Look) -> Markup:
    experiment = look.experiment
    columns: list[str | Column] = ["Metric", *(["Arm"] if _has_several(experiment) else []), "Verdict"]
    columns += [Column("Difference", True), Column("Interval", True), Column(experiment.control, True)]
    columns += [Column(_treatment(experiment), True), Column("Relative", True)]
    columns += [Column("Probability", True, "that the treatment is better")] if experiment.method == BAYESIAN else []
    columns += [Column("Expected loss", True, "of choosing it")] if experiment.method == BAYESIAN else []
    listed = table("Metrics", [*columns, "Goal"], [list(_row(look, each)) for each in look.found], hide_caption=True)
    return stack(listed, pictures.by_metric(look))


def _row(look: Look, found: Found) -> Iterator[Cell | Content]:
    metric = words.metric_of(look.experiment, found.metric)
    yield found.metric
    if _has_several(look.experiment):
        yield found.arm
    yield badge(words.STATES[found.state], _STATES[found.state])
    yield Cell(words.change(metric, found.difference), found.difference)
    yield words.interval(metric, found)
    yield Cell(words.value(metric, found.control), found.control)
    yield Cell(words.value(metric, found.treatment), found.treatment)
    yield Cell(words.relative(found), found.relative)
    if look.experiment.method == BAYESIAN:
        yield Cell(f"{found.above:.1%}", found.above)
        scale = 100 if words.is_percent(metric) else 1
        yield Cell(f"{scale * found.loss:.2g}{' points' if scale > 1 else ''}", found.loss)
    yield _goal(metric)


def _has_several(experiment: Experiment) -> bool:
    return len(experiment.treatments) > 1


def _treatment(experiment: Experiment) -> str:
    return "Treatment" if _has_several(experiment) else experiment.treatments[0]


def _goal(metric: Metric) -> str:
    if metric.margin is None:
        return "more is better" if metric.sign > 0 else "less is better"
    bound = "at most" if metric.sign < 0 else "at least"
    return f"guardrail: {bound} {words.change(metric, -metric.sign * metric.margin)}"


def _narrowing(experiment: Experiment) -> str:
    if experiment.method == SEQUENTIAL:
        return "The band holds at every moment at once, so it was allowed to look, and to stop, at any time."
    if experiment.method == FIXED:
        return "The band holds at the planned size only: before it, crossing 0 means nothing."
    return "What was believed of the difference at each time."


def _checks(look: Look) -> Markup:
    rows = [[each.name, badge(_CHECKED[each.state], _CHECKS[each.state]), each.words] for each in look.checks]
    return table("Checks", ["Check", "Verdict", "What was found"], rows, is_sortable=False, hide_caption=True)


def _peeked(look: Look) -> str:
    earlier = len(look.before)
    if not earlier:
        return "Nobody had looked before."
    allowed = {
        SEQUENTIAL: "The intervals allow it.",
        FIXED: "At a fixed size, only the look at the planned size decides.",
        BAYESIAN: "Stopping at the first look that is probable enough finds differences too often.",
    }[look.experiment.method]
    return f"It was looked at {earlier} times before this. {allowed}"


def _looks(look: Look) -> Markup:
    rows = [
        [
            f"{each['time']:%Y-%m-%d %H:%M}",
            each["by"],
            Cell(f"{each['units']:,}", each["units"]),
            TITLES[each["decision"]],
            code(each["settings"]) if each["settings"] != look.experiment.digest else "as now",
        ]
        for each in look.before
    ]
    now = [
        f"{look.time:%Y-%m-%d %H:%M}",
        "this page",
        Cell(f"{sum(look.units.values()):,}"),
        TITLES[look.decision.kind],
    ]
    columns: list[str | Column] = ["Time, UTC", "By", Column("Units", True), "Decision", "Settings"]
    return table("Looks", columns, [*rows, [*now, "as now"]], hide_caption=True)


def _method(look: Look) -> Markup:
    experiment = look.experiment
    told = {
        SEQUENTIAL: "Always-valid confidence sequences (mixture of Student's t), narrowest at the planned units.",
        FIXED: "At the planned size: z test with the score interval for shares, Welch's t for means and ratios, "
        "Mann-Whitney for ranks.",
        BAYESIAN: "Flat priors: Beta(1, 1) for shares, and a normal posterior around the mean for others.",
    }[experiment.method]
    pairs: list[tuple[Content, Content]] = [
        ("Method", experiment.method),
        ("Level", f"{experiment.level:.0%}, shared by {experiment.comparisons} comparisons"),
        ("Planned units", f"{experiment.units:,.0f}"),
        ("Settings", code(experiment.digest)),
    ]
    notes: list[Content] = [
        told,
        "Ratios are over units, by the delta method: requests of one unit are not independent.",
    ]
    adjusted = [(each, words.metric_of(experiment, each.metric)) for each in look.found if each.kept < 1]
    for each, metric in adjusted:
        known = "its value before the start" if metric.covariate == BEFORE else metric.covariate
        kept = f"{1 - each.kept:.1%} of the variance of {each.metric} ({each.arm}) was explained by {known} (CUPED)."
        notes.append(kept)
    return stack(facts(pairs), unordered(notes))
