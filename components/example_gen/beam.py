"""ExampleGen on Beam: workers read, split and write the files, by the same rules as in one process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam import pvalue

from components.contract.artifacts import Examples
from components.contract.errors import TaxiwayError
from components.data import beam_examples
from components.example_gen import sources
from components.example_gen.generate import part
from components.example_gen.source import Source
from components.example_gen.splits import NO_SPLIT, Splits

_COUNTS = "rows by split"


def open_source(
    files: Sequence[Path],
    *,
    format_name: str,
    column_types: Mapping[str, str],
    delimiter: str,
    beam_pipeline_args: Sequence[str],
    beside: Path,
) -> Source:
    """Determines columns and types like `sources.open_source`, with the files distributed over the workers.

    Raises:
        UserError, DataError: As for `sources.open_source`; from the first file with an error.
    """
    if format_name not in ("csv", "tfrecord"):
        # Parquet footers contain the types, and an unknown format is refused.
        return sources.open_source(files, format_name, column_types, delimiter)
    found = dict(
        beam_examples.collect(
            lambda begin: (
                begin
                | "Files" >> beam.Create(files)
                | "Spread" >> beam.Reshuffle()
                | "Settle" >> beam.Map(_settled, format_name, column_types, delimiter)
            ),
            beam_pipeline_args,
            "example_gen: determining the types",
            beside,
        )
    )
    for file in files:
        if isinstance(found[file], TaxiwayError):
            raise found[file]
    return sources.open_source(files, format_name, column_types, delimiter, [found[file] for file in files])


def write_splits(
    examples: Examples, source: Source, splits: Splits, payload_format: str, *, beam_pipeline_args: Sequence[str]
) -> dict[str, int]:
    """Writes every split; returns the number of rows per split, with rows in no split under the empty name."""

    def build(begin: beam.Pipeline) -> beam.PCollection:
        assigned = (
            begin
            | "Files" >> beam.Create(splits.files)
            | "Spread" >> beam.Reshuffle()
            | "Split" >> beam.FlatMap(_assigned, source, splits).with_outputs(_COUNTS, *splits.names)
        )
        for name in splits.names:
            rows = assigned[name] | f"Rows of {name}" >> beam.Reshuffle()
            _ = rows | f"Write {name}" >> beam_examples.Write(examples, name, payload_format, source.schema)
        return assigned[_COUNTS] | "Count" >> beam.CombinePerKey(sum)

    counted = beam_examples.collect(build, beam_pipeline_args, "example_gen", examples.path / "rows")
    return dict.fromkeys([*splits.names, ""], 0) | dict(counted)


def _settled(file: Path, format_name: str, column_types: Mapping[str, str], delimiter: str) -> tuple[Path, Any]:
    """The types of a file, or the error; if it were raised, Beam would turn it into a string."""
    try:
        source: Any = sources.open_source([file], format_name, column_types, delimiter)
    except TaxiwayError as error:
        return file, error
    return file, source.settled_types


def _assigned(file: Path, source: Source, splits: Splits) -> Iterator[Any]:
    for batch in source.read(file):
        numbers = splits.assign(file, batch)
        for number, name in [*enumerate(splits.names), (NO_SPLIT, "")]:
            rows: pa.RecordBatch = part(batch, numbers == number)
            yield pvalue.TaggedOutput(_COUNTS, (name, rows.num_rows))
            if name and rows.num_rows:
                yield pvalue.TaggedOutput(name, rows)
