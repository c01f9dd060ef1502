"""What training logged for TensorBoard: scalars by step, and the layers of a Keras model."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from components.contract.errors import DataError
from components.data import tfrecord
from components.reports.readers.protos import event_pb2, types_pb2

_FILES = "events.out.tfevents.*"
_MODEL = "graph_keras_model"
"""The plugin of TensorBoard that shows a Keras model."""

_FORMATS = {
    types_pb2.DT_FLOAT: ("<f", "float_val"),
    types_pb2.DT_DOUBLE: ("<d", "double_val"),
    types_pb2.DT_HALF: ("<e", ""),
    types_pb2.DT_INT32: ("<i", "int_val"),
    types_pb2.DT_INT64: ("<q", "int64_val"),
}


@dataclass(frozen=True)
class Layer:
    """A layer of a Keras model.

    Attributes:
        name: Its name.
        kind: Its class.
        settings: Those of its settings that are plain values and not Keras' defaults, as far as that can be told.
        inputs: The layers before it.
    """

    name: str
    kind: str
    settings: dict[str, Any]
    inputs: list[str]


@dataclass
class Logs:
    """What event files hold.

    Attributes:
        scalars: Values by tag, then by the folder of the event files (`train`), then by step.
        layers: The layers of the model that was logged, in its order.
        damaged: Files that could be read only up to some record, and why.
    """

    scalars: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def read(folder: Path) -> Logs:
    """The logs in a folder and below it; of several values for one step, the last counts."""
    logs = Logs()
    for file in sorted(folder.rglob(_FILES)):
        run = "training" if file.parent == folder else file.parent.relative_to(folder).as_posix()
        try:
            for record in tfrecord.read_records(file):
                _add(logs, run, event_pb2.Event.FromString(record))
        except (DataError, DecodeError, OSError) as error:
            # A trainer that was killed leaves a last record that is not whole.
            logs.damaged.append(str(error))
    return logs


def _add(logs: Logs, run: str, event: Any) -> None:
    for value in event.summary.value:
        if value.metadata.plugin_data.plugin_name == _MODEL:
            logs.layers = logs.layers or _layers(value)
        elif (number := _scalar(value)) is not None:
            logs.scalars.setdefault(value.tag, {}).setdefault(run, {})[event.step] = number


def _scalar(value: Any) -> float | None:
    """A summary's value, if it is one number."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    tensor = value.tensor
    if not value.HasField("tensor") or tensor.dtype not in _FORMATS:
        return None
    if math.prod(dim.size for dim in tensor.tensor_shape.dim) != 1:
        return None
    format_, name = _FORMATS[tensor.dtype]
    if len(tensor.tensor_content) == struct.calcsize(format_):
        return float(struct.unpack(format_, tensor.tensor_content)[0])
    values = getattr(tensor, name) if name else []
    return float(values[0]) if values else None


def _layers(value: Any) -> list[Layer]:
    try:
        config = json.loads(value.tensor.string_val[0])
        return [_layer(each) for each in config["config"]["layers"]]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return []


def _layer(each: dict[str, Any]) -> Layer:
    config = each.get("config", {})
    name = str(each.get("name") or config.get("name") or "")
    return Layer(name, str(each["class_name"]), dict(_settings(config)), list(dict.fromkeys(_inputs(each))))


def _settings(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        is_plain = isinstance(value, (bool, int, float, str))
        if name not in _USUAL and is_plain and value not in (False, "linear") and not (name == "use_bias" and value):
            yield name, value


_USUAL = ("name", "trainable", "dtype", "batch_input_shape", "ragged", "sparse", "optional")


def _inputs(each: dict[str, Any]) -> Iterator[str]:
    """The names of layers in `inbound_nodes`: `[[[name, 0, 0, {}], ...]]`, or with `keras_history` since Keras 3."""
    pending = list(each.get("inbound_nodes") or [])
    while pending:
        item = pending.pop(0)
        if isinstance(item, dict) and item.get("keras_history"):
            yield str(item["keras_history"][0])
        elif isinstance(item, dict):
            pending = [*item.values(), *pending]
        elif isinstance(item, list) and item and isinstance(item[0], str):
            yield item[0]
        elif isinstance(item, list):
            pending = [*item, *pending]
