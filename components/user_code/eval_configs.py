"""Checks TFMA's EvalConfig in its JSON form, without TensorFlow: reports every mistake with its path.

It is shared, so that a configuration can be checked before anything runs.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format, message_factory, wrappers_pb2  # noqa: F401 (the config depends on it)
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from components.contract.errors import UserError
from components.user_code import metric_classes, user_modules

_PROTO = "tensorflow_model_analysis.proto.config_pb2"
_ROOT = "eval_config"
_WITHOUT_LABELS = {"ExampleCount", "WeightedExampleCount", "QueryStatistics", "ScoreDistributionPlot"}
_EITHER = ("label_key", "prediction_key", "example_weight_key")


@dataclass(frozen=True)
class Fault:
    """A mistake, and how to fix it."""

    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.what}\n  fix: {self.fix}" if self.fix else self.what


@dataclass(frozen=True)
class Name:
    """A name in the config that must exist elsewhere.

    Attributes:
        path: Where the config has it.
        name: The name.
        kind: `column` (or transformed feature) or `signature`.
    """

    path: str
    name: str
    kind: str


def message() -> type[Any]:
    """TFMA's EvalConfig, loaded from its file because importing the package would import TensorFlow."""
    loaded = sys.modules.get(_PROTO) or _proto_alone()
    kind: type[Any] = loaded.EvalConfig
    return kind


