"""Replaces names everywhere in a protobuf message."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, MutableSequence
from typing import Any

from google.protobuf.message import Message
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2

_NAMELESS = (tensor_pb2.TensorProto, tensor_shape_pb2.TensorShapeProto)


def rename(message: Message, new: Mapping[Any, Any]) -> None:
    """Replaces every string that equals one of the names, including map keys; tensors stay unchanged."""
    for field, value in message.ListFields():
        if isinstance(value, str | bytes):
            if value in new:
                setattr(message, field.name, new[value])
        else:
            _rename_within(value, new)


def _rename_within(value: Any, new: Mapping[Any, Any]) -> None:
    if isinstance(value, Message):
        if not isinstance(value, _NAMELESS):
            rename(value, new)
    elif isinstance(value, MutableMapping):
        _rename_entries(value, new)
    elif isinstance(value, MutableSequence):
        _rename_items(value, new)


def _rename_entries(found: MutableMapping[Any, Any], new: Mapping[Any, Any]) -> None:
    if any(isinstance(value, Message) for value in found.values()):
        for value in found.values():
            _rename_within(value, new)
        moved = {new[key]: _copy(found.pop(key)) for key in list(found) if key in new}
        for key, message in moved.items():
            found[key].CopyFrom(message)
    else:
        renamed = {new.get(key, key): new.get(value, value) for key, value in found.items()}
        found.clear()
        found.update(renamed)


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def _rename_items(found: MutableSequence[Any], new: Mapping[Any, Any]) -> None:
    if not isinstance(found[0], str | bytes):
        for part in found:
            _rename_within(part, new)
    elif any(item in new for item in found):
        found[:] = [new.get(item, item) for item in found]
