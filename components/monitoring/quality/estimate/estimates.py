"""Estimates of the EvalConfig's metrics for rows without labels, with intervals for what the labels would say.

An interval covers two errors: the rows are a sample (the labels would differ by chance), and so are the rows with
labels that the calibration comes from. It does not cover a changed relation of inputs and label: nothing before labels
can see that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import special

from components.monitoring.quality import slicing
from components.monitoring.quality.estimate import classified, losses
from components.monitoring.quality.estimate.calibration import Calibrated, probabilities
from components.monitoring.quality.estimate.inputs import feature_arrays, prediction
from components.monitoring.quality.estimate.ranges import Beyond, beyond, outside
from components.monitoring.quality.facts import Version
from components.monitoring.quality.terms import Numbers

_REPEATS = 40
_MOST_ROWS = 4_000
_LEAST_CALIBRATED = 30
"""Rows with labels under which nothing is estimated."""

_CLASSIFIED = {
    "BinaryAccuracy": "binary_accuracy",
    "AUC": "auc",
    "Precision": "precision",
    "Recall": "recall",
    "F1Score": "f1_score",
    "BinaryCrossEntropy": "binary_crossentropy",
    "BinaryCrossentropy": "binary_crossentropy",
}
_CLASSES = {
    "CategoricalAccuracy": "categorical_accuracy",
    "SparseCategoricalAccuracy": "sparse_categorical_accuracy",
    "MultiClassAccuracy": "multi_class_accuracy",
    "CategoricalCrossEntropy": "categorical_crossentropy",
    "CategoricalCrossentropy": "categorical_crossentropy",
    "SparseCategoricalCrossentropy": "sparse_categorical_crossentropy",
}
_NUMBERS = {
    "MeanAbsoluteError": "mean_absolute_error",
    "MeanSquaredError": "mean_squared_error",
    "RootMeanSquaredError": "root_mean_squared_error",
}
KINDS = {"binary": _CLASSIFIED, "classes": _CLASSES, "number": _NUMBERS}
"""The metrics that can be estimated, by what is predicted: classes in the EvalConfig, and their default names."""


@dataclass(frozen=True)
class Estimated:
    """An estimate of a metric in a slice."""

    slice: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    beyond: Beyond = field(default_factory=Beyond)


@dataclass(frozen=True)
class _Metric:
    name: str
    class_name: str
    config: Mapping[str, Any]


def estimates(version: Version, rows: pa.Table, level: float = 0.05) -> Iterator[Estimated]:
    """The estimates of the metrics that the EvalConfig has, by slice; none if too few rows have labels."""
    known = version.calibrated
    metrics = [] if known is None else list(_metrics(version.eval_config, known))
    if known is None or not metrics or len(known.labels) < _LEAST_CALIBRATED:
        return
    predicted = prediction(version.eval_config, rows)
    estimate = _numbers if known.kind == "number" else _classes
    features = feature_arrays(rows) if known.kind == "number" else {}
    strange = outside(known.ranges, rows)
    for name, own in slicing.slices(version.eval_config, rows).items():
        kept = own[np.isfinite(predicted[own]).all(axis=1)]
        inner = {feature: values[kept] for feature, values in features.items()}
        for metric, value, spread in estimate(known, metrics, predicted[kept], inner):
            yield replace(_estimated(name, metric, value, spread, level), beyond=beyond(strange, own))


def _metrics(eval_config: Mapping[str, Any], known: Calibrated) -> Iterator[_Metric]:
    """The metrics that can be estimated; those for a class, or averaged over classes, cannot."""
    names = KINDS[known.kind]
    for spec in eval_config.get("metrics_specs") or eval_config.get("metricsSpecs") or []:
        if spec.keys() & {"binarize", "aggregate", "output_names", "outputNames"}:
            continue
        for metric in spec.get("metrics", []):
            class_name = str(metric.get("class_name", metric.get("className")))
            config = json.loads(metric.get("config") or "{}")
            if class_name in names:
                yield _Metric(str(config.get("name", names[class_name])), class_name, config)


def _estimated(slice_name: str, metric: _Metric, value: float | None, spread: float, level: float) -> Estimated:
    if value is None or not np.isfinite(value):
        return Estimated(slice_name, metric.name, None, None, None)
    width = special.ndtri(1 - level / 2) * spread
    most = np.inf if "ntropy" in metric.class_name or metric.class_name in _NUMBERS else 1.0
    low, high = max(value - width, 0.0), min(value + width, most)
    if not np.isfinite(spread):
        return Estimated(slice_name, metric.name, value, None, None)
    return Estimated(slice_name, metric.name, value, float(low), float(high))


Found = Iterator[tuple[_Metric, float | None, float]]
"""Metrics with their estimates and the deviations of these."""


def _classes(known: Calibrated, metrics: list[_Metric], predicted: Numbers, features: Mapping[str, NDArray]) -> Found:
    random = np.random.default_rng(0)
    part = predicted[random.permutation(len(predicted))[:_MOST_ROWS]]
    curves = known.curves()
    probability, of_part = probabilities(curves, predicted), probabilities(curves, part)
    again = [probabilities(known.resampled(random).curves(), part) for _ in range(_REPEATS)]
    for metric in metrics:
        value = classified.metric(metric.class_name, probability, predicted, metric.config)
        drawn = [classified.realised(metric.class_name, of_part, part, metric.config, random) for _ in again]
        moved = [classified.metric(metric.class_name, each, part, metric.config) for each in again]
        yield metric, value, _deviation(moved, drawn, len(part) / max(len(predicted), 1))


def _deviation(moved: list[float | None], drawn: list[float | None], share: float) -> float:
    """Of an estimate: by the calibration, whatever the number of rows, and by chance, which more rows reduce."""
    known = [[value for value in values if value is not None] for values in (moved, drawn)]
    if min(map(len, known)) < _REPEATS / 2:
        return float("nan")
    # A variance from few repeats is itself uncertain.
    wide = 1 + 1 / (2 * _REPEATS)
    return float(np.sqrt(np.var(known[0], ddof=1) + np.var(known[1], ddof=1) * share)) * wide


def _numbers(known: Calibrated, metrics: list[_Metric], predicted: Numbers, features: Mapping[str, NDArray]) -> Found:
    random = np.random.default_rng(0)
    for squared in (False, True):
        own = [metric for metric in metrics if (metric.class_name != "MeanAbsoluteError") == squared]
        if own and len(predicted):
            mean, deviation = _loss(known, predicted, features, random, squared=squared)
            for metric in own:
                yield metric, *_rooted(metric, mean, deviation)
        else:
            yield from ((metric, None, float("nan")) for metric in own)


def _rooted(metric: _Metric, mean: float, deviation: float) -> tuple[float, float]:
    if metric.class_name != "RootMeanSquaredError":
        return mean, deviation
    root = float(np.sqrt(mean))
    return root, deviation / (2 * root) if root > 0 else float("nan")


def _loss(
    known: Calibrated,
    predicted: Numbers,
    features: Mapping[str, NDArray],
    random: np.random.Generator,
    *,
    squared: bool,
) -> tuple[float, float]:
    """The expected loss of rows and its deviation."""
    there = {**features, "": predicted[:, 0]}
    part = random.permutation(len(predicted))[:_MOST_ROWS]
    of_part = {name: values[part] for name, values in there.items()}
    model = _learned(known, squared)
    moved = [float(_learned(known.resampled(random), squared)(of_part, len(part)).mean()) for _ in range(_REPEATS // 2)]
    loss = _losses(known, squared)
    rest = loss - model({**known.features, "": known.predictions[:, 0]}, len(loss))
    chance = float(np.var(rest)) / len(predicted)
    return float(model(there, len(predicted)).mean()), float(np.sqrt(np.var(moved, ddof=1) + chance))


def _losses(known: Calibrated, squared: bool) -> Numbers:
    off = known.predictions[:, 0] - known.labels
    return off**2 if squared else np.abs(off)


def _learned(known: Calibrated, squared: bool) -> losses.LossModel:
    return losses.fit({**known.features, "": known.predictions[:, 0]}, _losses(known, squared))
