"""The EvalConfig: from JSON to TFMA's message, with errors that name the place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from tensorflow_model_analysis.metrics import metric_specs, metric_types
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import config_util
from tensorflow_model_analysis.utils.keras_lib import tf_keras

from components.errors import UserError


def eval_config(settings: Mapping[str, Any], *, has_baseline: bool) -> config_pb2.EvalConfig:
    """TFMA's EvalConfig with TFX's defaults.

    With a baseline, a second model spec is added where the config has one; without, baseline specs and change
    thresholds are dropped (TFX calls it rubber-stamping).

    Raises:
        UserError: A field or a metric that does not exist, or settings that TFMA refuses.
    """
    _require_known_fields(settings, config_pb2.EvalConfig.DESCRIPTOR, "eval_config")
    try:
        parsed = json_format.ParseDict(settings, config_pb2.EvalConfig())
    except json_format.ParseError as error:
        raise UserError(f"eval_config: {error}", mend="write it as the JSON form of TFMA's EvalConfig") from error
    _require_known_metrics(parsed)
    try:
        complete = config_util.update_eval_config_with_defaults(parsed, has_baseline=has_baseline, rubber_stamp=True)
        config_util.verify_eval_config(complete)
    except ValueError as error:
        raise UserError(f"eval_config: {error}") from error
    return complete


def near(name: str, known: Iterable[str], there: str) -> str:
    """What to say of a name that does not exist: the nearest one, else all there are."""
    choices = sorted(known)
    found = difflib.get_close_matches(name, choices, n=1)
    return f"did you mean {found[0]!r}?" if found else f"{there} {', '.join(choices)}"


def _require_known_fields(value: Any, message: Descriptor, path: str) -> None:
    if not isinstance(value, Mapping):
        return
    fields = {**{f.json_name: f for f in message.fields}, **{f.name: f for f in message.fields}}
    for name, inner in value.items():
        if name not in fields:
            known = [field.name for field in message.fields]
            raise UserError(f"eval_config has no field {path}.{name}", mend=near(name, known, "the fields there are"))
        _require_known_inside(inner, fields[name], f"{path}.{name}")


def _require_known_inside(value: Any, field: FieldDescriptor, path: str) -> None:
    kind = field.message_type
    if kind is None:
        return
    if kind.full_name.startswith("google.protobuf."):
        if isinstance(value, Mapping):
            bare = next(iter(value.values()), None)
            raise UserError(f"{path} is {dict(value)}", mend=f"write the bare value: {bare}")
    elif kind.GetOptions().map_entry:
        for key, inner in value.items():
            _require_known_inside(inner, kind.fields_by_name["value"], f"{path}[{key!r}]")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _require_known_fields(inner, kind, f"{path}[{number}]")
    else:
        _require_known_fields(value, kind, path)


def _require_known_metrics(config: config_pb2.EvalConfig) -> None:
    for s, spec in enumerate(config.metrics_specs):
        for m, metric in enumerate(spec.metrics):
            _require_known_metric(metric, f"eval_config.metrics_specs[{s}].metrics[{m}]")


def _require_known_metric(metric: config_pb2.MetricConfig, path: str) -> None:
    known = {*metric_types.registered_metrics(), *(name for name in dir(tf_keras.metrics) if name[0].isupper())}
    if not metric.module and metric.class_name not in known:
        raise UserError(
            f"{path}.class_name: there is no metric {metric.class_name!r}",
            mend=near(metric.class_name, known, "there are") + " A metric of your own needs its `module` too",
        )
    try:
        metric_specs.metric_instance(metric)
    except Exception as error:
        raise UserError(f"{path}: {metric.class_name} cannot be made from {metric.config or '{}'}: {error}") from error
