"""The transform stage's work: analysis, saved graph, transformed rows, statistics before and after."""

from __future__ import annotations

import collections
import itertools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow_transform as tft
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

from components.contract.artifacts import Artifact, Examples
from components.contract.errors import UserError
from components.contract.files import whole_folder
from components.data.beam_engine import uses_beam
from components.data.examples import PAYLOAD_FORMATS, SplitWriter, describe, require_splits, written_format
from components.reproducible.saved_model import make_reproducible
from components.transform.direct import analysis
from components.transform.direct.analyzers import NotDirectError
from components.transform.direct.application import Transform
from components.transform.direct.tracing import Trace, trace
from components.transform.preprocessing import PreprocessingFn, load_preprocessing_fn
from components.transform.raw_examples import RawExamples, read_schema


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The stage's parameters; its docstring describes them."""

    module: str
    analyze_splits: list[str]
    transform_splits: list[str]
    custom_config: Mapping[str, Any]
    payload_format: str
    disable_statistics: bool
    engine: str
    beam_pipeline_args: list[str]


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What to do with which rows, and the folders to write in.

    Attributes:
        preprocessing_fn: The user's function.
        first: Its first trace.
        rows: The rows, with the features that it looks at.
        analyzed: The splits to analyze.
        transformed: The splits to transform.
        graph: The folder of the TransformGraph.
        target: Where the transformed rows go.
        written_format: Their payload format.
        scratch: For temporary files.
    """

    preprocessing_fn: PreprocessingFn
    first: Trace
    rows: RawExamples
    analyzed: list[str]
    transformed: list[str]
    graph: Path
    target: Examples
    written_format: str
    scratch: Path


def run(
    examples: Artifact, schema: Artifact, transform_graph: Artifact, transformed_examples: Artifact, settings: Settings
) -> None:
    """Writes both outputs, each whole or not at all.

    Raises:
        UserError: A setting, the schema or the preprocessing_fn has to change.
        DataError: The rows do not fit the schema, or make the preprocessing_fn fail.
    """
    on_beam = uses_beam(settings.engine, settings.beam_pipeline_args)
    analyzed = _analyzed_splits(examples, settings.analyze_splits)
    splits = require_splits(examples, settings.transform_splits)
    written_format = _written_format(examples, settings.payload_format)
    raw = RawExamples(examples, read_schema(schema))
    preprocessing_fn = load_preprocessing_fn(settings.module, settings.custom_config)
    # Workers on other machines see the output folders, but not this machine's temporary folder.
    shared = {"dir": transform_graph.path.parent, "prefix": ".transform-"} if on_beam else {"prefix": "transform-"}
    with (
        tempfile.TemporaryDirectory(**shared) as scratch,
        whole_folder(transform_graph.path) as graph,
        whole_folder(transformed_examples.path) as target,
    ):
        first = trace(preprocessing_fn, raw.specs, Path(scratch))
        task = _Task(
            preprocessing_fn=preprocessing_fn,
            first=first,
            rows=raw.of(first.used_inputs()),
            analyzed=analyzed,
            transformed=splits,
            graph=graph,
            target=Examples(target),
            written_format=written_format,
            scratch=Path(scratch),
        )
        transform_graph.metadata["analysis"] = _on_beam(task, settings) if on_beam else _directly(task, settings)
    describe(transformed_examples, splits, written_format)


def _analyzed_splits(examples: Artifact, wanted: list[str]) -> list[str]:
    if not wanted:
        raise UserError("analyze_splits is empty", fix="name the splits to analyze, such as ['train']")
    return require_splits(examples, wanted)


def _written_format(examples: Artifact, wanted: str) -> str:
    if wanted and wanted not in PAYLOAD_FORMATS:
        raise UserError(f"there is no payload_format {wanted!r}", fix=f"use one of {', '.join(PAYLOAD_FORMATS)}")
    return wanted or written_format(examples)


def _complete_graph(task: _Task) -> None:
    make_reproducible(task.graph / tft.TFTransformOutput.TRANSFORM_FN_DIR, task.scratch)
    metadata = dataset_metadata.DatasetMetadata(task.rows.schema)
    metadata_io.write_metadata(metadata, str(task.graph / tft.TFTransformOutput.RAW_METADATA_DIR))


def _directly(task: _Task, settings: Settings) -> str:
    """Does the work batch by batch in this process; returns which engine analyzed the data."""
    way = _analyze(task)
    _complete_graph(task)
    transformed = _written(task)
    if settings.disable_statistics:
        collections.deque(transformed, maxlen=0)
    else:
        _write_statistics(task, transformed, settings)
    return way


def _analyze(task: _Task) -> str:
    try:
        analysis.analyze(
            task.preprocessing_fn,
            first=task.first,
            used=task.rows,
            splits=task.analyzed,
            graph=task.graph,
            scratch=task.scratch,
        )
    except NotDirectError as node:
        reason = f"{node} is not evaluated directly"
    else:
        print("transform: analyzed directly, without Beam", flush=True)
        return "direct"
    # Beam takes seconds to import.
    from components.transform.beam import analysis as beam_analysis

    print(f"transform: analyzed by TFT on Beam, because {reason}", flush=True)
    beam_analysis.analyze(
        task.preprocessing_fn, raw=task.rows, splits=task.analyzed, graph=task.graph, scratch=task.scratch
    )
    return "beam"


def _written(task: _Task) -> Iterator[pa.RecordBatch]:
    """Transforms splits, writes them, and passes the rows on."""
    transform = Transform(task.graph, task.rows)
    for split in task.transformed:
        with SplitWriter(task.target, split, task.written_format) as writer:
            for batch in task.rows.tensor_batches([split]):
                after = transform(batch)
                writer.write(transform.as_features(after))
                yield after


def _write_statistics(task: _Task, transformed: Iterator[pa.RecordBatch], settings: Settings) -> None:
    # TFDV loads Beam.
    from components.statistics_gen.compute import statistics as computed
    from components.transform import statistics

    update = statistics.load_options_updater(settings.module, settings.custom_config)
    before = itertools.chain.from_iterable(map(task.rows.batches, task.analyzed))
    options = statistics.options_before(task.rows.schema, update)
    statistics.write_before(computed(before, options), options, task.graph)
    options = statistics.options_after(task.graph, update)
    statistics.write_after(computed(transformed, options), options, task.graph)


def _on_beam(task: _Task, settings: Settings) -> str:
    """Does the work in two pipelines: one up to the graph, and one that applies it."""
    from components.transform import statistics
    from components.transform.beam import analysis as beam_analysis
    from components.transform.beam import application as beam_application

    counted = not settings.disable_statistics
    arguments = settings.beam_pipeline_args
    update = statistics.load_options_updater(settings.module, settings.custom_config)
    options = statistics.options_before(task.rows.schema, update) if counted else None
    before = beam_analysis.analyze(
        task.preprocessing_fn,
        raw=task.rows,
        splits=task.analyzed,
        graph=task.graph,
        scratch=task.scratch,
        beam_pipeline_args=arguments,
        options=options,
    )
    _complete_graph(task)
    if before:
        statistics.write_before(before, options, task.graph)
    options = statistics.options_after(task.graph, update) if counted else None
    after = beam_application.transform(
        task.rows,
        graph=task.graph,
        target=task.target,
        splits=task.transformed,
        written_format=task.written_format,
        scratch=task.scratch,
        beam_pipeline_args=arguments,
        options=options,
    )
    if after:
        statistics.write_after(after, options, task.graph)
    return "beam"
