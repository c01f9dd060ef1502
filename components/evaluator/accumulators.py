"""TFMA's combiners over columns: the sums of a batch by slice at once, where TFMA adds example by example.

A combiner of TFMA is stood in for by two functions. `terms` gives what each row adds to which cell (a bucket of a
histogram, a pair of classes; 0 where the combiner keeps plain totals); `fill` puts the sums into TFMA's own
accumulator, and TFMA's own `extract_output` makes the metric of it. Everything that TFMA derives from combiners (AUC,
precision, calibration, ...) is computed by TFMA from there.

The combiners are private to TFMA (`tensorflow_model_analysis/metrics`, 0.52); tests compare each with TFMA on Beam.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_model_analysis.contrib.aggregates import binary_confusion_matrices as matrices
from tensorflow_model_analysis.metrics import (
    binary_confusion_matrices,
    calibration,
    calibration_histogram,
    cross_entropy_metrics,
    example_count,
    mean_regression_error,
    metric_types,
    metric_util,
    multi_class_confusion_matrix_metrics,
    squared_pearson_correlation,
    tf_metric_wrapper,
)
from tensorflow_model_analysis.utils import model_util
from tensorflow_model_analysis.utils.keras_lib import tf_keras

from components.contract.errors import UserError
from components.evaluator.columns import Columns, Source
from components.evaluator.rows import IndirectError, Rows
from components.evaluator.slices import Members

Metrics = dict[metric_types.MetricKey, Any]


@dataclass(frozen=True)
class Terms:
    """What rows add.

    Attributes:
        cells: (rows, terms), the cell that each term falls into.
        values: What it adds there, arrays that broadcast to the same shape.
    """

    cells: NDArray[Any]
    values: tuple[NDArray[Any], ...]


class Accumulator(Protocol):
    """Takes batches, and gives the metrics of each slice."""

    def add(self, rows: Rows, members: Members) -> None:
        """Adds a batch."""

    def metrics(self) -> dict[int, Metrics]:
        """What TFMA's combiner gives for each slice, by the slice's number."""


class Sums:
    """Sums by slice and cell, in double precision; memory grows with the cells that occur, not with rows."""

    _MOST_PENDING = 2_000_000

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def add(self, members: Members, terms: Terms) -> None:
        """Adds the terms of a batch's rows to the slices that they belong to."""
        shape = terms.cells.shape
        columns = {
            "slice": np.repeat(members.slices, shape[1]),
            "cell": terms.cells[members.rows].ravel(),
            **{
                f"value_{i}": np.broadcast_to(value, shape)[members.rows].ravel().astype(np.float64)
                for i, value in enumerate(terms.values)
            },
        }
        self._tables.append(_summed(pa.table(columns)))
        if sum(table.num_rows for table in self._tables[1:]) > self._MOST_PENDING:
            self._tables = [_summed(pa.concat_tables(self._tables))]

    def by_slice(self) -> Iterator[tuple[int, NDArray[Any], NDArray[Any]]]:
        """For each slice its cells, ascending, and their sums, (cells, values)."""
        table = _summed(pa.concat_tables(self._tables)).sort_by([("slice", "ascending"), ("cell", "ascending")])
        slices, cells, *values = (column.to_numpy() for column in table.columns)
        sums = np.stack(values, axis=1)
        numbers, starts = np.unique(slices, return_index=True)
        for number, own in zip(numbers.tolist(), np.split(np.arange(len(slices)), starts[1:]), strict=True):
            yield number, cells[own], sums[own]


def _summed(table: pa.Table) -> pa.Table:
    names = table.column_names
    # One thread: the order of additions, and with it the last bit, is the same in every run.
    grouped = table.group_by(["slice", "cell"], use_threads=False).aggregate([(name, "sum") for name in names[2:]])
    return grouped.select(["slice", "cell", *(f"{name}_sum" for name in names[2:])]).rename_columns(names)


class CombinerSums:
    """Stands in for one of TFMA's combiners whose state is sums."""

    def __init__(self, combiner: Any, source: Source, kind: Kind) -> None:
        self._combiner = combiner
        self._source = source
        self._kind = kind
        self._sums = Sums()

    def add(self, rows: Rows, members: Members) -> None:
        """Adds a batch."""
        self._sums.add(members, self._kind.terms(self._combiner, self._source, rows))

    def metrics(self) -> dict[int, Metrics]:
        """What TFMA's combiner gives for each slice."""
        return {
            number: self._combiner.extract_output(self._kind.fill(self._combiner, cells, sums))
            for number, cells, sums in self._sums.by_slice()
        }


