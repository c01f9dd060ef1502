"""TFMA's result files, its validation against the thresholds, and what the log and the metadata say about them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_model_analysis import constants, version
from tensorflow_model_analysis.evaluators import metrics_validator
from tensorflow_model_analysis.metrics import metric_specs, metric_types
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tensorflow_model_analysis.writers import metrics_plots_and_validations_writer as writer

from components.contract.artifacts import SLICES_FILE
from components.data import tfrecord
from components.evaluator.direct import SlicedMetrics, metric_name
from components.reports.readers import evaluations

_KINDS = {
    constants.METRICS_KEY: (metric_types.MetricKey, writer.convert_slice_metrics_to_proto),
    constants.PLOTS_KEY: (metric_types.PlotKey, writer.convert_slice_plots_to_proto),
    constants.ATTRIBUTIONS_KEY: (metric_types.AttributionsKey, writer.convert_slice_attributions_to_proto),
}

_RUN = "eval_config.json"


def write(folder: Path, sliced: SlicedMetrics, config: config_pb2.EvalConfig, locations: dict[str, str]) -> None:
    """Writes what TFMA's default writers write.

    Args:
        folder: The folder to write to.
        sliced: Metrics and plots by slice.
        config: The EvalConfig.
        locations: Where the models are, by name.
    """
    for name in _KINDS:
        _write(folder / f"{name}-00000-of-00001.tfrecord", _messages(name, sliced))
    metrics = {key: _of_kind(constants.METRICS_KEY, values) for key, values in sliced.items()}
    _write(folder / f"{constants.VALIDATIONS_KEY}.tfrecord", [_validation(metrics, config)])
    run = config_pb2.EvalRun(
        eval_config=config,
        version=version.VERSION,
        data_location="<user provided PCollection>",
        file_format="<unknown>",
        model_locations=locations,
    )
    _write_run(folder, run)


def locate_models(folder: Path, locations: dict[str, str]) -> None:
    """Writes the models' locations into the result files of TFMA's own writers."""
    run = json_format.Parse((folder / _RUN).read_text(), config_pb2.EvalRun())
    run.model_locations.clear()
    run.model_locations.update(locations)
    _write_run(folder, run)


def _write_run(folder: Path, run: config_pb2.EvalRun) -> None:
    (folder / _RUN).write_text(json_format.MessageToJson(run, sort_keys=True) + "\n")


def _write(path: Path, messages: Iterable[Message]) -> None:
    with path.open("wb") as file:
        tfrecord.write_records(file, (message.SerializeToString(deterministic=True) for message in messages))


def _messages(name: str, sliced: SlicedMetrics) -> Iterator[Message]:
    _, convert = _KINDS[name]
    settings = {} if name == constants.ATTRIBUTIONS_KEY else {"add_metrics_callbacks": None}
    for key, values in sliced.items():
        yield convert((key, _of_kind(name, values)), **settings)


def _of_kind(name: str, values: dict[Any, Any]) -> dict[Any, Any]:
    """The values whose key is of a kind; the keys of plots and attributions are metric keys too."""
    others = (metric_types.PlotKey, metric_types.AttributionsKey)
    if name == constants.METRICS_KEY:
        return {key: value for key, value in values.items() if not isinstance(key, others)}
    return {key: value for key, value in values.items() if isinstance(key, _KINDS[name][0])}


def _validation(metrics: SlicedMetrics, config: config_pb2.EvalConfig) -> validation_result_pb2.ValidationResult:
    combiner = writer.CombineValidations(config)
    merged = combiner.create_accumulator()
    # TFMA's combiner takes an empty accumulator for a missing one.
    merged = validation_result_pb2.ValidationResult(validation_ok=True) if merged is None else merged
    for sliced in metrics.items():
        merged = combiner.add_input(merged, metrics_validator.validate_metrics(sliced, config))
    return combiner.extract_output(merged)


def has_thresholds(config: config_pb2.EvalConfig) -> bool:
    """Whether there is a threshold to check the metrics against."""
    return bool(metric_specs.metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config))


def failures(folder: Path) -> list[str]:
    """What failed in the validation of a result folder, one a line; empty if it passed."""
    result = tfma.load_validation_result(str(folder))
    if result.validation_ok:
        return []
    lines = [
        f"{_slice_name(found)}: {_failure(failure)}"
        for found in result.metric_validations_per_slice
        for failure in found.failures
    ]
    missing = [*result.missing_slices, *result.missing_cross_slices]
    lines += [f"no slice in the data matches {json_format.MessageToDict(spec)}" for spec in missing]
    return lines or ["the validation failed without a reason"]


def _slice_name(found: validation_result_pb2.MetricsValidationForSlice) -> str:
    if found.HasField("cross_slice_key"):
        pair = (found.cross_slice_key.baseline_slice_key, found.cross_slice_key.comparison_slice_key)
        return "slices " + " and ".join(_key_name(key) for key in pair)
    return f"slice {_key_name(found.slice_key)}"


def _key_name(key: Any) -> str:
    name: str = slicer_lib.stringify_slice_key(slicer_lib.deserialize_slice_key(key))
    return name


def _failure(failure: validation_result_pb2.ValidationFailure) -> str:
    name = metric_name(metric_types.MetricKey.from_proto(failure.metric_key))
    bound = json_format.MessageToDict(failure.metric_threshold, preserving_proto_field_name=True)
    bounds = ", ".join(f"{kind} {values}" for kind, values in bound.items())
    if failure.message.strip():
        return f"{name}: {' '.join(failure.message.split())} ({bounds})"
    change = "changed by " if failure.metric_key.is_diff else ""
    return f"{name} {change}{failure.metric_value.double_value.value:.6g}, outside {bounds}"


def overall(folder: Path) -> dict[str, float]:
    """The candidate's metrics over all rows that are plain finite numbers, by name."""
    values: dict[str, float] = {}
    for metrics in tfma.load_metrics(str(folder)):
        if metrics.slice_key.single_slice_keys or metrics.HasField("cross_slice_key"):
            continue
        for pair in metrics.metric_keys_and_values:
            number = pair.value.double_value.value
            candidate = pair.key.model_name != constants.BASELINE_KEY and not pair.key.is_diff
            if candidate and pair.value.HasField("double_value") and math.isfinite(number):
                values[metric_name(metric_types.MetricKey.from_proto(pair.key))] = number
    return values


def write_slices(folder: Path) -> None:
    """Writes the candidate's metrics by slice as plain JSON, for readers without TFMA, such as a model card.

    All rows come first, then the slices by size.
    """
    found = [each for each in evaluations.read(folder) if not each.is_difference]
    ordered = sorted(found, key=lambda each: (bool(each.key), -(each.size or 0), each.key))
    (folder / SLICES_FILE).write_text(json.dumps([_plain(each) for each in ordered], indent=1) + "\n")


def _plain(each: evaluations.Slice) -> dict[str, Any]:
    metrics = {name: metric.value for name, metric in each.candidate.items()}
    return {"slice": each.name if each.key else "", "rows": each.size, "metrics": metrics}
