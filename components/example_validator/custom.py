"""Custom validations: conditions on statistics, in a text proto of TFDV's CustomValidationConfig.

Earlier versions of TFDV evaluated them with GoogleSQL; 1.21 has neither the proto nor the evaluator. So the message is
declared here with the same fields, and SQLite evaluates the conditions (see conditions.py).
Source: tensorflow_data_validation/anomalies/proto/custom_validation_config.proto and custom_validation.cc of 1.14.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from tensorflow_data_validation import constants
from tensorflow_metadata.proto.v0 import anomalies_pb2, path_pb2, statistics_pb2

from components.contract.errors import UserError
from components.data.protos import parse_text
from components.example_validator.conditions import ConditionError, holds, nearest

Statistics: TypeAlias = statistics_pb2.DatasetFeatureStatisticsList

_PACKAGE = "taxiway"
_PATH = f".{path_pb2.Path.DESCRIPTOR.full_name}"
_SEVERITY = f".{anomalies_pb2.AnomalyInfo.DESCRIPTOR.full_name}.Severity"
_OPTIONAL = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
_REPEATED = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED

# Message: its fields in the order of their numbers, each with its type (string by default) and whether it repeats.
_MESSAGES = {
    "Validation": [
        ("sql_expression", "", _OPTIONAL),
        ("severity", _SEVERITY, _OPTIONAL),
        ("description", "", _OPTIONAL),
        ("in_environment", "", _REPEATED),
    ],
    "FeatureValidation": [
        ("dataset_name", "", _OPTIONAL),
        ("feature_path", _PATH, _OPTIONAL),
        ("validations", f".{_PACKAGE}.Validation", _REPEATED),
    ],
    "FeaturePairValidation": [
        ("dataset_name", "", _OPTIONAL),
        ("base_dataset_name", "", _OPTIONAL),
        ("feature_test_path", _PATH, _OPTIONAL),
        ("feature_base_path", _PATH, _OPTIONAL),
        ("validations", f".{_PACKAGE}.Validation", _REPEATED),
    ],
    "CustomValidationConfig": [
        ("feature_validations", f".{_PACKAGE}.FeatureValidation", _REPEATED),
        ("feature_pair_validations", f".{_PACKAGE}.FeaturePairValidation", _REPEATED),
    ],
}


@functools.cache
def _config_class() -> type[Message]:
    file = descriptor_pb2.FileDescriptorProto(name="taxiway/custom_validation_config.proto", package=_PACKAGE)
    file.dependency.extend([anomalies_pb2.DESCRIPTOR.name, path_pb2.DESCRIPTOR.name])
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, label) in enumerate(fields, 1):
            message.field.add(name=field, number=number, label=label, **_typed(kind))
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    config: type[Message] = message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{_PACKAGE}.CustomValidationConfig")
    )
    return config


def _typed(kind: str) -> dict[str, Any]:
    types = descriptor_pb2.FieldDescriptorProto
    if not kind:
        return {"type": types.TYPE_STRING}
    return {"type": types.TYPE_ENUM if kind == _SEVERITY else types.TYPE_MESSAGE, "type_name": kind}


def validate(
    file: Path, current: Statistics, base: Statistics | None, environment: str, anomalies: anomalies_pb2.Anomalies
) -> None:
    """Adds an anomaly for every condition that does not hold.

    Args:
        file: The custom validations.
        current: The statistics to validate.
        base: What pairs compare with.
        environment: Conditions that name environments are checked in these only.
        anomalies: The found anomalies are added to it.

    Raises:
        DataError: The file is not a CustomValidationConfig; names the line.
        UserError: A condition names a feature, slice or statistic that does not exist, or is not a condition.
    """
    config: Any = parse_text(file, _config_class()())
    for feature, about, bound, check in _checks(config, current, base):
        if check.in_environment and environment not in check.in_environment:
            continue
        try:
            if not holds(check.sql_expression, bound):
                _add(anomalies, feature, check, about)
        except ConditionError as error:
            raise UserError(f"{file}: the validation {check.sql_expression!r} {error}", fix=error.fix) from error


def _checks(config: Any, current: Statistics, base: Statistics | None) -> Iterator[tuple[Any, str, dict, Any]]:
    """Each condition with the feature it is about, a description of the data, and the values of its names."""
    for single in config.feature_validations:
        bound = {"feature": _feature(current, single.dataset_name, single.feature_path)}
        for check in single.validations:
            yield single.feature_path, single.dataset_name or "all rows", bound, check
    if config.feature_pair_validations and base is None:
        raise UserError(
            "feature_pair_validations compare with other statistics, but none were given",
            fix="give previous_statistics or serving_statistics",
        )
    for pair in config.feature_pair_validations:
        bound = {
            "feature_test": _feature(current, pair.dataset_name, pair.feature_test_path),
            "feature_base": _feature(base, pair.base_dataset_name, pair.feature_base_path),
        }
        about = f"{pair.dataset_name or 'all rows'}, compared with {_name(pair.feature_base_path)}"
        for check in pair.validations:
            yield pair.feature_test_path, about, bound, check


def _name(path: path_pb2.Path) -> str:
    return ".".join(path.step)


def _feature(statistics: Any, dataset: str, path: path_pb2.Path) -> statistics_pb2.FeatureNameStatistics:
    datasets = {found.name: found for found in statistics.datasets}
    whole = datasets.get("") or datasets.get(constants.DEFAULT_SLICE_KEY)
    wanted = datasets.get(dataset) if dataset else whole
    if wanted is None:
        raise UserError(f"custom validations name the slice {dataset!r}", fix=f"there are {', '.join(datasets)}")
    features = {_name(feature.path) or feature.name: feature for feature in wanted.features}
    if _name(path) not in features:
        raise UserError(f"custom validations name the feature {_name(path)!r}", fix=nearest(_name(path), features))
    return features[_name(path)]


def _add(anomalies: anomalies_pb2.Anomalies, path: path_pb2.Path, check: Any, about: str) -> None:
    info = anomalies.anomaly_info[_name(path)]
    info.path.CopyFrom(path)
    info.severity = max(info.severity, check.severity)
    info.reason.add(
        type=anomalies_pb2.AnomalyInfo.CUSTOM_VALIDATION,
        short_description=check.description,
        description=f"{check.sql_expression} does not hold for {about}",
    )
    info.short_description = check.description if len(info.reason) == 1 else "Multiple errors"
    info.description = " ".join(reason.description for reason in info.reason)
