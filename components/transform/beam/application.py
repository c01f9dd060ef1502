"""A saved transform graph applied to rows by TFT on Beam."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.contract.artifacts import Examples
from components.data import beam_examples
from components.transform.beam.analysis import with_statistics
from components.transform.direct.application import FeatureForm
from components.transform.raw_examples import RawExamples

_WHAT = "the transform"


def transform(
    raw: RawExamples,
    *,
    graph: Path,
    target: Examples,
    splits: list[str],
    written_format: str,
    scratch: Path,
    beam_pipeline_args: Sequence[str] = (),
    options: tfdv.StatsOptions | None = None,
) -> statistics_pb2.DatasetFeatureStatisticsList | None:
    """Transforms and writes splits in one pipeline.

    Args:
        raw: The rows.
        graph: The folder of the TransformGraph.
        target: Where the transformed rows go.
        splits: The splits to transform.
        written_format: `parquet` or `tf_example`.
        scratch: A folder for temporary files.
        beam_pipeline_args: Beam's pipeline options; the workers see all folders.
        options: TFDV's options, for statistics of all transformed rows; none by default.

    Raises:
        DataError: The rows do not fit the schema, or make the preprocessing_fn fail.
    """

    def write(begin: beam.Pipeline) -> beam.PCollection:
        with tft_beam.Context(temp_dir=str(scratch)):
            transform_fn = begin | "Graph" >> tft_beam.ReadTransformFn(str(graph))
            written = [
                _split(
                    begin,
                    raw=raw,
                    transform_fn=transform_fn,
                    form=form,
                    target=target,
                    split=name,
                    written_format=written_format,
                )
                for name in splits
            ]
        return written | "Transformed" >> beam.Flatten()

    form = FeatureForm(tft.TFTransformOutput(str(graph)).transformed_metadata.schema)
    if options is None:
        beam_examples.run(write, beam_pipeline_args, _WHAT)
        return None
    return with_statistics(write, beam_pipeline_args, _WHAT, scratch, options)


def _split(
    begin: beam.Pipeline,
    *,
    raw: RawExamples,
    transform_fn: tuple[beam.PCollection, tft.DatasetMetadata],
    form: FeatureForm,
    target: Examples,
    split: str,
    written_format: str,
) -> beam.PCollection:
    """Writes a split, and returns its transformed rows."""
    rows = begin | f"Read {split}" >> beam_examples.Read(raw.examples, split, raw.piece_batches)
    apply = tft_beam.TransformDataset(output_record_batches=True)
    pairs, _ = ((rows, raw.adapter_config), transform_fn) | f"Transform {split}" >> apply
    transformed = pairs | f"Batches {split}" >> beam.Map(lambda pair: pair[0]).with_output_types(pa.RecordBatch)
    _ = (
        transformed
        | f"Features {split}" >> beam.Map(form).with_output_types(pa.RecordBatch)
        | f"Write {split}" >> beam_examples.Write(target, split, written_format, form.arrow_schema)
    )
    return transformed
