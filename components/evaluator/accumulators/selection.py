"""Chooses what computes one of TFMA's metrics."""

from __future__ import annotations

from typing import Any, Protocol

from tensorflow_model_analysis.metrics import metric_types
from tensorflow_model_analysis.utils import model_util

from components.evaluator.accumulators import class_matrices, cross_entropy, histograms, totals
from components.evaluator.accumulators.combiner_sums import CombinerSums, Kind, Metrics
from components.evaluator.accumulators.keras_metrics import KerasMetrics
from components.evaluator.columns import Source
from components.evaluator.rows import IndirectError, Rows
from components.evaluator.slices import Members
from components.upstream import tfma

_KINDS: dict[type, Kind] = {**totals.KINDS, **cross_entropy.KINDS, **histograms.KINDS, **class_matrices.KINDS}


class Accumulator(Protocol):
    """Takes batches, and gives the metrics of each slice."""

    def add(self, rows: Rows, members: Members) -> None:
        """Adds a batch."""

    def metrics(self) -> dict[int, Metrics]:
        """What TFMA's combiner gives for each slice, by the slice's number."""


def accumulator(computation: metric_types.MetricComputation, config: Any) -> Accumulator:
    """The accumulator that computes a MetricComputation of TFMA over columns.

    Raises:
        IndirectError: Only TFMA on Beam can compute it; names the metric and the reason.
    """
    if reason := _refusal(computation):
        name = computation.keys[0].name if computation.keys else type(computation.combiner).__name__
        raise IndirectError(f"the metric {name.strip('_').split(':')[0]!r} ({reason})")
    combiner, key = computation.combiner, computation.keys[0]
    if isinstance(combiner, tfma.CompilableMetricsCombiner):
        return _keras_metrics(combiner, config)
    source = Source(config, key.model_name, key.output_name, key.sub_key, bool(key.example_weighted))
    return CombinerSums(combiner, source, _KINDS[type(combiner)])


def _keras_metrics(combiner: Any, config: Any) -> KerasMetrics:
    made = tfma.keras_settings(combiner)
    sources = [Source(config, made.model, output, made.sub_key, made.weighted) for output in made.outputs]
    return KerasMetrics(combiner, sources, flat=made.aggregates)


def _refusal(computation: metric_types.MetricComputation) -> str:
    combiner = computation.combiner
    keras = isinstance(combiner, tfma.CompilableMetricsCombiner)
    if not keras and type(combiner) not in _KINDS:
        return "TFMA computes it example by example"
    key = computation.keys[0]
    if any(type(p) is not metric_types.StandardMetricInputsPreprocessor for p in computation.preprocessors):
        return "a preprocessor"
    if key.sub_key is not None and (key.sub_key.k is not None or key.sub_key.top_k is not None):
        return "binarized by rank"
    if tfma.class_weights(combiner):
        return "class weights"
    return _refused_keras(combiner, key) if keras else _KINDS[type(combiner)].refuses(combiner)


def _refused_keras(combiner: Any, key: metric_types.MetricKey) -> str:
    made = tfma.keras_settings(combiner)
    if made.has_losses:
        # TFMA averages a loss over its batches, so the value depends on the batches.
        return "a Keras loss"
    spec = model_util.get_model_spec(made.config, key.model_name)
    return "padding" if spec and spec.HasField("padding_options") else ""