class KerasMetrics:
    """Stands in for TFMA's combiner of Keras metrics.

    A metric that averages a function of single rows has that function called once a batch. Any other one is updated
    slice by slice, and its states are added, as TFMA adds the states of its batches.
    """

    def __init__(self, combiner: Any, sources: list[Source], *, flat: bool) -> None:
        combiner.setup()
        self._combiner = combiner
        self._flat = flat
        self._sources = sources
        self._means: dict[tuple[int, int], Sums] = defaultdict(Sums)
        self._states: dict[int, dict[tuple[int, int], list[NDArray[Any]]]] = defaultdict(dict)

    def add(self, rows: Rows, members: Members) -> None:
        """Adds a batch."""
        for output, (source, metrics) in enumerate(zip(self._sources, self._combiner._metrics.values(), strict=True)):
            columns = source.columns(rows).flat() if self._flat else source.columns(rows)
            for number, metric in enumerate(metrics):
                if _is_mean_of_rows(metric) and not self._flat:
                    self._means[output, number].add(members, _keras_terms(metric, columns))
                else:
                    self._update(metric, (output, number), columns, members)

    def metrics(self) -> dict[int, Metrics]:
        """What TFMA's combiner gives for each slice."""
        for place, sums in self._means.items():
            for slice_number, _, totals in sums.by_slice():
                self._states[slice_number][place] = list(totals[0])
        return {number: self._extracted(states) for number, states in self._states.items()}

    def _update(self, metric: Any, place: tuple[int, int], columns: Columns, members: Members) -> None:
        order = np.argsort(members.slices, kind="stable")
        numbers, starts = np.unique(members.slices[order], return_index=True)
        for number, own in zip(numbers.tolist(), np.split(members.rows[order], starts[1:]), strict=True):
            metric.reset_state()
            metric.update_state(*(_fed(part[own], self._flat) for part in vars(columns).values()))
            states, before = metric.get_weights(), self._states[number].get(place)
            added = states if before is None else [np.add(*pair) for pair in zip(before, states, strict=True)]
            self._states[number][place] = added

    def _extracted(self, states: dict[tuple[int, int], list[NDArray[Any]]]) -> Metrics:
        accumulator = self._combiner.create_accumulator()
        for (output, number), weights in states.items():
            accumulator.add_weights(output, number, weights)
        extracted: Metrics = self._combiner.extract_output(accumulator)
        return extracted


def _fed(part: NDArray[Any], flat: bool) -> NDArray[Any]:
    return part.reshape(-1, 1) if flat else part


def _is_mean_of_rows(metric: Any) -> bool:
    wrapper = tf_keras.metrics.MeanMetricWrapper
    return isinstance(metric, wrapper) and type(metric).update_state is wrapper.update_state


def _keras_terms(metric: Any, columns: Columns) -> Terms:
    label, prediction = (tf.cast(part, metric.dtype) for part in (columns.label, columns.prediction))
    values = np.asarray(metric._fn(label, prediction, **metric._fn_kwargs), np.float64).reshape(len(label), -1)
    total = values.sum(axis=1, keepdims=True) * columns.weight
    return Terms(np.zeros(total.shape, np.int64), (total, columns.weight * values.shape[1]))


@dataclass(frozen=True)
class Kind:
    """How a combiner's sums are made and given back.

    Attributes:
        terms: What the rows of a batch add.
        fill: TFMA's accumulator from a slice's cells and sums.
        refuses: What this combiner's settings ask for that columns do not do; empty if nothing.
    """

    terms: Callable[[Any, Source, Rows], Terms]
    fill: Callable[[Any, NDArray[Any], NDArray[Any]], Any]
    refuses: Callable[[Any], str] = lambda combiner: ""


def _totals(*values: NDArray[Any]) -> Terms:
    shape = np.broadcast_shapes(*(value.shape for value in values))
    return Terms(np.zeros(shape, np.int64), values)


def _fill_attributes(*names: str) -> Callable[[Any, NDArray[Any], NDArray[Any]], Any]:
    def fill(combiner: Any, cells: NDArray[Any], sums: NDArray[Any]) -> Any:
        accumulator = combiner.create_accumulator()
        for name, total in zip(names, sums[0].tolist(), strict=True):
            setattr(accumulator, name, total)
        return accumulator

    return fill


def _count_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    return _totals(source.weight(rows))


def _mean_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows).flat()
    return _totals(columns.label * columns.weight, columns.prediction * columns.weight, columns.weight)


def _correlation_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows).flat()
    weight, label, prediction = (
        part.astype(np.float64) for part in (columns.weight, columns.label, columns.prediction)
    )
    powers = (label, prediction, label**2, prediction**2, label * prediction)
    return _totals(*(weight * power for power in powers), weight)


