"""Metrics of served answers by the evaluator's own code: its slicer, its accumulators, TFMA's derivations."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.contract.errors import DataError, UserError
from components.inference.columns import INPUT
from components.monitoring.labels.columns import LABEL
from components.monitoring.quality.facts import Version
from components.monitoring.quality.served import REQUEST, features, matrix, outputs, weights

_BATCH_ROWS = 1 << 15
_SHARE = "recorded share"
"""The name of the weight of rows that were recorded with different shares."""


@dataclass(frozen=True)
class Evaluated:
    """The metrics of labelled answers, and what they were computed from.

    Attributes:
        config: The EvalConfig that was evaluated.
        values: By slice, as text, and by metric; None where the metric is not defined.
        keys: TFMA's keys of the metrics, by name.
        rows: The batches, as the evaluator takes them.
        members: Of each batch, its slices.
        slices: The slices' numbers in `members`.
        counts: The number of rows of every slice.
        requests: The number of each row's request.
    """

    config: Any
    values: Mapping[str, Mapping[str, float | None]]
    keys: Mapping[str, Any]
    rows: list[Any]
    members: list[Any]
    slices: Mapping[str, int]
    counts: Mapping[str, int]
    requests: NDArray[Any]


def evaluate(version: Version, labelled: pa.Table) -> Evaluated:
    """The metrics and slices of the version's EvalConfig.

    Raises:
        UserError: The EvalConfig, the labels or the outputs do not fit together.
        DataError: Some rows lack an outcome that the EvalConfig needs.
    """
    from components.evaluator.slices import Slicer

    config = _config(version.eval_config)
    rows = list(_rows(version, config, labelled))
    if weights(labelled) is not None:
        config = _weighted(config)
    slicer = Slicer(config.slicing_specs)
    results = sliced(config, rows, slicer)
    members = [slicer.members(each) for each in rows]
    numbers = {slice_text(key): number for number, key in enumerate(slicer.keys)}
    values, keys = _plain(results)
    sizes = np.bincount(np.concatenate([each.slices for each in members]), minlength=len(numbers))
    return Evaluated(
        config=config,
        values=values,
        keys=keys,
        rows=rows,
        members=members,
        slices=numbers,
        counts={name: int(sizes[number]) for name, number in numbers.items()},
        requests=labelled[REQUEST].to_numpy(),
    )


def evaluated_columns(version: Version, labelled: pa.Table) -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels and predictions as the evaluator's metrics take them, each (rows, values); raises as `evaluate`."""
    from components.evaluator.columns import Source

    config = _config(version.eval_config)
    source = Source(config, "", "", None, weighted=False)
    parts = [source.columns(rows) for rows in _rows(version, config, labelled)]
    label, prediction = (np.concatenate([getattr(part, n) for part in parts]) for n in ("label", "prediction"))
    return label, prediction


def slice_text(key: Any) -> str:
    """A slice as the tables name it, such as `trip_start_hour:3`; empty for all rows."""
    return ",".join(f"{column}:{value}" for column, value in key)


def _config(settings: Mapping[str, Any]) -> Any:
    """The EvalConfig without what is for the stage alone: a baseline, thresholds of slices, intervals."""
    from components.evaluator.settings import eval_config

    config = eval_config(settings, has_baseline=False)
    config.options.ClearField("compute_confidence_intervals")
    config.options.ClearField("disabled_outputs")
    config.ClearField("cross_slicing_specs")
    return config


def _weighted(config: Any) -> Any:
    """The same config with example weights for metrics that have none."""
    changed = type(config)()
    changed.CopyFrom(config)
    for spec in changed.model_specs:
        if not spec.example_weight_key and not spec.example_weight_keys:
            spec.example_weight_key = _SHARE
    return changed


def sliced(config: Any, rows: list[Any], slicer: Any) -> dict[Any, dict[Any, Any]]:
    """The evaluator's results; metrics that only Beam computes are left out."""
    from components.evaluator import direct
    from components.evaluator.rows import IndirectError

    try:
        return direct.evaluate(direct.plan(config, [], None), rows, slicer)
    except IndirectError:
        found: dict[Any, dict[Any, Any]] = {}
    for single in _single_metrics(config):
        try:
            for key, metrics in direct.evaluate(direct.plan(single, [], None), rows, slicer).items():
                found.setdefault(key, {}).update(metrics)
        except IndirectError as reason:
            print(f"quality: {reason} needs Beam, and is left out", flush=True)
    return found


def _single_metrics(config: Any) -> Iterator[Any]:
    """The config once for each metric."""
    for spec in config.metrics_specs:
        for metric in spec.metrics:
            single = type(config)()
            single.CopyFrom(config)
            del single.metrics_specs[:]
            added = single.metrics_specs.add()
            added.CopyFrom(spec)
            del added.metrics[:]
            added.metrics.add().CopyFrom(metric)
            yield single


