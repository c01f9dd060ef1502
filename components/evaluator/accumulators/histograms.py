"""Predictions by bucket: calibration histograms, and confusion matrices at many thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow_model_analysis.contrib.aggregates.binary_confusion_matrices import Matrix
from tensorflow_model_analysis.metrics import metric_util
from tensorflow_model_analysis.metrics.calibration_histogram import Bucket

from components.contract.errors import UserError
from components.evaluator.accumulators.combiner_sums import Kind
from components.evaluator.accumulators.sums import Terms
from components.evaluator.columns import Source
from components.evaluator.rows import Rows
from components.upstream import tfma


def _histogram_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns, buckets = source.columns(rows).flat(), tfma.buckets(combiner)
    if buckets.fractional_labels:
        _require_fractions(columns.label)
    prediction = _numbers(columns.prediction)
    # As in TFMA, bucket 0 is for values left of the range, the last bucket for values right of it.
    place = (prediction - buckets.left) / buckets.width * buckets.count + 1
    cells = np.clip(place, 0, buckets.count + 1).astype(np.int64)
    return Terms(cells, (columns.label * columns.weight, prediction * columns.weight, columns.weight))


def _fill_histogram(combiner: Any, cells: NDArray[Any], sums: NDArray[Any]) -> Any:
    buckets = zip(cells.tolist(), sums.tolist(), strict=True)
    return {cell: Bucket(cell, *values) for cell, values in buckets}


def _confusion_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows).flat()
    _require_fractions(columns.label)
    # The cell is the number of thresholds that a prediction exceeds.
    cells = np.searchsorted(_thresholds(combiner), _numbers(columns.prediction))
    return Terms(cells, (columns.label * columns.weight, (1 - columns.label) * columns.weight))


def _fill_confusion(combiner: Any, cells: NDArray[Any], sums: NDArray[Any]) -> Any:
    positive, negative = (np.bincount(cells, column, len(_thresholds(combiner)) + 1) for column in sums.T)
    filled = {}
    for number, threshold in enumerate(_thresholds(combiner)):
        fn, tn = positive[: number + 1].sum(), negative[: number + 1].sum()
        tp, fp = positive[number + 1 :].sum(), negative[number + 1 :].sum()
        filled[threshold] = tfma.ThresholdEntry(Matrix(tp, tn, fp, fn), [], [], [], [])
    return filled


def _thresholds(combiner: Any) -> list[float]:
    return sorted(tfma.matrix_thresholds(combiner))


def _refused_confusion(combiner: Any) -> str:
    if tfma.samples_examples(combiner):
        return "samples of examples"
    if tfma.extraction(combiner) is not metric_util.to_label_prediction_example_weight:
        return "labels and predictions of its own"
    return "" if tfma.takes_fractional_labels(combiner) else "labels compared with thresholds"


def _numbers(prediction: NDArray[Any]) -> NDArray[Any]:
    unknown = np.isnan(prediction).sum()
    if unknown:
        raise UserError(
            f"the model predicts NaN for {unknown} of {prediction.size} values in a batch",
            fix="look at the training's loss and at the features of these rows",
        )
    return prediction.astype(np.float64)


def _require_fractions(label: NDArray[Any]) -> None:
    outside = (label < -1e-7) | (label > 1 + 1e-7)
    if outside.any():
        raise UserError(
            f"a label is {label[outside][0]}; binary metrics take labels from 0 to 1",
            fix="name another label_key, or metrics for regression or for several classes",
        )


KINDS: dict[type, Kind] = {
    tfma.CalibrationHistogramCombiner: Kind(
        _histogram_terms,
        _fill_histogram,
        lambda combiner: "" if tfma.buckets(combiner).by_prediction else "buckets of labels",
    ),
    tfma.BinaryConfusionMatrixCombiner: Kind(_confusion_terms, _fill_confusion, _refused_confusion),
}
