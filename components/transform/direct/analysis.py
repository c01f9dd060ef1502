"""The analysis of a preprocessing_fn without a Beam pipeline: phase by phase, batch by batch.

An analyzer whose inputs depend on another's result waits for the next phase. Each phase reads the data once.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform import analyzer_nodes, annotators, graph_tools, nodes

from components.contract.errors import UserError
from components.transform.direct.analyzers import Deferred, Plan
from components.transform.direct.tracing import Tensors, Trace, tensor_reader, trace
from components.transform.preprocessing import PreprocessingFn
from components.transform.raw_examples import RawExamples
from components.upstream.tft import METADATA_DIR_NAME, trace_and_write_v2_saved_model

Sink: TypeAlias = analyzer_nodes.TensorSink


def analyze(
    preprocessing_fn: PreprocessingFn, *, first: Trace, used: RawExamples, splits: list[str], graph: Path, scratch: Path
) -> None:
    """Analyzes splits and writes TFT's `transform_fn` and `transformed_metadata`.

    Args:
        preprocessing_fn: The user's function.
        first: Its first trace, with no results known.
        used: The rows, with the features that the function looks at.
        splits: The splits to analyze.
        graph: The folder of the TransformGraph.
        scratch: A folder for temporary files.

    Raises:
        NotDirectError: An analyzer needs Beam. No row was read.
        UserError: The function cannot be traced or fails on the data.
    """
    assets = annotators.get_asset_annotations(first.graph)
    annotators.clear_asset_annotations(first.graph)
    fingerprint = graph_tools.get_analyzers_fingerprint(first.graph, first.inputs)
    known = _evaluate(preprocessing_fn, first, used, splits, scratch)
    _write(preprocessing_fn, used=used, fingerprint=fingerprint, known=known, graph=graph, scratch=scratch)
    _place_metadata(graph, assets)


def _write(
    preprocessing_fn: PreprocessingFn,
    *,
    used: RawExamples,
    fingerprint: Any,
    known: Tensors,
    graph: Path,
    scratch: Path,
) -> None:
    folder = str(graph / tft.TFTransformOutput.TRANSFORM_FN_DIR)
    try:
        trace_and_write_v2_saved_model(folder, preprocessing_fn, used.specs, str(scratch), fingerprint, known, {}, None)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"preprocessing_fn: {error}", fix="change preprocessing_fn as the message says") from error


def _place_metadata(graph: Path, assets: dict[str, str]) -> None:
    metadata = graph / tft.TFTransformOutput.TRANSFORMED_METADATA_DIR
    os.replace(graph / tft.TFTransformOutput.TRANSFORM_FN_DIR / METADATA_DIR_NAME, metadata)
    if assets:
        (metadata / tft.TFTransformOutput.ASSET_MAP).write_text(json.dumps(assets))


def _evaluate(
    preprocessing_fn: PreprocessingFn, first: Trace, used: RawExamples, splits: list[str], scratch: Path
) -> Tensors:
    """The result of every analyzer, by the name of its placeholder."""
    _plan(first, first.sinks, scratch)
    known: dict[str, Any] = {}
    traced = first
    while ready := _ready(first, known):
        plan, results = _plan(first, ready, scratch)
        _read(plan, traced, used, splits)
        known |= {sink.tensor.name: tf.constant(result(), sink.tensor.dtype) for sink, result in results}
        if len(known) < len(first.sinks):
            traced = trace(preprocessing_fn, used.specs, scratch, known)
    return known


def _ready(traced: Trace, known: Tensors) -> list[Sink]:
    """The analyzers whose results are not known yet and whose inputs are known."""
    states = [(sink.tensor, sink.tensor.name in known) for sink in traced.sinks]
    analyzer = graph_tools.InitializableGraphAnalyzer(traced.graph, traced.inputs, states)
    pending = [sink for sink in traced.sinks if sink.tensor.name not in known]
    return [sink for sink in pending if all(map(analyzer.ready_to_run, _sources(sink)))]


def _sources(sink: Sink) -> list[tf.Tensor]:
    visitor = graph_tools.SourcedTensorsVisitor()
    nodes.Traverser(visitor).visit_value_node(sink.future)
    return list(visitor.sourced_tensors)


def _plan(traced: Trace, sinks: list[Sink], scratch: Path) -> tuple[Plan, list[tuple[Sink, Deferred]]]:
    plan = Plan(traced.graph, scratch)
    traverser = nodes.Traverser(plan)
    return plan, [(sink, traverser.visit_value_node(sink.future)) for sink in sinks]


def _read(plan: Plan, traced: Trace, used: RawExamples, splits: list[str]) -> None:
    """Reads the data once and gives every accumulator the values of its tensors."""
    wanted = [(accumulator, [tensor.name for tensor in tensors]) for accumulator, tensors in plan.accumulators]
    read = tensor_reader(traced, used.read_specs, {name for _, names in wanted for name in names})
    for batch in used.tensor_batches(splits):
        values = read(batch)
        for accumulator, names in wanted:
            accumulator.add(tuple(values[name] for name in names))
