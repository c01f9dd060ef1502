"""The rules that an evaluation's metrics have to keep, and which of them the candidate broke."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from components.contract.errors import DataError
from components.data import tfrecord
from components.reports.readers.evaluations import Key, Slice, metric_name, slice_key
from components.reports.readers.protos import config_pb2, validation_result_pb2

CONFIG = "eval_config.json"

_Spec = tuple[frozenset[str], frozenset[tuple[str, str]]]
"""Columns of which each value is a slice, and columns with one value."""


@dataclass(frozen=True)
class Rule:
    """One threshold of one metric.

    Attributes:
        metric: The metric's own name.
        lower: The least value, or the least change.
        upper: The greatest value, or the greatest change.
        of_change: Whether it is about the change since the baseline.
        is_relative: Whether that change is a share of the baseline's value.
        slices: The slices that have to keep it; None for all.
    """

    metric: str
    lower: float | None
    upper: float | None
    of_change: bool
    is_relative: bool
    slices: _Spec | None

    def holds_for(self, key: Key) -> bool:
        """Whether a slice has to keep it."""
        if self.slices is None:
            return True
        columns, values = self.slices
        fixed = {column for column, _ in values}
        return {column for column, _ in key} == columns | fixed and values <= set(key)


@dataclass(frozen=True)
class Verdict:
    """Whether a slice keeps a rule.

    Attributes:
        slice: The slice.
        rule: The rule.
        metric: The metric's whole name.
        value: The metric's value, or its change; None if the slice has no such metric.
        is_kept: Whether the rule is kept.
        message: What TFMA says of the failure, if anything.
    """

    slice: Key
    rule: Rule
    metric: str
    value: float | None
    is_kept: bool
    message: str = ""


@dataclass(frozen=True)
class Validation:
    """TFMA's own verdict.

    Attributes:
        is_ok: Whether all rules are kept.
        failures: What TFMA says of each failure, by slice, whole name of the metric, and whether it is of the change.
        missing: Slices that have rules, but are not in the data.
    """

    is_ok: bool
    failures: dict[tuple[Key, str, bool], str]
    missing: list[str]


def read_config(folder: Path) -> Any:
    """TFMA's EvalRun: the EvalConfig that the metrics were computed by, and where the models are.

    Raises:
        DataError: The file is missing or damaged.
    """
    file = folder / CONFIG
    try:
        return json_format.Parse(file.read_text("utf-8"), config_pb2.EvalRun(), ignore_unknown_fields=True)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}", fix="run the evaluator again") from error
    except (ValueError, json_format.ParseError) as error:
        raise DataError(f"{file} is damaged: {error}", fix="run the evaluator again") from error


def read_validation(folder: Path) -> Validation:
    """What TFMA's validation says.

    Raises:
        DataError: The file is missing or damaged.
    """
    files = sorted(folder.glob("validations*"))
    records = [record for file in files for record in tfrecord.read_records(file)]
    if not records:
        raise DataError(f"{folder} has no validation", fix="run the evaluator again")
    result = validation_result_pb2.ValidationResult.FromString(records[0])
    failures = {
        (slice_key(found.slice_key), metric_name(failure.metric_key), failure.metric_key.is_diff): failure.message
        for found in result.metric_validations_per_slice
        for failure in found.failures
    }
    missing = [_spec_text(_spec(spec)) for spec in result.missing_slices]
    return Validation(result.validation_ok, failures, missing)


def rules(run: Any) -> list[Rule]:
    """The rules in an EvalRun, in its order."""
    found: dict[Rule, None] = {}
    for spec in run.eval_config.metrics_specs:
        for metric in spec.metrics:
            name = _metric_name(metric)
            found |= dict.fromkeys(_of_metric(name, metric, [metric.threshold] * metric.HasField("threshold")))
        for name in sorted(spec.thresholds):
            found |= dict.fromkeys(_both(name, spec.thresholds[name], None))
        for name in sorted(spec.per_slice_thresholds):
            found |= dict.fromkeys(_per_slice(name, spec.per_slice_thresholds[name].thresholds))
    return list(found)


def directions(run: Any) -> dict[str, bool]:
    """Metrics whose config says whether more is better."""
    return {
        rule.metric: rule.lower is not None
        for rule in rules(run)
        if rule.of_change and (rule.lower is None) != (rule.upper is None)
    }


def verdicts(found: Sequence[Rule], slices: Sequence[Slice], validation: Validation) -> list[Verdict]:
    """Each rule for each slice that has to keep it; failures first."""
    made = [
        verdict
        for rule in found
        for each in slices
        if rule.holds_for(each.key)
        for verdict in _judged(rule, each, validation)
    ]
    return sorted(made, key=lambda verdict: verdict.is_kept)


def _judged(rule: Rule, each: Slice, validation: Validation) -> Iterator[Verdict]:
    metrics = each.changes if rule.of_change else each.candidate
    names = [name for name, metric in metrics.items() if metric.base == rule.metric]
    if not names and (each.key, rule.metric, rule.of_change) in validation.failures:
        names = [rule.metric]
    for name in names:
        value = metrics[name].value if name in metrics else None
        message = validation.failures.get((each.key, name, rule.of_change))
        yield Verdict(
            slice=each.key,
            rule=rule,
            metric=name,
            value=value,
            is_kept=message is None,
            message=" ".join((message or "").split()),
        )


def _of_metric(name: str, metric: Any, own: Sequence[Any]) -> Iterator[Rule]:
    for threshold in own:
        yield from _both(name, threshold, None)
    yield from _per_slice(name, metric.per_slice_thresholds)


def _per_slice(name: str, thresholds: Sequence[Any]) -> Iterator[Rule]:
    for each in thresholds:
        for spec in each.slicing_specs:
            yield from _both(name, each.threshold, _spec(spec))


def _both(name: str, threshold: Any, slices: _Spec | None) -> Iterator[Rule]:
    if threshold.HasField("value_threshold"):
        bounds = threshold.value_threshold
        lower, upper = (_number(bounds, field) for field in ("lower_bound", "upper_bound"))
        yield Rule(name, lower, upper, of_change=False, is_relative=False, slices=slices)
    if threshold.HasField("change_threshold"):
        change = threshold.change_threshold
        is_lower = change.direction == config_pb2.HIGHER_IS_BETTER
        for field in ("absolute", "relative"):
            if (limit := _number(change, field)) is not None:
                lower, upper = (limit, None) if is_lower else (None, limit)
                yield Rule(name, lower, upper, of_change=True, is_relative=field == "relative", slices=slices)


def _number(message: Any, field: str) -> float | None:
    return getattr(message, field).value if message.HasField(field) else None


def _spec(spec: Any) -> _Spec:
    return frozenset(spec.feature_keys), frozenset(spec.feature_values.items())


def _spec_text(spec: _Spec) -> str:
    columns, values = spec
    return ", ".join([*sorted(columns), *(f"{column}: {value}" for column, value in sorted(values))]) or "all rows"


def _metric_name(metric: Any) -> str:
    """The name that TFMA gives to a metric: of its config, or else of its class."""
    try:
        config = json.loads(metric.config or "{}")
    except ValueError:
        config = {}
    return str(config.get("name") or _snake_case(metric.class_name))


def _snake_case(name: str) -> str:
    parted = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()