@functools.cache
def _proto_alone() -> Any:
    package, _, inner = _PROTO.partition(".")
    found = importlib.util.find_spec(package)
    assert found is not None and found.submodule_search_locations
    file = Path(found.submodule_search_locations[0]).joinpath(*inner.split(".")).with_suffix(".py")
    spec = importlib.util.spec_from_file_location("taxiway_eval_config_pb2", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def faults(settings: Mapping[str, Any]) -> list[Fault]:
    """Unknown fields, invalid values, and settings that exclude each other."""
    found = list(_field_faults(settings, message().DESCRIPTOR, _ROOT))
    return found or list(_contradictions(json_format.ParseDict(settings, message()())))


def metric_faults(settings: Mapping[str, Any]) -> Iterator[Fault]:
    """Unknown metrics, and unknown settings of metrics; for a config without other faults."""
    config = json_format.ParseDict(settings, message()())
    for s, spec in enumerate(config.metrics_specs):
        for m, metric in enumerate(spec.metrics):
            yield from _metric_faults(metric, f"{_ROOT}.metrics_specs[{s}].metrics[{m}]")
    labelled = [spec for spec in config.model_specs if spec.label_key or spec.label_keys]
    needing = [m.class_name for spec in config.metrics_specs for m in spec.metrics if _needs_label(m)]
    if needing and not labelled:
        yield Fault(f"{_ROOT}.model_specs has no label_key, but {needing[0]} needs labels", "name the label's column")


def names(settings: Mapping[str, Any]) -> list[Name]:
    """The columns and signatures that a config without faults names."""
    config = json_format.ParseDict(settings, message()())
    found = [name for s, spec in enumerate(config.model_specs) for name in _of_model(spec, f"{_ROOT}.model_specs[{s}]")]
    for s, spec in enumerate(config.slicing_specs):
        keys = [*spec.feature_keys, *spec.feature_values]
        found += [Name(f"{_ROOT}.slicing_specs[{s}]", key, "column") for key in keys]
    return [each for each in found if each.name]


def error(found: list[Fault]) -> UserError:
    """One error for all faults."""
    if len(found) == 1:
        return UserError(found[0].what, fix=found[0].fix)
    listed = "".join(f"\n- {fault.what}" + f" ({fault.fix})" * bool(fault.fix) for fault in found)
    return UserError(f"{_ROOT} has {len(found)} mistakes:{listed}")


def near(name: str, known: Iterable[str], there: str) -> str:
    """A hint for an unknown name: the most similar known name, or else all of them."""
    choices = sorted(known)
    found = [c for c in choices if c.casefold() == name.casefold()] or difflib.get_close_matches(name, choices, n=1)
    return f"did you mean {found[0]!r}?" if found else f"{there} {', '.join(choices)}"


# Fields and values


def _field_faults(value: Any, kind: Descriptor, path: str) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(
            f"{path} is {value!r:.100}", "write an object with the fields " + ", ".join(f.name for f in kind.fields)
        )
        return
    fields = {**{f.json_name: f for f in kind.fields}, **{f.name: f for f in kind.fields}}
    for name, inner in value.items():
        if name not in fields:
            known = [field.name for field in kind.fields]
            yield Fault(f"{_ROOT} has no field {path}.{name}", near(name, known, "the fields are"))
        else:
            yield from _inner_faults(inner, fields[name], f"{path}.{name}")


def _inner_faults(value: Any, field: FieldDescriptor, path: str) -> Iterator[Fault]:
    kind = field.message_type
    if kind is None or kind.full_name.startswith("google.protobuf."):
        yield from _value_faults(value, field, path)
    elif kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"]
        if not isinstance(value, Mapping) or inner.message_type is None:
            yield from _value_faults(value, field, path)
        else:
            for key, each in value.items():
                yield from _inner_faults(each, inner, f"{path}[{key!r}]")
    elif field.is_repeated:
        if not isinstance(value, list):
            yield Fault(f"{path} is {value!r:.100}", "write a list")
        else:
            for number, each in enumerate(value):
                yield from _field_faults(each, kind, f"{path}[{number}]")
    else:
        yield from _field_faults(value, kind, path)


def _value_faults(value: Any, field: FieldDescriptor, path: str) -> Iterator[Fault]:
    if field.message_type and not field.is_repeated and isinstance(value, Mapping) and "value" in value:
        yield Fault(f"{path} is {dict(value)}", f"write the bare value: {value['value']}")
        return
    try:
        json_format.ParseDict({field.name: value}, message_factory.GetMessageClass(field.containing_type)())
    except json_format.ParseError as wrong:
        said = re.sub(r" at [\w.]+$", "", str(wrong).rpartition("field: ")[2].rstrip("."))
        yield Fault(f"{path} is {value!r:.100}: {said}", _value_fix(value, field))


def _value_fix(value: Any, field: FieldDescriptor) -> str:
    if field.is_repeated and not field.message_type and not isinstance(value, list):
        return "write a list"
    if field.enum_type:
        return near(str(value), field.enum_type.values_by_name, "the values are")
    return "write it as the JSON form of TFMA's EvalConfig"


# Contradictions: what TFMA's `verify_eval_config` refuses (tensorflow_model_analysis/utils/config_util.py, 0.52)


def _contradictions(config: Any) -> Iterator[Fault]:
    for s, spec in enumerate(config.model_specs):
        for key in _EITHER:
            if getattr(spec, key) and getattr(spec, f"{key}s"):
                what = f"{_ROOT}.model_specs[{s}]: only one of {key} or {key}s should be used at a time"
                yield Fault(what, f"remove {key} or {key}s")
    given = [spec.name for spec in config.model_specs]
    if len(given) > 1 and len(set(filter(None, given))) < len(given):
        yield Fault(f"{_ROOT}.model_specs: several models need distinct names", "give each model its own name")
    if sum(spec.is_baseline for spec in config.model_specs) > 1:
        yield Fault(f"{_ROOT}.model_specs: only one may have is_baseline", "remove it from the others")
    for path, threshold in _slice_thresholds(config):
        if not threshold.slicing_specs:
            yield Fault(f"{path} has no slicing_specs", "list the slices; [{}] means all rows together")


def _slice_thresholds(config: Any) -> Iterator[tuple[str, Any]]:
    for s, spec in enumerate(config.metrics_specs):
        path = f"{_ROOT}.metrics_specs[{s}]"
        for m, metric in enumerate(spec.metrics):
            for t, threshold in enumerate(metric.per_slice_thresholds):
                yield f"{path}.metrics[{m}].per_slice_thresholds[{t}]", threshold
        for name, several in spec.per_slice_thresholds.items():
            for t, threshold in enumerate(several.thresholds):
                yield f"{path}.per_slice_thresholds[{name!r}].thresholds[{t}]", threshold


# Metrics


def _metric_faults(metric: Any, path: str) -> Iterator[Fault]:
    known = metric_classes.known()
    settings = _config(metric.config)
    if settings is None:
        yield Fault(f"{path}.config is not a JSON object: {metric.config!r:.100}", 'write "{}", or settings in JSON')
    if metric.class_name in known:
        taken = metric_classes.settings(metric.class_name)
        for name in sorted((settings or {}).keys() - taken if taken else ()):
            what = f"{path}: {metric.class_name} has no setting {name!r}"
            yield Fault(what, near(name, taken or (), "its settings are"))
    elif metric.module:
        yield from _module_faults(metric, path)
    else:
        hint = near(metric.class_name, known, "the metrics are")
        what = f"{path}.class_name: there is no metric {metric.class_name!r}"
        yield Fault(what, f"{hint} (your own metrics need `module` too)")


def _module_faults(metric: Any, path: str) -> Iterator[Fault]:
    try:
        defined = user_modules.functions(metric.module)
    except UserError as wrong:
        yield Fault(f"{path}.module: {wrong.what}", wrong.fix)
        return
    if metric.class_name not in defined and "*" not in defined:
        what = f"{path}.class_name: {metric.module} has no {metric.class_name!r}"
        yield Fault(what, near(metric.class_name, defined, "it has"))


def _config(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _needs_label(metric: Any) -> bool:
    return metric.class_name in metric_classes.known() and metric.class_name not in _WITHOUT_LABELS


# Names


def _of_model(spec: Any, path: str) -> Iterator[Name]:
    for key in ("label_key", "example_weight_key"):
        for name in [getattr(spec, key), *getattr(spec, f"{key}s").values()]:
            yield Name(f"{path}.{key}", name, "column")
    yield Name(f"{path}.signature_name", spec.signature_name, "signature")
    for name in spec.preprocessing_function_names:
        # name@feature is one of TFMA's own preprocessing functions.
        if "@" not in name:
            yield Name(f"{path}.preprocessing_function_names", name, "signature")
