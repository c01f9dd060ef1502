"""TFMA's evaluation without a Beam pipeline: columns in, sums by slice, TFMA's own derivations from there."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis import constants
from tensorflow_model_analysis.api import types
from tensorflow_model_analysis.metrics import metric_specs, metric_types
from tensorflow_model_analysis.post_export_metrics import metric_keys
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import model_util

from components.evaluator.accumulators.combiner_sums import Metrics
from components.evaluator.accumulators.selection import Accumulator, accumulator
from components.evaluator.accumulators.sums import Sums, Terms
from components.evaluator.rows import IndirectError, Rows
from components.evaluator.slices import SliceKey, Slicer

SlicedMetrics = dict[SliceKey, dict[Any, Any]]


@dataclass(frozen=True)
class Plan:
    """What is computed from the rows, and what TFMA derives from that, in its order."""

    config: config_pb2.EvalConfig
    accumulators: list[Accumulator]
    derived: list[metric_types.DerivedMetricComputation]


def plan(config: config_pb2.EvalConfig, models: list[tfma.EvalSharedModel], schema: Any) -> Plan:
    """The computations that TFMA derives from a config.

    Raises:
        IndirectError: The config needs something that only TFMA on Beam does.
    """
    _require_direct(config, models)
    computations = metric_specs.to_computations(list(config.metrics_specs), eval_config=config, schema=schema)
    kinds = (metric_types.DerivedMetricComputation, metric_types.MetricComputation)
    for computation in computations:
        if not isinstance(computation, kinds):
            raise IndirectError(f"a {type(computation).__name__}")
    # Every metric that needs a computation lists it; the first one is kept.
    distinct = list(dict.fromkeys(computations))
    direct = [c for c in distinct if isinstance(c, metric_types.MetricComputation)]
    derived = [c for c in distinct if isinstance(c, metric_types.DerivedMetricComputation)]
    derived.sort(key=lambda c: isinstance(c, metric_types.CIDerivedMetricComputation))
    return Plan(config, [accumulator(computation, config) for computation in direct], derived)


def try_on(rows: Rows, config: config_pb2.EvalConfig, schema: Any) -> None:
    """Computes on a few rows what can be computed directly, because errors of TFMA on Beam say less.

    Raises:
        UserError: A metric does not take these labels or predictions.
    """
    members = Slicer(()).members(rows)
    for computation in metric_specs.to_computations(list(config.metrics_specs), eval_config=config, schema=schema):
        if isinstance(computation, metric_types.MetricComputation):
            with contextlib.suppress(IndirectError, ValueError), np.errstate(all="ignore"):
                accumulator(computation, config).add(rows, members)


def _require_direct(config: config_pb2.EvalConfig, models: list[tfma.EvalSharedModel]) -> None:
    options = config.options
    reasons = {
        "confidence intervals": options.compute_confidence_intervals.value,
        "cross_slicing_specs": config.cross_slicing_specs,
        "slice_keys_sql": any(spec.slice_keys_sql for spec in config.slicing_specs),
        "a query_key": any(spec.query_key for spec in config.metrics_specs),
        "disabled_outputs": options.disabled_outputs.values,
        "metrics saved in a Keras model": any(
            model.model_type == constants.TF_KERAS and model.include_default_metrics for model in models
        ),
        "a model that is not a TensorFlow SavedModel": any(
            model.model_type not in (constants.TF_GENERIC, constants.TF_KERAS) for model in models
        ),
    }
    if found := [reason for reason, holds in reasons.items() if holds]:
        raise IndirectError(", ".join(found))


def evaluate(planned: Plan, batches: Iterable[Rows], slicer: Slicer) -> SlicedMetrics:
    """The metrics and plots of every slice, as TFMA's evaluator gives them; the overall slice first.

    Raises:
        IndirectError: Only TFMA on Beam can evaluate these rows.
    """
    counts = Sums()
    with np.errstate(all="ignore"):
        for rows in batches:
            members = slicer.members(rows)
            counts.add(members, Terms(np.zeros((rows.batch.num_rows, 1), np.int64), (np.ones((1, 1)),)))
            for each in planned.accumulators:
                each.add(rows, members)
        sizes = {number: int(sums[0, 0]) for number, _, sums in counts.by_slice()}
        computed = [each.metrics() for each in planned.accumulators]
        sliced = {key: _metrics(planned, computed, number) for number, key in enumerate(slicer.keys)}
    smallest = planned.config.options.min_slice_size.value
    for number, key in enumerate(slicer.keys):
        if key and sizes[number] < smallest:
            sliced[key] = {metric_keys.ERROR_METRIC: _too_small(smallest)}
    return dict(sorted(sliced.items(), key=lambda item: str(item[0])))


def _metrics(planned: Plan, computed: list[dict[int, Metrics]], slice_number: int) -> Metrics:
    metrics: Metrics = {}
    for result in computed:
        metrics.update(result[slice_number])
    for computation in planned.derived:
        metrics.update(computation.result(metrics))
    metrics.update(_differences(metrics, planned.config))
    return {key: value for key, value in metrics.items() if not _is_private(key)}


def _differences(metrics: Metrics, config: config_pb2.EvalConfig) -> Metrics:
    """Candidate minus baseline, for everything that can be subtracted."""
    spec = model_util.get_baseline_model_spec(config)
    if spec is None:
        return {}
    pairs = {
        key: key.make_baseline_key(spec.name)
        for key, value in metrics.items()
        if key.model_name != spec.name and not key.is_diff and not _is_private(key) and _subtracts(value)
    }
    return {key.make_diff_key(): metrics[key] - metrics[old] for key, old in pairs.items() if old in metrics}


def _subtracts(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return np.issubdtype(value.dtype, np.number)
    return isinstance(value, numbers.Number | types.StructuredMetricValue)


def _is_private(key: metric_types.MetricKey) -> bool:
    return bool(key.name.startswith("_") and not key.name.startswith("__"))


def _too_small(smallest: int) -> str:
    return (
        "Example count for this slice key is lower than the minimum required value: "
        f"{smallest}. No data is aggregated for this slice."
    )


def metric_name(key: metric_types.MetricKey) -> str:
    """A metric's name with its output, class and kind of average."""
    parts = [key.output_name, key.name, str(key.sub_key or ""), str(key.aggregation_type or "")]
    return "/".join(part for part in parts if part)
