"""Checks, with TensorFlow's shape inference, whether a graph accepts inputs whose ranks differ from its signature's.

Some kernels do not check the rank (oneDNN's convolutions) and crash the process.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from taxiway.serving.model.signatures import Arrays, Signature

MOST_KNOWN = 1000
"""Combinations of ranks that are cached per model; clients choose them, so there is a limit."""


def of(inputs: Arrays, signature: Signature) -> tuple[int, ...]:
    """The ranks of the inputs, in the signature's order."""
    return tuple(inputs[name].ndim for name in signature.inputs)


def refusal(graph: tf.Graph, signature: Signature, ranks: tuple[int, ...]) -> str:
    """TensorFlow's error for inputs of these ranks and unknown sizes; "" if there is none.

    Args:
        graph: The model's graph.
        signature: The signature that takes the inputs.
        ranks: As returned by `of`.
    """
    outputs = [info.tensor for info in signature.outputs.values()]
    definition = tf.compat.v1.graph_util.extract_sub_graph(
        graph.as_graph_def(), [tensor.partition(":")[0] for tensor in outputs]
    )
    used = _used(definition)
    with tf.Graph().as_default():
        given = {
            info.tensor: tf.compat.v1.placeholder(tf.as_dtype(info.type), [None] * rank)
            for info, rank in zip(signature.inputs.values(), ranks, strict=True)
            if info.tensor in used
        }
        try:
            tf.graph_util.import_graph_def(definition, given, outputs)
        except ValueError as error:
            return str(error)
    return ""


def _used(definition: graph_pb2.GraphDef) -> set[str]:
    """The tensors that are inputs of other operations."""
    names = {name for node in definition.node for name in node.input if not name.startswith("^")}
    return {name if ":" in name else f"{name}:0" for name in names}
