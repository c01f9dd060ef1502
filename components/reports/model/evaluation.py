"""The section on an evaluation: the verdict, the metrics beside the baseline's and the thresholds, slices, curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from components.contract.artifacts import Artifact
from components.reports.figures import counted, number, short_digest, signed
from components.reports.markup import Content
from components.reports.model import curves, fairness, slices
from components.reports.model.sentences import listed
from components.reports.page import Section
from components.reports.parts import badge, code, facts, heading, notice, paragraph, stack, unordered
from components.reports.readers import records
from components.reports.readers.trying import Unreadable, tried
from components.reports.tables import Cell, Column, table

if TYPE_CHECKING:
    from components.reports.readers.evaluations import Metric, Slice
    from components.reports.readers.thresholds import Rule, Verdict

_MOST_VERDICTS = 200


@dataclass(frozen=True)
class _Found:
    """What was read: slices, verdicts, whether the config says that more of a metric is better, and what failed."""

    slices: Sequence[Slice]
    verdicts: Sequence[Verdict]
    missing: Sequence[str]
    directions: Mapping[str, bool]
    unreadable: Sequence[Unreadable]
    version: str = ""

    @property
    def whole(self) -> Slice | None:
        return next((each for each in self.slices if not each.key), None)


def section(
    evaluation: Artifact, blessing: Artifact | None = None, *, id_: str = "evaluation", title: str = "Evaluation"
) -> Section:
    """What an evaluation found, and what the blessing says of it.

    Args:
        evaluation: A ModelEvaluation.
        blessing: The ModelBlessing of the same call.
        id_: The section's anchor.
        title: Its heading.
    """
    found = _read(evaluation)
    blessed = is_blessed(blessing)
    body = stack(*_notices(evaluation, blessing, blessed, found), *_body(evaluation, blessed, found))
    return Section(id_, title, body, _summary(found, blessed))


def is_blessed(blessing: Artifact | None) -> bool | None:
    """What a blessing says; None if there is none."""
    if blessing is None:
        return None
    marks = [(blessing.path / name).exists() for name in ("BLESSED", "NOT_BLESSED")]
    said = records.figure(blessing, "blessed")
    if not any(marks) and said is None:
        return None
    return (marks[0] if said is None else said == 1) and not marks[1]


def _read(evaluation: Artifact) -> _Found:
    found = tried("The evaluation", lambda: _read_files(evaluation.path))
    return _Found([], [], [], {}, [found]) if isinstance(found, Unreadable) else found


def _read_files(folder: Path) -> _Found:
    """What can be read of each file."""
    # TFMA's protos take a while to import.
    from components.reports.readers import evaluations, thresholds

    slices = tried("The metrics", lambda: evaluations.read(folder))
    run = tried("The thresholds", lambda: thresholds.read_config(folder))
    validation = tried("The verdicts", lambda: thresholds.read_validation(folder))
    unreadable = [each for each in (slices, run, validation) if isinstance(each, Unreadable)]
    known = [] if isinstance(slices, Unreadable) else slices
    if isinstance(run, Unreadable):
        return _Found(known, [], [], {}, unreadable)
    directions = thresholds.directions(run)
    if isinstance(validation, Unreadable):
        return _Found(known, [], [], directions, unreadable, version=run.version)
    verdicts = thresholds.verdicts(thresholds.rules(run), known, validation)
    return _Found(
        slices=known,
        verdicts=verdicts,
        missing=validation.missing,
        directions=directions,
        unreadable=unreadable,
        version=run.version,
    )


def _notices(evaluation: Artifact, blessing: Artifact | None, blessed: bool | None, found: _Found) -> Iterator[Markup]:
    for each in found.unreadable:
        yield notice(each.sentence, "warn")
    reasons = str(blessing.metadata.get("not_blessed", "")).splitlines() if blessing else []
    if blessed is False and reasons:
        yield notice(reasons[0] if len(reasons) == 1 else unordered(reasons), "bad", "Not blessed.")
    if failure := evaluation.metadata.get("baseline_failure"):
        yield notice(failure, "warn", "The baseline was ignored.")
    for name in found.missing:
        yield notice(f"No row of the data is in the slice “{name}”, which has a threshold.", "bad")


def _body(evaluation: Artifact, blessed: bool | None, found: _Found) -> Iterator[Content]:
    yield facts(_facts(evaluation, blessed, found))
    if found.whole:
        yield _metrics(found.whole, found)
    yield _verdicts_of_slices(found)
    rule = next((verdict.rule.metric for verdict in found.verdicts if not verdict.slice), "")
    yield slices.part(found.slices, rule, found.directions)
    yield fairness.part(found.slices)
    if found.whole:
        yield curves.part(found.whole)


def _facts(evaluation: Artifact, blessed: bool | None, found: _Found) -> Iterator[tuple[Content, Content]]:
    words = {True: badge("blessed", "good"), False: badge("not blessed", "bad"), None: badge("not judged", "plain")}
    yield "Verdict", words[blessed]
    record = records.own(evaluation)
    if found.whole and found.whole.size is not None:
        splits = record.get("parameters", {}).get("splits") or []
        yield "Rows", f"{number(found.whole.size)}{' of ' + listed(splits) if splits else ''}"
    yield "Baseline", baseline_name(evaluation) or ("yes" if _is_compared(found) else "none")
    if record and (model := record["inputs"].get("model")):
        yield "Candidate", code(short_digest(model))
    if found.version:
        yield "TFMA", found.version


def baseline_name(evaluation: Artifact) -> Content:
    """Which model the candidate was compared with, by the evaluation's provenance; None if with none."""
    chain = records.chain(evaluation)
    digest = chain[0]["inputs"].get("baseline_model") if chain else None
    model = next((each for each in chain if each["digest"] == digest), None)
    source = model["inputs"].get("source") if model else None
    if model is None or source is None:
        return None
    pushed = next((each for each in chain if each["digest"] == source), {})
    return code(pushed.get("pushed_destination") or short_digest(source))