def _regression_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows).flat()
    error = _REGRESSION_ERRORS[type(combiner)](columns.label, columns.prediction).astype(np.float64)
    known = ~np.isnan(error)
    return _totals(np.where(known, error, 0.0) * columns.weight, known * columns.weight)


def _percentage_error(label: NDArray[Any], prediction: NDArray[Any]) -> NDArray[Any]:
    return np.where(label == 0, np.nan, 100 * np.absolute((label - prediction) / label))


_REGRESSION_ERRORS: dict[type, Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]] = {
    mean_regression_error._MeanAbsoluteErrorCombiner: lambda label, prediction: np.absolute(label - prediction),
    mean_regression_error._MeanSquaredErrorCombiner: lambda label, prediction: (label - prediction) ** 2,
    mean_regression_error._MeanAbsolutePercentageErrorCombiner: _percentage_error,
    mean_regression_error._MeanSquaredLogarithmicErrorCombiner: (
        lambda label, prediction: (np.log(label + 1) - np.log(prediction + 1)) ** 2
    ),
}


def _binary_entropy_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows)
    smoothing, prediction = combiner._label_smoothing, columns.prediction
    label = columns.label * (1.0 - smoothing) + 0.5 * smoothing
    if combiner._from_logits:
        entropy = np.maximum(prediction, 0) - prediction * label + np.log(1 + np.exp(-np.abs(prediction)))
    else:
        entropy = -label * np.log(prediction) - (1 - label) * np.log(1 - prediction)
    return _totals(entropy.mean(axis=1, keepdims=True) * columns.weight, columns.weight)


def _categorical_entropy_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows)
    smoothing, classes = combiner._label_smoothing, columns.prediction.shape[1]
    label = columns.label * (1.0 - smoothing) + smoothing / classes
    prediction = np.exp(columns.prediction) if combiner._from_logits else columns.prediction
    share = prediction / prediction.sum(axis=1, keepdims=True)
    entropy = -np.sum(label * np.where(share > 0, np.log(share), 0.0), axis=1, keepdims=True)
    return _totals(entropy * columns.weight, columns.weight)


def _histogram_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows).flat()
    if combiner._fractional_labels:
        _require_fractions(columns.label)
    prediction = _numbers(columns.prediction)
    # TFMA's buckets: 0 for what lies left of the range, the last one for what lies right of it.
    place = (prediction - combiner._left) / combiner._range * combiner._num_buckets + 1
    cells = np.clip(place, 0, combiner._num_buckets + 1).astype(np.int64)
    return Terms(cells, (columns.label * columns.weight, prediction * columns.weight, columns.weight))


def _fill_histogram(combiner: Any, cells: NDArray[Any], sums: NDArray[Any]) -> Any:
    buckets = zip(cells.tolist(), sums.tolist(), strict=True)
    return {cell: calibration_histogram.Bucket(cell, *values) for cell, values in buckets}


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
        filled[threshold] = matrices._ThresholdEntry(matrices.Matrix(tp, tn, fp, fn), [], [], [], [])
    return filled


def _thresholds(combiner: Any) -> list[float]:
    return sorted(combiner._binary_confusion_matrices._thresholds)


def _refused_confusion(combiner: Any) -> str:
    if combiner._example_id_key:
        return "samples of examples"
    if combiner._extract_label_prediction_and_weight is not metric_util.to_label_prediction_example_weight:
        return "labels and predictions of its own"
    return "" if combiner._enable_fractional_labels else "labels compared with thresholds"


_CLASSES = 1 << 20
"""More classes than a model has: a cell holds threshold, label and prediction as three digits of this base."""


def _classes_terms(combiner: Any, source: Source, rows: Rows) -> Terms:
    columns = source.columns(rows)
    if columns.prediction.shape[1] == 1:
        raise IndirectError("a multi-class matrix of a single prediction")
    label = columns.label.argmax(axis=1) if columns.label.shape[1] > 1 else columns.label[:, 0].astype(np.int64)
    predicted, everyone = columns.prediction.argmax(axis=1), np.arange(len(label))
    cells = []
    for number, threshold in enumerate(combiner._thresholds):
        # As in TFMA, a class that a threshold refused is not considered again at the later ones.
        refused = columns.prediction[everyone, predicted] <= threshold
        predicted = np.where(refused, multi_class_confusion_matrix_metrics.NO_PREDICTED_CLASS_ID, predicted)
        cells.append((number * _CLASSES + label + 1) * _CLASSES + predicted + 1)
    return Terms(np.stack(cells, axis=1), (columns.weight,))


