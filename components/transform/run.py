"""The transform stage's work: analysis, saved graph, transformed rows, statistics before and after."""

from __future__ import annotations

import collections
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow_transform as tft
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

from components.artifacts import Artifact, Examples, whole_folder
from components.errors import UserError
from components.examples import PAYLOAD_FORMATS, SplitWriter, describe, payload_format, require_splits
from components.transform import analysis
from components.transform.analyzers import NotDirectError
from components.transform.application import Transform
from components.transform.preprocessing import PreprocessingFn, load_preprocessing_fn
from components.transform.raw_examples import RawExamples, read_schema
from components.transform.tracing import Trace, trace


@dataclass(frozen=True)
class Settings:
    """The stage's parameters; its docstring describes them."""

    module: str
    analyze_splits: list[str]
    transform_splits: list[str]
    custom_config: Mapping[str, Any]
    payload_format: str
    disable_statistics: bool
    force_beam: bool


def run(
    examples: Artifact, schema: Artifact, transform_graph: Artifact, transformed_examples: Artifact, settings: Settings
) -> None:
    """Writes both outputs, each whole or not at all.

    Raises:
        UserError: A setting, the schema or the preprocessing_fn has to change.
        DataError: The rows do not fit the schema, or make the preprocessing_fn fail.
    """
    analyzed = _analyzed_splits(examples, settings.analyze_splits)
    splits = require_splits(examples, settings.transform_splits)
    written_format = _written_format(examples, settings.payload_format)
    raw = RawExamples(examples, read_schema(schema))
    preprocessing_fn = load_preprocessing_fn(settings.module, settings.custom_config)
    with whole_folder(transform_graph.path) as graph, whole_folder(transformed_examples.path) as rows:
        used, way = _analyze(preprocessing_fn, raw, analyzed, graph, settings.force_beam)
        transformed = _written(used, graph, Examples(rows), splits, written_format)
        if settings.disable_statistics:
            collections.deque(transformed, maxlen=0)
        else:
            _write_statistics(used, analyzed, transformed, graph, settings)
    transform_graph.metadata["analysis"] = way
    describe(transformed_examples, splits, written_format)


def _analyzed_splits(examples: Artifact, wanted: list[str]) -> list[str]:
    if not wanted:
        raise UserError("analyze_splits is empty", mend="name the splits to analyse, such as ['train']")
    return require_splits(examples, wanted)


def _written_format(examples: Artifact, wanted: str) -> str:
    if wanted and wanted not in PAYLOAD_FORMATS:
        raise UserError(f"there is no payload_format {wanted!r}", mend=f"use one of {', '.join(PAYLOAD_FORMATS)}")
    return wanted or payload_format(examples)


def _analyze(
    preprocessing_fn: PreprocessingFn, raw: RawExamples, splits: list[str], graph: Path, force_beam: bool
) -> tuple[RawExamples, str]:
    """Writes the graph; returns the rows with the features that it looks at, and which way was taken."""
    with tempfile.TemporaryDirectory(prefix="transform-") as folder:
        scratch = Path(folder)
        first = trace(preprocessing_fn, raw.specs, scratch)
        used = raw.of(first.used_inputs())
        way = _analyze_some_way(preprocessing_fn, first, used, splits, graph, scratch, force_beam)
    metadata = dataset_metadata.DatasetMetadata(raw.schema)
    metadata_io.write_metadata(metadata, str(graph / tft.TFTransformOutput.RAW_METADATA_DIR))
    return used, way


def _analyze_some_way(
    preprocessing_fn: PreprocessingFn,
    first: Trace,
    used: RawExamples,
    splits: list[str],
    graph: Path,
    scratch: Path,
    force_beam: bool,
) -> str:
    reason = "force_beam is set"
    if not force_beam:
        try:
            analysis.analyze(preprocessing_fn, first, used, splits, graph, scratch)
        except NotDirectError as node:
            reason = f"{node} is not evaluated directly"
        else:
            print("transform: analysed directly, without Beam", flush=True)
            return "direct"
    # Beam takes seconds to import.
    from components.transform import beam_analysis

    print(f"transform: analysed by TFT on Beam, because {reason}", flush=True)
    beam_analysis.analyze(preprocessing_fn, used, splits, graph, scratch)
    return "beam"


def _written(
    used: RawExamples, graph: Path, target: Examples, splits: list[str], written_format: str
) -> Iterator[pa.RecordBatch]:
    """Transforms splits, writes them, and passes the rows on."""
    transform = Transform(graph, used)
    for split in splits:
        with SplitWriter(target, split, written_format) as writer:
            for batch in used.tensor_batches([split]):
                after = transform(batch)
                writer.write(transform.as_features(after))
                yield after


def _write_statistics(
    used: RawExamples, analyzed: list[str], transformed: Iterable[pa.RecordBatch], graph: Path, settings: Settings
) -> None:
    # TFDV loads Beam.
    from components.transform import statistics

    update = statistics.load_options_updater(settings.module, settings.custom_config)
    before = itertools.chain.from_iterable(map(used.batches, analyzed))
    statistics.write_before(before, used.schema, graph, update)
    statistics.write_after(transformed, graph, update)
