"""Counts, means, correlations and errors of regression: plain totals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluator.accumulators.combiner_sums import Kind, fill_attributes
from components.evaluator.accumulators.sums import Terms, totals
from components.evaluator.columns import Source
from components.evaluator.rows import Rows
from components.upstream import tfma


def _count_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    return totals(source.weight(rows))


def _mean_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows).flat()
    return totals(columns.label * columns.weight, columns.prediction * columns.weight, columns.weight)


def _correlation_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows).flat()
    weight, label, prediction = (
        part.astype(np.float64) for part in (columns.weight, columns.label, columns.prediction)
    )
    powers = (label, prediction, label**2, prediction**2, label * prediction)
    return totals(*(weight * power for power in powers), weight)


def _regression_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows).flat()
    error = _REGRESSION_ERRORS[type(combiner)](columns.label, columns.prediction).astype(np.float64)
    known = ~np.isnan(error)
    return totals(np.where(known, error, 0.0) * columns.weight, known * columns.weight)


def _percentage_error(label: NDArray[Any], prediction: NDArray[Any]) -> NDArray[Any]:
    return np.where(label == 0, np.nan, 100 * np.absolute((label - prediction) / label))


_REGRESSION_ERRORS: dict[type, Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]] = {
    tfma.MeanAbsoluteErrorCombiner: lambda label, prediction: np.absolute(label - prediction),
    tfma.MeanSquaredErrorCombiner: lambda label, prediction: (label - prediction) ** 2,
    tfma.MeanAbsolutePercentageErrorCombiner: _percentage_error,
    tfma.MeanSquaredLogarithmicErrorCombiner: (
        lambda label, prediction: (np.log(label + 1) - np.log(prediction + 1)) ** 2
    ),
}


_REGRESSION = Kind(_regression_terms, fill_attributes("total_regression_error", "total_example_weights"))
KINDS: dict[type, Kind] = {
    tfma.ExampleCountCombiner: Kind(_count_terms, lambda combiner, cells, sums: sums[0, 0]),
    tfma.WeightedLabelsPredictionsExamplesCombiner: Kind(
        _mean_terms,
        fill_attributes("total_weighted_labels", "total_weighted_predictions", "total_weighted_examples"),
    ),
    tfma.SquaredPearsonCorrelationCombiner: Kind(
        _correlation_terms,
        fill_attributes(
            "total_weighted_labels",
            "total_weighted_predictions",
            "total_weighted_squared_labels",
            "total_weighted_squared_predictions",
            "total_weighted_labels_times_predictions",
            "total_weighted_examples",
        ),
    ),
    **dict.fromkeys(_REGRESSION_ERRORS, _REGRESSION),
}
