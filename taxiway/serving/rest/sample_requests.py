"""Sample requests with plausible values for a model's signatures, for the server's page."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import graph_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from components.execution.pushed_models import SAVED_MODEL
from taxiway.serving import examples
from taxiway.serving.model import parsing_spec
from taxiway.serving.model.parsing_spec import Feature
from taxiway.serving.model.signatures import Signature, TensorInfo
from taxiway.serving.rest.malformed import IN_JSON

_LARGE = 200
"""Larger tensors are written as a Python expression."""

_VALUES: Mapping[str, Any] = {"b": True, "i": 1, "u": 1, "f": 0.5, "O": "text"}
_VERBS = {examples.CLASSIFY: "classify", examples.REGRESS: "regress"}


@dataclass(frozen=True)
class Sample:
    """A request: its verb, its body (JSON, or a Python expression if it is large), and a note about base64 values."""

    verb: str
    body: str
    is_large: bool = False
    note: str = ""

    def command(self, url: str) -> str:
        """The shell command that sends the request."""
        target = shlex.quote(f"{url}:{self.verb}")
        if not self.is_large:
            return f"curl -d {shlex.quote(self.body)} {target}"
        script = f"import json; print(json.dumps({self.body}))"
        return f"python3 -c {shlex.quote(script)} | curl -d @- {target}"


def graph_in(folder: Path) -> graph_pb2.GraphDef:
    """The graph of a SavedModel; an empty one if there is no saved_model.pb."""
    file = folder / SAVED_MODEL
    if not file.is_file():
        return graph_pb2.GraphDef()
    found = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    return found.meta_graphs[0].graph_def if found.meta_graphs else graph_pb2.GraphDef()


def sample(signature: Signature, graph: graph_pb2.GraphDef, is_default: bool) -> Sample | None:
    """A sample request for a signature; None if one of its types cannot be represented in JSON.

    Args:
        signature: The signature.
        graph: The model's graph, for the features that it parses from tf.Examples.
        is_default: Whether it is the default signature, which requests need not name.
    """
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    if not signature.inputs or any(info.dtype.name not in IN_JSON for info in infos):
        return None
    named = {} if is_default else {"signature_name": signature.name}
    parsed = {name: _features(info, graph) for name, info in signature.inputs.items()}
    note = next((json.dumps(each, ensure_ascii=False) for each in parsed.values() if each), "")
    if signature.method_name in _VERBS and parsed.get("inputs"):
        return Sample(_VERBS[signature.method_name], json.dumps({**named, "examples": [parsed["inputs"]]}))
    shapes = {name: _shape(info, graph) for name, info in signature.inputs.items()}
    rows = next((shape[0] for shape in shapes.values() if shape and shape[0] is not None), 1)
    sizes = {name: _sizes(shape, rows) for name, shape in shapes.items()}
    values = {name: _value(info, parsed[name]) for name, info in signature.inputs.items()}
    is_large = any(prod(each) > _LARGE for each in sizes.values())
    write = _expression if is_large else _written
    inputs = ", ".join(f"{json.dumps(name)}: {write(values[name], sizes[name])}" for name in signature.inputs)
    head = f'"signature_name": {json.dumps(signature.name)}, ' if named else ""
    return Sample("predict", f'{{{head}"inputs": {{{inputs}}}}}', is_large, note)


def _features(info: TensorInfo, graph: graph_pb2.GraphDef) -> dict[str, Any]:
    found = parsing_spec.features(graph, info.tensor) if info.dtype == object else {}
    return {name: _feature_value(feature) for name, feature in found.items()}


def _feature_value(feature: Feature) -> Any:
    value: Any = {types_pb2.DT_STRING: "text", types_pb2.DT_INT64: 1}.get(feature.type, 0.5)
    return value if feature.count == 1 else [value] * feature.count


def _value(info: TensorInfo, features: Mapping[str, Any]) -> Any:
    """A value for an input; a serialized tf.Example if the model parses the input."""
    if not features:
        return _VALUES.get(info.dtype.kind, 0)
    example = example_pb2.Example()
    for name, value in features.items():
        feature, values = example.features.feature[name], value if isinstance(value, list) else [value]
        if isinstance(values[0], str):
            feature.bytes_list.value.extend(each.encode() for each in values)
        elif isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    return {"b64": base64.b64encode(example.SerializeToString(deterministic=True)).decode()}


def _shape(info: TensorInfo, graph: graph_pb2.GraphDef) -> Sequence[int | None]:
    """The shape of an input in the graph, which is more reliable than the signature's; the signature's if unknown."""
    name, _, index = info.tensor.partition(":")
    for node in graph.node:
        if node.name == name and len(known := node.attr["_output_shapes"].list.shape) > int(index):
            shape = known[int(index)]
            if not shape.unknown_rank:
                return [None if dim.size < 0 else dim.size for dim in shape.dim]
    return [None] if info.shape is None else info.shape


def _sizes(shape: Sequence[int | None], rows: int | None) -> list[int]:
    """The shape with unknown sizes filled in: another input's number of rows, and 1 for all other dimensions."""
    return [(rows or 1 if n == 0 else 1) if size is None else size for n, size in enumerate(shape)]


def _written(value: Any, sizes: Sequence[int]) -> str:
    return json.dumps(np.full(sizes, value, object).tolist())


def _expression(value: Any, sizes: Sequence[int]) -> str:
    text = repr(value)
    for size in reversed(sizes):
        text = f"[{text}] * {size}" if size != 1 else f"[{text}]"
    return text
