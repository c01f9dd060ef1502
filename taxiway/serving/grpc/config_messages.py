"""TF Serving's configuration messages, including those and the fields that tensorflow-serving-api lacks.

Fields that are not implemented are accepted, with a warning that they have no effect.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message
from tensorflow_serving.config import model_server_config_pb2

NO_EFFECT = {
    "tensorflow.serving.LoggingConfig.custom_logging_config": "custom loggers are not supported",
    "tensorflow.serving.SamplingConfig.attributes": "a record has the request and the response only",
    "tensorflow.serving.SamplingConfig.per_task_sampling_configs": "sampling_rate applies to all requests",
}
"""The fields without effect, and why."""

_KIND = descriptor_pb2.FieldDescriptorProto
_WRAPPERS = ("Int64Value", "BoolValue", "StringValue")
_TYPES = {"bool": _KIND.TYPE_BOOL, "int32": _KIND.TYPE_INT32, "int64": _KIND.TYPE_INT64}
_TYPES |= {"double": _KIND.TYPE_DOUBLE, "string": _KIND.TYPE_STRING}

_BATCHING = {
    "max_batch_size": "Int64Value",
    "batch_timeout_micros": "Int64Value",
    "max_enqueued_batches": "Int64Value",
    "num_batch_threads": "Int64Value",
    "thread_pool_name": "StringValue",
    "allowed_batch_sizes": "repeated int64",
    "pad_variable_length_inputs": "bool",
    "enable_large_batch_splitting": "BoolValue",
    "max_execution_batch_size": "Int64Value",
}
_MONITORING = {"PrometheusConfig": {"enable": "bool", "path": "string"}}
_MONITORING["MonitoringConfig"] = {"prometheus_config": "PrometheusConfig"}
_PER_TASK = {"dc": "string", "task_index": "int32", "sampling_rate": "double"}


@functools.cache
def batching_parameters() -> type[Message]:
    """BatchingParameters (TF Serving's session_bundle_config.proto)."""
    return _made("BatchingParameters", {"BatchingParameters": _BATCHING})


@functools.cache
def monitoring_config() -> type[Message]:
    """MonitoringConfig (TF Serving's monitoring_config.proto)."""
    return _made("MonitoringConfig", _MONITORING)


@functools.cache
def model_server_config() -> type[Message]:
    """ModelServerConfig, with the fields of SamplingConfig that tensorflow-serving-api lacks."""
    pool = descriptor_pool.DescriptorPool()
    for file in _with_dependencies(model_server_config_pb2.DESCRIPTOR):
        copy = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(copy)
        if file.name == "tensorflow_serving/config/logging_config.proto":
            _add_per_task_sampling(copy)
        pool.Add(copy)
    return _class(pool, "ModelServerConfig")


def without_effect(message: Message) -> Iterator[str]:
    """The fields without effect that are set in a message or its submessages, with the reasons."""
    for field, value in message.ListFields():
        if why := NO_EFFECT.get(field.full_name):
            yield f"{field.name} has no effect: {why}"
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                yield from without_effect(each)


def _made(name: str, messages: dict[str, dict[str, str]]) -> type[Message]:
    """The class of one of these messages. Field numbers are arbitrary: the text format uses only names."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"taxiway/{name}.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for each, fields in messages.items():
        _add_fields(file.message_type.add(name=each), fields)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return _class(pool, name)


def _class(pool: descriptor_pool.DescriptorPool, name: str) -> type[Message]:
    found: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))
    return found


def _add_fields(message: descriptor_pb2.DescriptorProto, fields: dict[str, str]) -> None:
    for number, (name, kind) in enumerate(fields.items(), start=1):
        label = _KIND.LABEL_REPEATED if kind.startswith("repeated ") else _KIND.LABEL_OPTIONAL
        added = message.field.add(name=name, number=number, label=label)
        kind = kind.removeprefix("repeated ")
        if kind in _TYPES:
            added.type = _TYPES[kind]
        else:
            added.type = _KIND.TYPE_MESSAGE
            added.type_name = f".google.protobuf.{kind}" if kind in _WRAPPERS else f".tensorflow.serving.{kind}"


def _add_per_task_sampling(file: descriptor_pb2.FileDescriptorProto) -> None:
    [sampling] = [each for each in file.message_type if each.name == "SamplingConfig"]
    if not any(field.name == "per_task_sampling_configs" for field in sampling.field):
        _add_fields(file.message_type.add(name="PerTaskSamplingConfig"), _PER_TASK)
        added = sampling.field.add(name="per_task_sampling_configs", number=3, label=_KIND.LABEL_REPEATED)
        added.type, added.type_name = _KIND.TYPE_MESSAGE, ".tensorflow.serving.PerTaskSamplingConfig"


def _with_dependencies(file: FileDescriptor, seen: dict[str, Any] | None = None) -> list[FileDescriptor]:
    found = {} if seen is None else seen
    for each in file.dependencies:
        if each.name not in found:
            _with_dependencies(each, found)
    found[file.name] = file
    return list(found.values())
