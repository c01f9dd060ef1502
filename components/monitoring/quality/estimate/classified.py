"""Confidence-based performance estimation (CBPE): a classifier's metrics from calibrated probabilities.

A row counts for both outcomes, each with its probability: the accuracy is then the mean probability of the classes that
were predicted. NannyML has described it: https://nannyml.readthedocs.io (How it works, Estimation of performance).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from components.monitoring.quality import terms
from components.monitoring.quality.terms import Numbers


def metric(class_name: str, probability: Numbers, prediction: Numbers, config: Mapping[str, Any]) -> float | None:
    """The expected metric; None if it is not defined or has no formula.

    Args:
        class_name: The metric's class in the EvalConfig.
        probability: Calibrated, (rows, classes), or (rows, 1) for one class.
        prediction: What the model answered, in the same shape.
        config: The metric's own settings.
    """
    outcomes = _outcomes(probability)
    above = below = 0.0
    for label, share in enumerate(outcomes.T):
        made = terms.of(class_name, np.full((len(prediction), 1), float(label)), prediction, config)
        if made is None:
            return None
        if made.shape == "rank":
            return _area(probability[:, 0], prediction[:, 0]) if probability.shape[1] == 1 else None
        above, below = above + float(np.sum(share * made.above)), below + float(np.sum(share * made.below))
    return above / below if below else None


def realised(
    class_name: str, probability: Numbers, prediction: Numbers, config: Mapping[str, Any], random: np.random.Generator
) -> float | None:
    """The metric of labels that are drawn with these probabilities."""
    certain = np.zeros_like(probability)
    if probability.shape[1] == 1:
        certain[:, 0] = random.random(len(probability)) < probability[:, 0]
    else:
        chosen = (random.random((len(probability), 1)) > np.cumsum(probability, axis=1)).sum(axis=1)
        certain[np.arange(len(probability)), np.minimum(chosen, probability.shape[1] - 1)] = 1
    return metric(class_name, certain, prediction, config)


def _outcomes(probability: Numbers) -> Numbers:
    return probability if probability.shape[1] > 1 else np.concatenate([1 - probability, probability], axis=1)


def _area(probability: Numbers, score: Numbers) -> float | None:
    """The area under the ROC curve, every row a positive and a negative with its probability."""
    distinct, places = np.unique(score, return_inverse=True)
    positive = np.bincount(places, probability, len(distinct))
    negative = np.bincount(places, 1 - probability, len(distinct))
    total = float(positive.sum() * negative.sum())
    below = np.cumsum(negative) - negative / 2
    return float(np.sum(positive * below)) / total if total > 0 else None
