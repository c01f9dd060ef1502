"""A preprocessing_fn as a TensorFlow graph, and the values of its inner tensors over batches.

TFT's analyzers add to a collection of the graph (`TENSOR_REPLACEMENTS`): a placeholder for the result, and how it is
computed. Results that are known are passed to the next trace, where they replace the placeholders.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_transform import (
    analyzer_nodes,
    annotators,
    graph_context,
    graph_tools,
    nodes,
    tf2_utils,
)

from components.contract.errors import DataError, UserError
from components.transform.preprocessing import PreprocessingFn
from components.transform.raw_examples import TensorBatch
from components.upstream.tensorflow import (
    ResourceTracker,
    VariableHolder,
    WrappedFunction,
    resource_tracker_scope,
)
from components.upstream.tft import get_traced_transform_fn

Specs = Mapping[str, tf.TypeSpec]
Tensors = Mapping[str, Any]
Values = dict[str, np.ndarray]


@dataclass(frozen=True)
class Trace:
    """One trace of a preprocessing_fn.

    Attributes:
        graph: Its graph; the names of its tensors are the same in every trace.
        inputs: The graph's tensors of the features.
        outputs: The graph's tensors of the transformed features.
        resources: The lookup tables and variables that the graph uses; this object keeps them alive.
    """

    graph: tf.Graph
    inputs: Tensors
    outputs: Tensors
    resources: Sequence[Any]

    @property
    def sinks(self) -> list[analyzer_nodes.TensorSink]:
        """The results of analyzers that are not known yet."""
        return list(self.graph.get_collection(analyzer_nodes.TENSOR_REPLACEMENTS))

    def used_inputs(self) -> list[str]:
        """The features that the analysis or the transform looks at.

        Raises:
            UserError: An analyzer is called where TFT cannot trace it.
        """
        visitor = graph_tools.SourcedTensorsVisitor()
        for sink in self.sinks:
            nodes.Traverser(visitor).visit_value_node(sink.future)
        flat_outputs = tf.nest.flatten(self.outputs, expand_composites=True)
        _, effects = tf2_utils.strip_and_get_tensors_and_control_dependencies(flat_outputs)
        needed = [*visitor.sourced_tensors, *effects, *self.outputs.values()]
        try:
            return list(graph_tools.get_dependent_inputs(self.graph, self.inputs, needed))
        except ValueError as error:
            raise UserError(
                f"preprocessing_fn: {error}", fix="call analyzers outside of tf.cond, tf.while_loop and tf.function"
            ) from error


def trace(preprocessing_fn: PreprocessingFn, specs: Specs, scratch: Path, known: Tensors | None = None) -> Trace:
    """Traces a preprocessing_fn.

    Args:
        preprocessing_fn: The function.
        specs: The types of its inputs.
        scratch: A folder for the placeholders of vocabulary files.
        known: Results of analyzers, by the names of their placeholders.

    Raises:
        UserError: It cannot be traced, or examples cannot hold the type of an output.
    """
    context = graph_context.TFGraphContext(tf.Module(), str(scratch), known)
    resources = ResourceTracker()
    objects = annotators.ObjectTracker()
    variables: list[Any] = []

    def create_variable(next_creator: Callable[..., Any], **arguments: Any) -> Any:
        variables.append(next_creator(**arguments))
        return variables[-1]

    with (
        resource_tracker_scope(resources),
        annotators.object_tracker_scope(objects),
        tf.variable_creator_scope(create_variable),
    ):
        function = get_traced_transform_fn(preprocessing_fn, specs, context).get_concrete_function()
    _check(function.structured_outputs)
    return Trace(
        function.graph,
        tf2_utils.get_structured_inputs_from_func_graph(function.graph),
        function.structured_outputs,
        [resources, objects, variables, function],
    )


def _check(outputs: Tensors) -> None:
    for name, output in outputs.items():
        kind = output.dtype.name if hasattr(output, "dtype") else type(output).__name__
        if kind not in ("int64", "float32", "string"):
            raise UserError(
                f"preprocessing_fn returns {kind} as {name!r}", fix="return int64, float32 or string (tf.cast)"
            )


def evaluated(function: Callable[[Tensors], Any], batch: TensorBatch) -> Any:
    """Calls a function made from a preprocessing_fn on a batch.

    Raises:
        DataError: TensorFlow fails on these rows.
    """
    try:
        return function(batch.tensors)
    except tf.errors.OpError as error:
        # TensorFlow's message is between the stack trace of the node and the name of the node.
        said = error.message.split("[[")[0].strip().splitlines()
        raise DataError(
            f"preprocessing_fn fails on {batch.where}: {said[-1] if said else error}",
            fix="correct the rows, or make preprocessing_fn accept them",
        ) from error


def tensor_reader(traced: Trace, specs: Specs, names: Collection[str]) -> Callable[[TensorBatch], Values]:
    """A function from batches of some of the inputs to the values of the named tensors.

    Args:
        traced: A trace in which these tensors depend on inputs and known results only.
        specs: The types of the inputs that will be fed; the tensors depend on no others.
        names: The tensors' names.
    """
    ordered = sorted(set(names))
    feeds = tf.nest.flatten({name: traced.inputs[name] for name in specs}, expand_composites=True)
    fetches = [traced.graph.get_tensor_by_name(name) for name in ordered]
    pruned = WrappedFunction(traced.graph, variable_holder=VariableHolder(share_variables=True)).prune(feeds, fetches)

    # Called directly, a pruned function computes its signature on each call, at 25 times the cost of a batch.
    @tf.function(input_signature=[dict(specs)], autograph=False)  # type: ignore[untyped-decorator]
    def compiled(inputs: Tensors) -> Any:
        return pruned(*tf.nest.flatten(inputs, expand_composites=True))

    def read(batch: TensorBatch) -> Values:
        return dict(zip(ordered, map(np.asarray, evaluated(compiled, batch)), strict=True))

    return read
