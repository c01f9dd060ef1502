"""Both models on the same rows: their metrics by the evaluator's code, and the gains with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from components.contract.artifacts import Artifact
from components.contract.errors import UserError
from components.evaluator.direct import metric_name
from components.evaluator.evaluation import Evaluation
from components.evaluator.rows import Rows
from components.evaluator.slices import Slicer
from components.judge import gains
from components.judge.gains import Metric, Models, Sliced, Values
from components.judge.verdict import Gain, Rule
from components.monitoring.quality.evaluate import slice_text, sliced
from components.monitoring.quality.influences import metric_classes, only
from components.reports.readers import directions
from components.user_code.eval_configs import near

TOGETHER = "together"


@dataclass(frozen=True)
class Compared:
    """Rows to compare on.

    Attributes:
        name: `recent` or `examples`.
        examples: The rows.
        splits: Their splits.
    """

    name: str
    examples: Artifact
    splits: list[str]


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
        gains: On recent rows first, then on the others, then on all together.
        values: The metrics of both models, by the name of the rows.
        slices: The gains by slice, the smallest first, by the name of the rows.
        has_champion: Whether there is a champion.
    """

    gains: list[Gain]
    values: dict[str, Values]
    slices: dict[str, list[Gain]]
    has_champion: bool


def compare(
    model: Artifact,
    champion: Artifact | None,
    compared: Sequence[Compared],
    schema: Artifact | None,
    rule: Rule,
    *,
    eval_config: Mapping[str, Any],
    custom_ops: Sequence[str] = (),
) -> Comparison:
    """Measures both models on the rows.

    Raises:
        UserError: The EvalConfig, a model and the rows do not fit together, or the metric cannot decide.
        DataError: A split has no rows, or rows lack a label.
    """
    evaluation = Evaluation(
        eval_config=_without_stage_settings(eval_config),
        candidate=model,
        baseline=champion,
        examples=compared[0].examples,
        splits=compared[0].splits,
        schema=schema,
        custom_ops=custom_ops,
    )
    _require_deciding(rule.metric, evaluation.config)
    columns = Slicer(evaluation.config.slicing_specs).columns
    rows = {each.name: list(evaluation.on(each.examples, each.splits).rows(columns)) for each in compared}
    if len(rows) > 1:
        rows[TOGETHER] = [batch for batches in rows.values() for batch in batches]
    measured = {name: _measured(name, evaluation.config, batches, rule) for name, batches in rows.items()}
    return Comparison(
        [gain for _, gain, _ in measured.values()],
        {name: values for name, (values, _, _) in measured.items()},
        {name: slices for name, (_, _, slices) in measured.items()},
        evaluation.baseline is not None,
    )


def _without_stage_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The EvalConfig without what is for the evaluator alone: intervals and pairs of slices, which need Beam."""
    kept = {name: each for name, each in given.items() if name not in ("cross_slicing_specs", "crossSlicingSpecs")}
    alone = ("compute_confidence_intervals", "computeConfidenceIntervals", "disabled_outputs", "disabledOutputs")
    options = {name: each for name, each in (given.get("options") or {}).items() if name not in alone}
    return {**kept, "options": options} if options else {name: kept[name] for name in kept if name != "options"}


def _require_deciding(metric: str, config: Any) -> None:
    name = metric.rpartition("/")[2]
    if directions.says_nothing(name) or name == "calibration":
        raise UserError(
            f"metric is {metric!r}, of which more or less is not better",
            fix="name one such as binary_accuracy, auc or mean_absolute_error",
        )
    known = metric_classes(config)
    if not any(name == each or name.startswith(f"{each}@") for each in known):
        raise UserError(f"eval_config has no metric {metric!r}", fix=near(metric, known, "its metrics are"))


def _measured(name: str, config: Any, rows: list[Rows], rule: Rule) -> tuple[Values, Gain, list[Gain]]:
    """All metrics over all rows, and the deciding one by slice: the area under a curve of many slices takes seconds."""
    models = _models(config)
    whole = sliced(config, rows, Slicer(()))[()]
    values = {"": _by_metric(whole, models)}
    keys = _keys(whole, models, rule.metric)
    if not keys:
        raise UserError(
            f"the metric {rule.metric!r} is not computed here", fix=f"name one of {', '.join(sorted(values['']))}"
        )
    metric = Metric(rule.metric, config, keys, *metric_classes(config)[keys.challenger.name])
    slicer = Slicer(() if name == TOGETHER else config.slicing_specs)
    if name != TOGETHER:
        by_slice = sliced(only(config, {keys.challenger.name}), rows, slicer)
        values = {slice_text(key): _by_metric(metrics, models) for key, metrics in by_slice.items()} | values
    own = Sliced(rows, [slicer.members(each) for each in rows], slicer.keys)
    overall, slices = gains.of(metric, own, values, rule.level)
    return values, replace(overall, name=name), slices


def _models(config: Any) -> dict[str, str]:
    """Who a model of the evaluator is: a single one has no name."""
    if len(config.model_specs) == 1:
        return {"": "challenger"}
    return {spec.name: "champion" if spec.is_baseline else "challenger" for spec in config.model_specs}


def _of_models(metrics: Mapping[Any, Any], models: Mapping[str, str]) -> Iterator[tuple[Any, str, float | None]]:
    """Metrics that are numbers, or None where they have no value."""
    for key, value in metrics.items():
        if type(key).__name__ == "MetricKey" and not key.is_diff and key.model_name in models:
            yield key, models[key.model_name], gains.number(value)


def _by_metric(metrics: Mapping[Any, Any], models: Mapping[str, str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for key, who, value in _of_models(metrics, models):
        if value is not None:
            found.setdefault(metric_name(key), {})[who] = value
    return found


def _keys(metrics: Mapping[Any, Any], models: Mapping[str, str], metric: str) -> Models | None:
    keys = {who: key for key, who, _ in _of_models(metrics, models) if metric_name(key) == metric}
    return Models(keys["challenger"], keys.get("champion")) if "challenger" in keys else None
