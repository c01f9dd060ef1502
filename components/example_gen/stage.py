"""ExampleGen: converts raw files to Examples.

## What it reads

- CSV with a header, in UTF-8, plain or gzipped. All files must have the same columns, in any order. As in TFX, spaces
  at the two ends of the header are stripped; any other space is part of a column name, and a note says so.
- Parquet with flat columns or lists. Booleans become int64, timestamps and dates int64 seconds since 1970 (UTC),
  decimals float32; a null is a missing value.
- TFRecords of tf.Example, plain or gzipped. A feature that a record lacks is a missing value.

With `auto`, the file names determine the format: `.csv`, `.csv.gz`, `.parquet`, `.pq`, or `tfrecord` anywhere in the
name. All files must have the same format. [Data](../../pipelines/data.md) explains what an `input_path` may be, and how
its version is determined.

A CSV column that has numbers first and text later is bytes, as in TFX; a note names the file, row and cell. If the
column is declared in `column_types`, it is an error. If a file has a single column whose header contains `;`, `|` or a
tab, a note suggests that `delimiter`. Notes appear in the log, in the artifact's metadata `notes`, and in the run's
summary.

## What it refuses

It exits with status 2, and leaves no artifact, for: an empty file; a header without rows; a row with too few or too
many cells; text that is not UTF-8; a header with an empty or duplicate name; a cell that does not fit its declared
type; files with different columns; a duplicate Parquet column; a record that is not a tf.Example, or that would lose
data if it were read as one, such as a tf.SequenceExample with its feature lists; a truncated or damaged file; a split
without rows; a time or key in `split_bounds` that does not fit its column; data that differ from their .dvc file. The
message names the file, line and column.
"""

from __future__ import annotations

import json
import logging
from functools import partial

from components.contract.artifacts import (
    AllowUnversioned,
    DataPath,
    DataRepository,
    Delimiter,
    Examples,
    NewSplits,
    Output,
)
from components.contract.declaration import Stage
from components.contract.errors import UserError
from components.contract.libraries import ARROW


def example_gen(
    examples: Output[Examples],
    input_path: DataPath,
    input_format: str = "auto",
    column_types: dict = {},
    delimiter: Delimiter = ",",
    splits: NewSplits = {"train": 2, "eval": 1},
    split_hash: str = "values",
    split_patterns: NewSplits = {},
    split_column: str = "",
    split_bounds: NewSplits = {},
    payload_format: str = "parquet",
    allow_unversioned: AllowUnversioned = False,
    data_repo: DataRepository = "",
    span: int = 0,
    version: int = 0,
    engine: str = "direct",
    beam_pipeline_args: list = [],
) -> None:
    """Reads CSV, Parquet or TFRecord files, splits their rows and writes them as Examples.

    Args:
        examples: The rows, one folder per split.
        input_path: A file, a folder, a glob, or a DVC-tracked path at a Git revision: `data/chicago_taxi@v1`.
        input_format: `csv`, `parquet`, `tfrecord`, or `auto` (from the file names).
        column_types: `int`, `float` or `bytes` by CSV column; a cell that does not fit is an error. Other types are
            determined over all rows as in TFX: int64, or else float, or else bytes; an empty cell is a missing value.
        delimiter: The character between the cells of a CSV line, such as `;`, `|` or a tab.
        splits: Shares by split name; the hash of a row's values determines its split, so equal rows get the same one.
        split_hash: `values`, which is fast; or `tfx`, which assigns each row of CSV to the same split as TFX.
        split_patterns: Globs by split name, relative to input_path; replaces the shares. Files that match none are not
            read.
        split_column: A column that determines the split, by split_bounds.
        split_bounds: The values of split_column by split name: `{"from": inclusive, "to": exclusive}` with numbers or
            ISO 8601 times (UTC unless they have a time zone; seconds since 1970 in a column of numbers), or a list of
            keys. Other rows are left out, and counted in the artifact's metadata `rows_outside_splits`.
        payload_format: `parquet` or `tf_example`.
        allow_unversioned: Accept data that differ from their .dvc file or have none; the lineage says so.
        data_repo: The Git repository with input_path, a path or URL; default: the working folder's.
        span: TFX's span number, recorded on the artifact.
        version: TFX's version number within the span, recorded on the artifact.
        engine: `direct`, in this process; or `beam`, for data that one machine cannot hold.
        beam_pipeline_args: Beam's pipeline options for `beam`, such as `["--runner=FlinkRunner", ...]`; default: the
            DirectRunner.
    """
    from components.data.beam_engine import uses_beam
    from components.data.examples import describe, require_payload_format
    from components.example_gen import generate, sources
    from components.example_gen.splits import make_splits
    from components.versioning import data_versions

    require_payload_format(payload_format)
    on_beam = uses_beam(engine, beam_pipeline_args)
    with data_versions.resolve(input_path, repo=data_repo, allow_unversioned=allow_unversioned) as data:
        rule = make_splits(
            data.path,
            data.files,
            shares=splits,
            split_hash=split_hash,
            patterns=split_patterns,
            column=split_column,
            bounds=split_bounds,
        )
        format_name = sources.input_format(rule.files) if input_format == "auto" else input_format
        if split_hash == "tfx" and format_name != "csv":
            raise UserError(f"split_hash 'tfx' is for CSV, but the files are {format_name}", fix="remove split_hash")
        if on_beam:
            from components.example_gen import beam

            source = beam.open_source(
                rule.files,
                format_name=format_name,
                column_types=column_types,
                delimiter=delimiter,
                beam_pipeline_args=beam_pipeline_args,
                beside=examples.path,
            )
            write: generate.WriteSplits = partial(beam.write_splits, beam_pipeline_args=beam_pipeline_args)
        else:
            source = sources.open_source(rule.files, format_name, column_types, delimiter)
            write = generate.write_splits
        rows = generate.write_examples(examples, source, rule, payload_format, write)
    describe(examples, rule.names, payload_format)
    examples.metadata |= {
        "span": span,
        "version": version,
        "data_version": json.dumps(data.record),
        "rows_outside_splits": rows.pop(""),
        "rows": json.dumps(rows),
    }
    for note in source.notes:
        logging.warning("%s", note)
        examples.note(note)


STAGE = Stage(function=example_gen, image="data", loads=(ARROW,), has_report=True)
