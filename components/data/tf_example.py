"""A strict check that a record is a tf.Example: protobuf silently ignores unknown fields.

A tf.SequenceExample parses as a tf.Example without its feature lists, and many other records parse as one with fewer
features, or none. This check refuses every record that would lose data when read. The messages are declared again here,
because TensorFlow's own need the whole of TensorFlow. Source: tensorflow/core/example, `example.proto` and
`feature.proto`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, unknown_fields
from google.protobuf.message import DecodeError, Message

_Field = descriptor_pb2.FieldDescriptorProto
_LISTS = {"bytes_list": _Field.TYPE_BYTES, "float_list": _Field.TYPE_FLOAT, "int64_list": _Field.TYPE_INT64}
_SHORTEST = 3
"""In bytes: a shorter record has no features."""


def first_fault(records: Iterable[bytes], *, merged: bool = False) -> tuple[int, str] | None:
    """The index of the first record that is not a tf.Example, and what is wrong with it; None if all are.

    Args:
        records: Serialized messages.
        merged: Whether a record may be empty, or several concatenated tf.Examples; the last value of a feature wins.
    """
    strict = _message(strict=True)
    for index, record in enumerate(records):
        if not _is_plain(record, strict) and (fault := _fault(record, merged=merged)):
            return index, fault
    return None


def kinds(record: bytes) -> dict[str, str]:
    """By name, the type of each feature that has one: `bytes_list`, `float_list` or `int64_list`."""
    features = _message(strict=True).FromString(record).features.feature
    return {name: kind for name in sorted(features) if (kind := features[name].WhichOneof("kind"))}


def is_framed(value: bytes) -> bool:
    """Whether bytes have the frame of a serialized tf.Example: a single field 1 that spans all bytes, or no bytes.

    Text or an image does not start with a byte 10 followed by its own length.
    """
    if not value:
        return True
    length, shift = 0, 0
    for position, byte in enumerate(value[1:11], 2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value[0] == 0x0A and position + length == len(value)
    return False


def values(record: bytes) -> dict[str, list[Any]]:
    """The values of each feature that has any, by name; none if the record is not a tf.Example."""
    try:
        features = _message(strict=True).FromString(record).features.feature
    except DecodeError:
        return {}
    return {name: list(getattr(features[name], kind).value) for name, kind in kinds(record).items()}


def _fault(record: bytes, *, merged: bool) -> str:
    try:
        example = _message(strict=False).FromString(record)
    except DecodeError:
        return "is not a tf.Example"
    return next(_faults(example, merged=merged), "")


def _is_plain(record: bytes, strict: type[Any]) -> bool:
    """Whether a record is a tf.Example as protobuf writes it: it would be shorter if parsing had dropped anything."""
    try:
        example = strict.FromString(record)
    except DecodeError:
        return False
    example.DiscardUnknownFields()
    size: int = example.ByteSize()
    return size == len(record) >= _SHORTEST


def _faults(example: Any, *, merged: bool) -> Iterator[str]:
    if any(field.field_number == 2 and isinstance(field.data, bytes) for field in _unknown(example)):
        yield "is a tf.SequenceExample, whose feature lists would be lost"
    yield from _unknown_in(example, "it")
    if merged:
        return
    if len(example.features) > 1:
        yield f"holds {len(example.features)} concatenated tf.Examples, which would become one"
    entries = [entry for features in example.features for entry in features.feature]
    if not entries:
        yield "has no features"
    names = [entry.key for entry in entries]
    yield from (f"has the feature {name!r} twice" for name in names if names.count(name) > 1)
    yield from (f"has values of two types in the feature {e.key!r}" for e in entries if len(e.value.ListFields()) > 1)


def _unknown_in(message: Message, where: str) -> Iterator[str]:
    """Fields that a tf.Example does not have, at any depth."""
    for unknown in _unknown(message):
        yield f"is not a tf.Example: {where} has a field {unknown.field_number}"
    for field, value in message.ListFields():
        if field.message_type:
            for inner in value if field.is_repeated else [value]:
                name = f"the feature {inner.key!r}" if field.name == "feature" else where
                yield from _unknown_in(inner, name)


def _unknown(message: Message) -> list[Any]:
    return list(unknown_fields.UnknownFieldSet(message))


@functools.cache
def _message(*, strict: bool) -> type[Any]:
    """The class of tf.Example. The lenient variant keeps values that protobuf drops when a later one replaces them."""
    file = descriptor_pb2.FileDescriptorProto(name="taxiway/example.proto", package="taxiway", syntax="proto3")
    for name, kind in _LISTS.items():
        _add_field(file.message_type.add(name=name), "value", 1, kind, repeated=True)
    feature = file.message_type.add(name="Feature")
    if strict:
        feature.oneof_decl.add(name="kind")
    for number, name in enumerate(_LISTS, 1):
        _add_field(feature, name, number, name, in_oneof=strict)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = strict
    _add_field(entry, "key", 1, _Field.TYPE_STRING)
    _add_field(entry, "value", 2, "Feature")
    _add_field(features, "feature", 1, "Features.FeatureEntry", repeated=True)
    _add_field(file.message_type.add(name="Example"), "features", 1, "Features", repeated=not strict)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    example: type[Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName("taxiway.Example"))
    return example


def _add_field(
    message: Any, name: str, number: int, kind: int | str, *, repeated: bool = False, in_oneof: bool = False
) -> None:
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=number, label=label)
    if isinstance(kind, str):
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".taxiway.{kind}"
    else:
        field.type = kind
    if in_oneof:
        field.oneof_index = 0