def _plain(sliced: Mapping[Any, Mapping[Any, Any]]) -> tuple[dict[str, dict[str, float | None]], dict[str, Any]]:
    """The metrics that are plain numbers."""
    from components.evaluator.direct import metric_name

    values: dict[str, dict[str, float | None]] = {}
    keys: dict[str, Any] = {}
    for slice_key, metrics in sliced.items():
        own = values.setdefault(slice_text(slice_key), {})
        for key, value in metrics.items():
            if type(key).__name__ == "MetricKey" and (number := _number(value)) is not None:
                own[metric_name(key)] = number if np.isfinite(number) else None
                keys[metric_name(key)] = key
    return values, keys


def _number(value: Any) -> float | None:
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "biuf":
        return float(value.ravel()[0])
    return None


def _rows(version: Version, config: Any, labelled: pa.Table) -> Iterator[Any]:
    """The evaluator's rows; by the model's preprocessing functions if labels or slices come from them."""
    inference = _inference(version, config) if _needs_model(config, labelled) else None
    many = weights(labelled)
    for start in range(0, labelled.num_rows, _BATCH_ROWS):
        part = labelled.slice(start, _BATCH_ROWS)
        batch, predictions = features(part), _predictions(part)
        rows = inference.judged(batch, predictions) if inference else _direct(config, part, batch, predictions)
        yield rows if many is None else _with_weights(rows, many[start : start + _BATCH_ROWS])


def _needs_model(config: Any, labelled: pa.Table) -> bool:
    """Whether a label, a weight or a slice's column is neither among the inputs nor among the outcomes."""
    there = set(features(labelled.slice(0, 0)).schema.names)
    wanted = {name for spec in config.slicing_specs for name in [*spec.feature_keys, *spec.feature_values]}
    return bool((wanted | _label_keys(config) | _weight_keys(config)) - there)


def _label_keys(config: Any) -> set[str]:
    return {key for spec in config.model_specs for key in [spec.label_key, *spec.label_keys.values()] if key}


def _weight_keys(config: Any) -> set[str]:
    specs = config.model_specs
    return {key for s in specs for key in [s.example_weight_key, *s.example_weight_keys.values()] if key}


def _inference(version: Version, config: Any) -> Any:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.tfxio import tensor_representation_util

    from components.evaluator.rows import Inference

    if version.model is None:
        wanted = ", ".join(sorted(_label_keys(config)))
        raise UserError(
            f"the label {wanted!r} or a slice's column is neither an input nor among the labels, and there is no "
            "model to compute it with",
            fix=f"add labels with --label {wanted}=COLUMN, or keep the pushed model where its provenance says",
        )
    schema = text_format.Parse(version.schema, schema_pb2.Schema())
    represented = tensor_representation_util.InferTensorRepresentationsFromMixedSchema(schema) if version.schema else {}
    return Inference(config, [_loaded(config.SerializeToString(), version.model)], represented)


@functools.lru_cache(maxsize=4)
def _loaded(config: bytes, model: Path) -> Any:
    """TFMA's handle of a model, which loads it once for all windows."""
    from tensorflow_model_analysis.proto import config_pb2

    from components.evaluator import models

    return models.pushed_model(config_pb2.EvalConfig.FromString(config), model)


def _predictions(part: pa.Table) -> Any:
    """The outputs as TFMA has them: an array if there is one, else arrays by name."""
    found = outputs(part)
    return next(iter(found.values())) if len(found) == 1 else found


def _direct(config: Any, part: pa.Table, batch: pa.RecordBatch, predictions: Any) -> Any:
    from components.evaluator.rows import Rows

    spec = config.model_specs[0]
    labels = {out: _column(part, key) for out, key in spec.label_keys.items()} or (
        _column(part, spec.label_key) if spec.label_key else None
    )
    weight = _column(part, spec.example_weight_key) if spec.example_weight_key else None
    return Rows(batch, [], labels, predictions, weight)


def _column(part: pa.Table, key: str) -> NDArray[Any]:
    name = LABEL + key if LABEL + key in part.column_names else INPUT + key
    column = part[name]
    if column.null_count:
        raise DataError(f"the outcome {key!r} is missing in {column.null_count} labelled rows", fix="complete them")
    return matrix(column, name)


def _with_weights(rows: Any, many: NDArray[np.float64]) -> Any:
    own = rows.weights if rows.weights is not None else 1.0
    return dataclasses.replace(rows, weights=own * many.reshape(-1, 1))
