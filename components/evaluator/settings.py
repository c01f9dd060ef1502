"""The EvalConfig: from JSON to TFMA's message, with errors that name the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from tensorflow_model_analysis.metrics import metric_specs, metric_types
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import config_util
from tensorflow_model_analysis.utils.keras_lib import tf_keras

from components.contract.errors import UserError
from components.user_code import eval_configs
from components.user_code.eval_configs import Fault, near


def eval_config(settings: Mapping[str, Any], *, has_baseline: bool) -> config_pb2.EvalConfig:
    """TFMA's EvalConfig with TFX's defaults.

    With a baseline, a second model spec is added if the config has only one. Without a baseline, baseline specs and
    change thresholds are dropped (TFX calls it rubber-stamping).

    Raises:
        UserError: Fields, values or metrics that do not exist, all of them; or settings that TFMA refuses.
    """
    if faults := eval_configs.faults(settings):
        raise eval_configs.error(faults)
    parsed = json_format.ParseDict(settings, config_pb2.EvalConfig())
    if faults := list(_metric_faults(parsed)):
        raise eval_configs.error(faults)
    try:
        complete = config_util.update_eval_config_with_defaults(parsed, has_baseline=has_baseline, rubber_stamp=True)
        config_util.verify_eval_config(complete)
    except ValueError as error:
        raise UserError(f"eval_config: {error}") from error
    return complete


def _metric_faults(config: config_pb2.EvalConfig) -> Iterator[Fault]:
    for s, spec in enumerate(config.metrics_specs):
        for m, metric in enumerate(spec.metrics):
            if fault := _metric_fault(metric, f"eval_config.metrics_specs[{s}].metrics[{m}]"):
                yield fault


def _metric_fault(metric: config_pb2.MetricConfig, path: str) -> Fault | None:
    known = {*metric_types.registered_metrics(), *(name for name in dir(tf_keras.metrics) if name[0].isupper())}
    if not metric.module and metric.class_name not in known:
        return Fault(
            f"{path}.class_name: there is no metric {metric.class_name!r}",
            near(metric.class_name, known, "there are") + " A metric of your own needs its `module` too",
        )
    try:
        metric_specs.metric_instance(metric)
    except Exception as error:
        return Fault(f"{path}: {metric.class_name} cannot be created from {metric.config or '{}'}: {error}")
    return None
