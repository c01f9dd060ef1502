"""Cross entropies of binary and categorical predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from components.evaluator.accumulators.combiner_sums import Kind, fill_attributes
from components.evaluator.accumulators.sums import Terms, totals
from components.evaluator.columns import Source
from components.evaluator.rows import Rows
from components.upstream import tfma


def _binary_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows)
    smoothing, prediction = tfma.label_smoothing(combiner), columns.prediction
    label = columns.label * (1.0 - smoothing) + 0.5 * smoothing
    if tfma.from_logits(combiner):
        entropy = np.maximum(prediction, 0) - prediction * label + np.log(1 + np.exp(-np.abs(prediction)))
    else:
        entropy = -label * np.log(prediction) - (1 - label) * np.log(1 - prediction)
    return totals(entropy.mean(axis=1, keepdims=True) * columns.weight, columns.weight)


def _categorical_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows)
    smoothing, classes = tfma.label_smoothing(combiner), columns.prediction.shape[1]
    label = columns.label * (1.0 - smoothing) + smoothing / classes
    prediction = np.exp(columns.prediction) if tfma.from_logits(combiner) else columns.prediction
    share = prediction / prediction.sum(axis=1, keepdims=True)
    entropy = -np.sum(label * np.where(share > 0, np.log(share), 0.0), axis=1, keepdims=True)
    return totals(entropy * columns.weight, columns.weight)


_FILL = fill_attributes("total_cross_entropy", "total_example_weights")
KINDS: dict[type, Kind] = {
    tfma.BinaryCrossEntropyCombiner: Kind(_binary_terms, _FILL),
    tfma.CategoricalCrossEntropyCombiner: Kind(_categorical_terms, _FILL),
}
