"""Whether a graph takes inputs of other ranks than its signature says, by TensorFlow's own shape inference.

Some operations do not look at the rank before they compute (convolutions of oneDNN), and end the whole process.
"""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from taxiway.serving.model.signatures import Arrays, Signature

MOST_KNOWN = 1000
"""Combinations of ranks that are remembered for a model; clients choose them."""


def of(inputs: Arrays, signature: Signature) -> tuple[int, ...]:
    """The ranks of inputs, in the signature's order."""
    return tuple(inputs[name].ndim for name in signature.inputs)


def refusal(graph: tf.Graph, signature: Signature, ranks: tuple[int, ...]) -> str:
    """What TensorFlow says against inputs of such ranks and of any size; "" where it says nothing.

    Args:
        graph: The model's.
        signature: Whose inputs they are.
        ranks: As `of` has them.
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
    """The tensors that are another operation's inputs."""
    names = {name for node in definition.node for name in node.input if not name.startswith("^")}
    return {name if ":" in name else f"{name}:0" for name in names}