def _is_compared(found: _Found) -> bool:
    return bool(found.whole and found.whole.baseline)


def _metrics(whole: Slice, found: _Found) -> Markup:
    """The metrics of all rows: candidate, baseline, change, thresholds, verdict."""
    compared = bool(whole.baseline)
    columns = [Column("metric"), Column("candidate", is_number=True)]
    columns += [Column("baseline", is_number=True), Column("change", is_number=True)] if compared else []
    columns += [Column("threshold"), Column("verdict")]
    rows = [_metric_row(metric, whole, found) for metric in whole.candidate.values()]
    unshown = paragraph(f"Not shown: {listed(whole.unshown)}.", quiet=True) if whole.unshown else None
    return stack(table("Metrics over all rows", columns, rows, is_searchable=False), unshown)


def _metric_row(metric: Metric, whole: Slice, found: _Found) -> list[Content]:
    verdicts = [verdict for verdict in found.verdicts if not verdict.slice and verdict.metric == metric.name]
    beside = _beside(metric, whole.baseline.get(metric.name), found) if whole.baseline else []
    rules = "; ".join(rule_text(verdict.rule) for verdict in verdicts)
    return [metric.name, Cell(_with_interval(metric), metric.value), *beside, rules or None, _verdict_cell(verdicts)]


def _with_interval(metric: Metric) -> str:
    ends = f" ({number(metric.interval[0])} to {number(metric.interval[1])})" if metric.interval else ""
    return f"{number(metric.value)}{ends}"


def _beside(candidate: Metric, baseline: Metric | None, found: _Found) -> list[Content]:
    if baseline is None:
        return [None, None]
    better = _is_better(candidate, baseline, found)
    change = candidate.value - baseline.value
    marked = Cell(signed(change), change, "" if better is None else "good" if better else "bad")
    return [Cell(number(baseline.value), baseline.value), marked]


def _is_better(candidate: Metric, baseline: Metric, found: _Found) -> bool | None:
    from components.reports.readers.directions import is_better

    return is_better(candidate.base, candidate.value, baseline.value, found.directions)


def rule_text(rule: Rule) -> str:
    """A rule in words: `at least 0.6`; `change at least −0.01`."""
    unit = " of the baseline" if rule.is_relative else ""
    bounds = [("at least", rule.lower), ("at most", rule.upper)]
    words = listed([f"{how} {number(limit)}{unit}" for how, limit in bounds if limit is not None])
    return f"change {words}" if rule.of_change else words


def _verdict_cell(verdicts: Sequence[Verdict]) -> Content:
    if not verdicts:
        return None
    broken = [verdict for verdict in verdicts if not verdict.is_kept]
    if not broken:
        return Cell("kept", 1, "good")
    said = next((verdict.message for verdict in broken if verdict.message), "")
    return Cell(f"broken: {said}" if said else "broken", 0, "bad")


def _verdicts_of_slices(found: _Found) -> Content:
    """Rules for slices; those for all rows are beside the metrics."""
    verdicts = [verdict for verdict in found.verdicts if verdict.slice]
    if not verdicts:
        return None
    columns: list[str | Column] = ["slice", "metric", Column("value or change", is_number=True), "threshold", "verdict"]
    rows = [
        [slices.key_text(each.slice), each.metric, each.value, rule_text(each.rule), _verdict_cell([each])]
        for each in verdicts[:_MOST_VERDICTS]
    ]
    broken = sum(not verdict.is_kept for verdict in verdicts)
    said = f"{broken} of {counted(len(verdicts), 'threshold')} of slices {'is' if broken == 1 else 'are'} broken."
    left = len(verdicts) - len(rows)
    more = f" The table leaves out {counted(left, 'verdict')}." if left else ""
    return stack(
        heading("Thresholds of slices"),
        paragraph(said + more),
        table("Thresholds of slices", columns, rows, hide_caption=True),
    )


def _summary(found: _Found, blessed: bool | None) -> str:
    words = [*_compared_words(found), *_threshold_words(found)]
    words += {True: ["was blessed"], False: ["was not blessed"], None: []}[blessed]
    alone = "" if _is_compared(found) or not found.whole else " There was no baseline to compare it with."
    return f"The candidate {listed(words)}.{alone}" if words else "What the evaluation found cannot be read."


def _compared_words(found: _Found) -> Iterator[str]:
    whole = found.whole
    if whole is None or not whole.baseline:
        return
    pairs = [(metric, whole.baseline[name]) for name, metric in whole.candidate.items() if name in whole.baseline]
    judged = [better for pair in pairs if (better := _is_better(*pair, found)) is not None]
    if judged:
        yield f"is better than the baseline in {sum(judged)} of {counted(len(judged), 'metric')}"
    else:
        yield "is as good as the baseline"


def _threshold_words(found: _Found) -> Iterator[str]:
    count, broken = len(found.verdicts), sum(not verdict.is_kept for verdict in found.verdicts)
    broken += len(found.missing)
    if broken:
        yield f"breaks {broken} of {counted(max(count, broken), 'threshold')}"
    elif count:
        yield "keeps its only threshold" if count == 1 else f"keeps all {count} thresholds"
    elif not found.unreadable:
        yield "has no threshold to keep"
