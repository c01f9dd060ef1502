"""Reads from a model's graph which features it parses from serialized tf.Examples.

Follows an input forward, through function calls, to the operation that parses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2

_PASSING = ("Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "Placeholder", "PlaceholderWithDefault")
_MOST_CALLS = 50
"""Maximum depth of nested function calls."""


@dataclass(frozen=True)
class Feature:
    """A feature of a tf.Example: its TensorFlow data type and its number of values."""

    type: int
    count: int = 1


def features(graph: graph_pb2.GraphDef, tensor: str) -> dict[str, Feature]:
    """The features that are parsed from a tensor of serialized tf.Examples; none if nothing parses it."""
    functions = {each.signature.name: each for each in graph.library.function}
    return next(_parsed(graph.node, tensor.partition(":")[0], functions, 0), {})


def _parsed(
    nodes: Sequence[node_def_pb2.NodeDef], start: str, functions: Mapping[str, Any], depth: int
) -> Iterator[dict[str, Feature]]:
    by_name = {node.name: node for node in nodes}
    reached, queue = {start}, [start]
    while queue:
        name = queue.pop()
        for node in nodes:
            indices = [n for n, each in enumerate(node.input) if _operation(each) == name]
            if indices and node.op in ("ParseExample", "ParseExampleV2") and 0 in indices:
                yield _spec(node, by_name)
            elif indices and node.op in _PASSING and node.name not in reached:
                reached.add(node.name)
                queue.append(node.name)
            elif indices and depth < _MOST_CALLS and (called := functions.get(node.attr["f"].func.name)):
                for index in indices:
                    yield from _parsed(called.node_def, called.signature.input_arg[index].name, functions, depth + 1)


def _operation(name: str) -> str:
    return name.partition(":")[0]


def _spec(node: node_def_pb2.NodeDef, nodes: Mapping[str, node_def_pb2.NodeDef]) -> dict[str, Feature]:
    found: dict[str, Feature] = {}
    for keys, types, shapes in _lists(node, nodes):
        for key, kind, shape in zip(keys, types, shapes, strict=True):
            found[key] = Feature(kind, prod(max(dim.size, 1) for dim in shape.dim) if shape else 1)
    return dict(sorted(found.items()))


def _lists(node: node_def_pb2.NodeDef, nodes: Mapping[str, node_def_pb2.NodeDef]) -> Iterator[tuple[Any, Any, Any]]:
    """Names, types and shapes of the sparse, ragged and dense features."""
    attributes = node.attr
    dense = attributes["Tdense"].list.type
    if node.op == "ParseExample":
        sparse = attributes["sparse_types"].list.type
        keys = [_constant(nodes, name) for name in node.input[2 : 2 + len(sparse) + len(dense)]]
        sparse_keys, dense_keys = keys[: len(sparse)], keys[len(sparse) :]
    else:
        sparse = attributes["sparse_types"].list.type
        sparse_keys, dense_keys, ragged_keys = (_constant(nodes, name) for name in node.input[2:5])
        ragged = attributes["ragged_value_types"].list.type
        yield _texts(ragged_keys), ragged, [None] * len(ragged)
    yield _texts(sparse_keys), sparse, [None] * len(sparse)
    yield _texts(dense_keys), dense, attributes["dense_shapes"].list.shape


def _texts(keys: Any) -> list[str]:
    return [bytes(key).decode(errors="replace") for key in np.array(keys, object).reshape(-1)]


def _constant(nodes: Mapping[str, node_def_pb2.NodeDef], name: str) -> Any:
    """The value of a constant; empty if the node is not one."""
    node = nodes.get(_operation(name))
    while node is not None and node.op in _PASSING and node.input:
        node = nodes.get(_operation(node.input[0]))
    found = node is not None and node.op == "Const"
    return tf.make_ndarray(node.attr["value"].tensor) if node is not None and found else np.empty(0, object)
