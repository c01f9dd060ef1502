"""Writes evaluation results like TFMA's, from plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from components.contract.artifacts import ModelBlessing, ModelEvaluation
from components.data import tfrecord
from components.reports.readers.protos import metrics_for_slice_pb2, validation_result_pb2

Values = Mapping[str, float | tuple[float, float, float]]


def evaluation(
    folder: Path, slices: Sequence[Message], config: Mapping[str, Any], failures: Sequence[Message] = ()
) -> ModelEvaluation:
    """An evaluation with these metrics by slice; `failures` are those of the overall slice."""
    folder.mkdir(parents=True)
    write(folder / "metrics-00000-of-00001.tfrecord", slices)
    validation = validation_result_pb2.ValidationResult(validation_ok=not failures)
    if failures:
        validation.metric_validations_per_slice.add(slice_key={}, failures=failures)
    write(folder / "validations.tfrecord", [validation])
    (folder / "eval_config.json").write_text(json.dumps({"evalConfig": config, "version": "0.52.0"}))
    return ModelEvaluation(folder)


def write(path: Path, messages: Sequence[Message]) -> None:
    with path.open("wb") as file:
        tfrecord.write_records(file, [message.SerializeToString() for message in messages])


def sliced(candidate: Values, baseline: Values = {}, **key: str) -> Any:
    """The metrics of a slice; a value with an interval is `(value, lower, upper)`."""
    message = metrics_for_slice_pb2.MetricsForSlice(slice_key={})
    for column, value in key.items():
        message.slice_key.single_slice_keys.add(column=column, bytes_value=value.encode())
    for name, given in candidate.items():
        _add(message, given, name=name, model_name="candidate" if baseline else "")
    for name, given in baseline.items():
        _add(message, given, name=name, model_name="baseline")
        change = _value(candidate[name]) - _value(given)
        _add(message, change, name=name, model_name="candidate", is_diff=True)
    return message


def _add(message: Any, given: float | tuple[float, float, float], **key: Any) -> None:
    pair = message.metric_keys_and_values.add(key=key, value={"double_value": {"value": _value(given)}})
    if isinstance(given, tuple):
        pair.confidence_interval.lower_bound.double_value.value = given[1]
        pair.confidence_interval.upper_bound.double_value.value = given[2]


def _value(given: float | tuple[float, float, float]) -> float:
    return given[0] if isinstance(given, tuple) else given


def failure(name: str, message: str = "", *, is_diff: bool = False) -> Any:
    return validation_result_pb2.ValidationFailure(metric_key={"name": name, "is_diff": is_diff}, message=message)


def blessing(folder: Path, blessed: bool, **metadata: Any) -> ModelBlessing:
    folder.mkdir(parents=True)
    (folder / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
    return ModelBlessing(folder, {"blessed": float(blessed), **metadata})


def config(*metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {"metricsSpecs": [{"metrics": list(metrics)}]}


def above(class_name: str, lower: float, *, change: float | None = None, slices: Sequence[Any] = ()) -> dict[str, Any]:
    """A metric with a lower bound for its value, and one for its change."""
    threshold: dict[str, Any] = {"valueThreshold": {"lowerBound": lower}}
    if change is not None:
        threshold["changeThreshold"] = {"absolute": change, "direction": "HIGHER_IS_BETTER"}
    if slices:
        return {"className": class_name, "perSliceThresholds": [{"slicingSpecs": list(slices), "threshold": threshold}]}
    return {"className": class_name, "threshold": threshold}
