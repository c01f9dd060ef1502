"""What each row adds to a metric, for the metrics whose intervals have a formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape = Literal["share", "mean", "root", "ratio", "rank"]
"""What a metric is: a share of rows, a mean, the root of a mean, a ratio of two sums, or a probability of ranks."""

Numbers: TypeAlias = NDArray[np.float64]
_SMALLEST = 1e-7
"""Keras keeps probabilities this far from 0 and 1 in a logarithm."""


@dataclass(frozen=True)
class Terms:
    """A metric as a ratio of two sums over rows; of ranks, the label and the score."""

    above: Numbers
    below: Numbers
    shape: Shape


Formula = Callable[[Numbers, Numbers, Mapping[str, Any]], Terms]


def of(class_name: str, label: NDArray[Any], prediction: NDArray[Any], config: Mapping[str, Any]) -> Terms | None:
    """The terms of a metric; None if it has no formula here.

    Args:
        class_name: The metric's class in the EvalConfig.
        label: (rows, labels).
        prediction: (rows, predictions).
        config: The metric's own settings.
    """
    formula = _FORMULAS.get(class_name)
    if formula is None or not label.size or _has_lists(config):
        return None
    return formula(label.astype(np.float64), prediction.astype(np.float64), config)


def _has_lists(config: Mapping[str, Any]) -> bool:
    return any(isinstance(value, list) and len(value) > 1 for value in config.values())


def _threshold(config: Mapping[str, Any]) -> float:
    given = config.get("thresholds", config.get("threshold"))
    given = given[0] if isinstance(given, list) else given
    return 0.5 if given is None else float(given)


def _positive(prediction: Numbers, config: Mapping[str, Any]) -> Numbers:
    return (prediction[:, 0] > _threshold(config)).astype(np.float64)


def _accuracy(label: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> Terms:
    right = _positive(prediction, config) == label[:, 0]
    return Terms(right.astype(np.float64), np.ones(len(label)), "share")


def _share_of(
    numerator: Callable[[Numbers, Numbers], Numbers], denominator: Callable[[Numbers, Numbers], Numbers]
) -> Formula:
    """A share by label and decision, both 0 or 1."""

    def formula(label: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> Terms:
        truth, decision = label[:, 0], _positive(prediction, config)
        return Terms(numerator(truth, decision), denominator(truth, decision), "share")

    return formula


def _auc(label: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> Terms:
    return Terms(label[:, 0], prediction[:, 0], "rank")


def _f1(label: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> Terms:
    truth, decision = label[:, 0], _positive(prediction, config)
    return Terms(2 * truth * decision, truth + decision, "share")


def _binary_loss(label: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> Terms:
    p = np.clip(prediction[:, 0], _SMALLEST, 1 - _SMALLEST)
    loss = -label[:, 0] * np.log(p) - (1 - label[:, 0]) * np.log(1 - p)
    return Terms(loss, np.ones(len(label)), "mean")


def classes(label: Numbers, width: int) -> NDArray[np.int64]:
    """Class numbers, of class numbers or of one-hot rows."""
    found: NDArray[np.int64] = (label.argmax(axis=1) if label.shape[1] == width > 1 else label[:, 0]).astype(np.int64)
    return found


def _categorical_accuracy(label: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> Terms:
    right = prediction.argmax(axis=1) == classes(label, prediction.shape[1])
    return Terms(right.astype(np.float64), np.ones(len(label)), "share")


def _categorical_loss(label: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> Terms:
    share = prediction / prediction.sum(axis=1, keepdims=True)
    own = np.clip(share[np.arange(len(label)), classes(label, prediction.shape[1])], _SMALLEST, 1 - _SMALLEST)
    return Terms(-np.log(own), np.ones(len(label)), "mean")


def _mean_of(value: Callable[[Numbers, Numbers], Numbers], shape: Shape = "mean") -> Formula:
    def formula(label: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> Terms:
        return Terms(value(label, prediction).mean(axis=1), np.ones(len(label)), shape)

    return formula


def _calibration(label: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> Terms:
    return Terms(prediction.sum(axis=1), label.sum(axis=1), "ratio")


_FORMULAS: dict[str, Formula] = {
    "BinaryAccuracy": _accuracy,
    "AUC": _auc,
    "Precision": _share_of(lambda truth, decision: truth * decision, lambda truth, decision: decision),
    "Recall": _share_of(lambda truth, decision: truth * decision, lambda truth, decision: truth),
    "Specificity": _share_of(lambda t, d: (1 - t) * (1 - d), lambda t, d: 1 - t),
    "FallOut": _share_of(lambda t, d: (1 - t) * d, lambda t, d: 1 - t),
    "MissRate": _share_of(lambda t, d: t * (1 - d), lambda t, d: t),
    "NegativePredictiveValue": _share_of(lambda t, d: (1 - t) * (1 - d), lambda t, d: 1 - d),
    "F1Score": _f1,
    "BinaryCrossEntropy": _binary_loss,
    "BinaryCrossentropy": _binary_loss,
    "CategoricalAccuracy": _categorical_accuracy,
    "SparseCategoricalAccuracy": _categorical_accuracy,
    "MultiClassAccuracy": _categorical_accuracy,
    "CategoricalCrossEntropy": _categorical_loss,
    "CategoricalCrossentropy": _categorical_loss,
    "SparseCategoricalCrossentropy": _categorical_loss,
    "MeanAbsoluteError": _mean_of(lambda label, prediction: np.abs(label - prediction)),
    "MeanSquaredError": _mean_of(lambda label, prediction: (label - prediction) ** 2, "ratio"),
    "RootMeanSquaredError": _mean_of(lambda label, prediction: (label - prediction) ** 2, "root"),
    "MeanLabel": _mean_of(lambda label, prediction: label),
    "MeanPrediction": _mean_of(lambda label, prediction: prediction),
    "Calibration": _calibration,
}
