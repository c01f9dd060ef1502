"""Confusion matrices of several classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow_model_analysis.metrics import metric_util
from tensorflow_model_analysis.metrics.multi_class_confusion_matrix_metrics import (
    NO_PREDICTED_CLASS_ID,
    Matrices,
    MatrixEntryKey,
)

from components.evaluator.accumulators.combiner_sums import Kind
from components.evaluator.accumulators.sums import Terms
from components.evaluator.columns import Source
from components.evaluator.rows import IndirectError, Rows
from components.upstream import tfma

_CLASSES = 1 << 20
"""More classes than a model has. A cell's number has three digits of this base: threshold, label and prediction."""


def _classes_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows)
    if columns.prediction.shape[1] == 1:
        raise IndirectError("a multi-class matrix of a single prediction")
    label = columns.label.argmax(axis=1) if columns.label.shape[1] > 1 else columns.label[:, 0].astype(np.int64)
    predicted, everyone = columns.prediction.argmax(axis=1), np.arange(len(label))
    cells = []
    for number, threshold in enumerate(tfma.class_thresholds(combiner)):
        # As in TFMA, a class that fails one threshold is not considered at later thresholds.
        refused = columns.prediction[everyone, predicted] <= threshold
        predicted = np.where(refused, NO_PREDICTED_CLASS_ID, predicted)
        cells.append((number * _CLASSES + label + 1) * _CLASSES + predicted + 1)
    return Terms(np.stack(cells, axis=1), (columns.weight,))


def _fill_classes(combiner: Any, cells: NDArray[Any], sums: NDArray[Any]) -> Any:
    filled, thresholds = Matrices(), tfma.class_thresholds(combiner)
    for cell, (total,) in zip(cells.tolist(), sums.tolist(), strict=True):
        rest, predicted = divmod(cell, _CLASSES)
        number, label = divmod(rest, _CLASSES)
        key = MatrixEntryKey(label - 1, predicted - 1)
        filled.setdefault(thresholds[number], {})[key] = total
    return filled


def _refused_classes(combiner: Any) -> str:
    own = tfma.extraction(combiner) is not metric_util.to_label_prediction_example_weight
    return "labels and predictions of its own" if own else ""


KINDS: dict[type, Kind] = {
    tfma.MultiClassConfusionMatrixCombiner: Kind(_classes_terms, _fill_classes, _refused_classes)
}
