"""TFDV's statistics on Beam, for what the direct engine does not support."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import tensorflow_data_validation as tfdv
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.contract.artifacts import Artifact
from components.data import beam_examples


def of_split(
    examples: Artifact, split: str, options: tfdv.StatsOptions, beam_pipeline_args: Sequence[str], beside: Path
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Runs `tfdv.GenerateStatistics` over a split that the workers read themselves.

    Args:
        examples: The rows.
        split: The split's name.
        options: TFDV's options.
        beam_pipeline_args: Beam's pipeline options.
        beside: A path beside which the workers may write.
    """
    columns = list(options.feature_allowlist) if options.feature_allowlist else None

    def build(begin: beam.Pipeline) -> beam.PCollection:
        rows = begin | "Read" >> beam_examples.Read(examples, split, columns=columns)
        return (
            rows
            | "Statistics" >> tfdv.GenerateStatistics(options)
            | "Merge" >> tfdv.MergeDatasetFeatureStatisticsList()
        )

    (result,) = beam_examples.collect(build, beam_pipeline_args, f"the statistics of {split}", beside)
    return result  # type: ignore[no-any-return]


def statistics(
    batches: Iterable[pa.RecordBatch], options: tfdv.StatsOptions
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Runs `tfdv.GenerateStatistics` on Beam's in-process runner.

    The batches go through files: a pipeline that contains the data takes more memory and time than everything else.
    """
    with tempfile.TemporaryDirectory(prefix="taxiway-statistics-") as folder:
        files = [_spooled(batch, Path(folder, f"{number}.arrow")) for number, batch in enumerate(batches)]
        result = Path(folder, "statistics")
        with beam.Pipeline(runner=FnApiRunner()) as pipeline:
            (
                pipeline
                | "Files" >> beam.Create(files)
                | "Read" >> beam.Map(_read).with_output_types(pa.RecordBatch)
                | "Statistics" >> tfdv.GenerateStatistics(options)
                | "Merge" >> tfdv.MergeDatasetFeatureStatisticsList()
                | "Write" >> tfdv.WriteStatisticsToBinaryFile(os.fspath(result))
            )
        return tfdv.load_stats_binary(os.fspath(result))


def _spooled(batch: pa.RecordBatch, path: Path) -> str:
    with pa.ipc.new_stream(path, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    return os.fspath(path)


def _read(path: str) -> pa.RecordBatch:
    with pa.OSFile(path) as file, pa.ipc.open_stream(file) as reader:
        return reader.read_next_batch()
