"""Keras metrics."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_model_analysis.utils.keras_lib import tf_keras

from components.evaluator.accumulators.combiner_sums import Metrics
from components.evaluator.accumulators.sums import Sums, Terms
from components.evaluator.columns import Columns, Source
from components.evaluator.rows import Rows
from components.evaluator.slices import Members
from components.upstream import tfma
from components.upstream.tf_keras import values_of_rows


class KerasMetrics:
    """Replaces TFMA's combiner of Keras metrics.

    If a metric averages a function of single rows, the function is called once a batch. All other metrics are updated
    slice by slice, and their states are added, as TFMA adds the states of its batches.
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
        for output, (source, metrics) in enumerate(zip(self._sources, tfma.keras_metrics(self._combiner), strict=True)):
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
    values = np.asarray(values_of_rows(metric, label, prediction), np.float64).reshape(len(label), -1)
    total = values.sum(axis=1, keepdims=True) * columns.weight
    return Terms(np.zeros(total.shape, np.int64), (total, columns.weight * values.shape[1]))