def _fill_classes(combiner: Any, cells: NDArray[Any], sums: NDArray[Any]) -> Any:
    filled = multi_class_confusion_matrix_metrics.Matrices()
    for cell, (total,) in zip(cells.tolist(), sums.tolist(), strict=True):
        rest, predicted = divmod(cell, _CLASSES)
        number, label = divmod(rest, _CLASSES)
        key = multi_class_confusion_matrix_metrics.MatrixEntryKey(label - 1, predicted - 1)
        filled.setdefault(combiner._thresholds[number], {})[key] = total
    return filled


def _refused_classes(combiner: Any) -> str:
    own = combiner._extract_label_prediction_and_weight is not metric_util.to_label_prediction_example_weight
    return "labels and predictions of its own" if own else ""


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


_ENTROPY = _fill_attributes("total_cross_entropy", "total_example_weights")
_REGRESSION = Kind(_regression_terms, _fill_attributes("total_regression_error", "total_example_weights"))
_KINDS: dict[type, Kind] = {
    example_count._ExampleCountCombiner: Kind(_count_terms, lambda combiner, cells, sums: sums[0, 0]),
    calibration._WeightedLabelsPredictionsExamplesCombiner: Kind(
        _mean_terms,
        _fill_attributes("total_weighted_labels", "total_weighted_predictions", "total_weighted_examples"),
    ),
    squared_pearson_correlation._SquaredPearsonCorrelationCombiner: Kind(
        _correlation_terms,
        _fill_attributes(
            "total_weighted_labels",
            "total_weighted_predictions",
            "total_weighted_squared_labels",
            "total_weighted_squared_predictions",
            "total_weighted_labels_times_predictions",
            "total_weighted_examples",
        ),
    ),
    calibration_histogram._CalibrationHistogramCombiner: Kind(
        _histogram_terms,
        _fill_histogram,
        lambda combiner: "" if combiner._prediction_based_bucketing else "buckets of labels",
    ),
    binary_confusion_matrices._BinaryConfusionMatrixCombiner: Kind(
        _confusion_terms, _fill_confusion, _refused_confusion
    ),
    multi_class_confusion_matrix_metrics._MultiClassConfusionMatrixCombiner: Kind(
        _classes_terms, _fill_classes, _refused_classes
    ),
    cross_entropy_metrics._BinaryCrossEntropyCombiner: Kind(_binary_entropy_terms, _ENTROPY),
    cross_entropy_metrics._CategoricalCrossEntropyCombiner: Kind(_categorical_entropy_terms, _ENTROPY),
    **dict.fromkeys(_REGRESSION_ERRORS, _REGRESSION),
}


def accumulator(computation: metric_types.MetricComputation, config: Any) -> Accumulator:
    """What computes, over columns, what a MetricComputation of TFMA does.

    Raises:
        IndirectError: Nothing here does; names the metric and the reason.
    """
    if reason := _refusal(computation):
        name = computation.keys[0].name if computation.keys else type(computation.combiner).__name__
        raise IndirectError(f"the metric {name.strip('_').split(':')[0]!r} ({reason})")
    combiner, key = computation.combiner, computation.keys[0]
    if isinstance(combiner, tf_metric_wrapper._CompilableMetricsCombiner):
        sources = [
            Source(config, combiner._model_name, output, combiner._sub_key, combiner._example_weighted)
            for output in combiner._output_names
        ]
        return KerasMetrics(combiner, sources, flat=bool(combiner._aggregation_type))
    source = Source(config, key.model_name, key.output_name, key.sub_key, bool(key.example_weighted))
    return CombinerSums(combiner, source, _KINDS[type(combiner)])


def _refusal(computation: metric_types.MetricComputation) -> str:
    combiner = computation.combiner
    keras = isinstance(combiner, tf_metric_wrapper._CompilableMetricsCombiner)
    if not keras and type(combiner) not in _KINDS:
        return "TFMA computes it example by example"
    key = computation.keys[0]
    if any(type(p) is not metric_types.StandardMetricInputsPreprocessor for p in computation.preprocessors):
        return "a preprocessor"
    if key.sub_key is not None and (key.sub_key.k is not None or key.sub_key.top_k is not None):
        return "binarized by rank"
    if getattr(combiner, "_class_weights", None):
        return "class weights"
    return _refused_keras(combiner, key) if keras else _KINDS[type(combiner)].refuses(combiner)


def _refused_keras(combiner: Any, key: metric_types.MetricKey) -> str:
    if any(combiner._loss_configs):
        # A loss averages over TFMA's batches, so that its value depends on them.
        return "a Keras loss"
    spec = model_util.get_model_spec(combiner._eval_config, key.model_name)
    return "padding" if spec and spec.HasField("padding_options") else ""
