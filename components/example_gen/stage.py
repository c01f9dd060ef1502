"""ExampleGen: raw files become Examples.

## What it reads

- CSV with a header, UTF-8, plain or gzip. Files may have their columns in any order, but all have the same ones. As in
  TFX, spaces at the two ends of the header are no part of a name; any other space is, and a note says so.
- Parquet with flat columns or lists of them. Booleans become int64, timestamps and dates int64 seconds since 1970
  (UTC), decimals float32; a null is a missing value.
- TFRecords of tf.Example, plain or gzip. A feature that some records lack is missing there.

By `auto` the names decide: `.csv`, `.csv.gz`, `.parquet`, `.pq`, or `tfrecord` somewhere in the name. All files of one
call have one format. [Data](../../pipelines/data.md) says what an `input_path` may be, and how its version is found.

A CSV column that turns from numbers to text is bytes, as in TFX; a note names file, row and cell. Declared in
`column_types`, it is an error. A file of one column whose header has `;`, `|` or a tab in it gets a note that proposes
the `delimiter`. Notes stand in the log, in the artifact's metadata `notes`, and in the summary of the run.

## What it refuses

It ends with exit status 2, and leaves no artifact, on: an empty file; a header and no rows; a row with too few or too
many cells; text that is not UTF-8; a header with an empty name or the same one twice; a cell that does not fit its
declared type; files with different columns; a Parquet column that is there twice; a record that is no tf.Example, or
would lose something if it were read as one, such as a tf.SequenceExample with its feature lists; a truncated or
damaged file; a split without rows; a time or key of `split_bounds` that does not fit its column; data that differ from
their .dvc file. The message names file, line and column.
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
        examples: The rows, a folder a split.
        input_path: A file, a folder, a glob, or a DVC-tracked path at a Git revision: `data/chicago_taxi@v1`.
        input_format: `csv`, `parquet`, `tfrecord`, or `auto` (by the files' names).
        column_types: `int`, `float` or `bytes` by CSV column; a cell that does not fit is an error. The others are
            settled over all rows as in TFX: int64, else float, else bytes; an empty cell is a missing value.
        delimiter: What separates the cells of a line of CSV: one character, such as `;`, `|` or a tab.
        splits: Shares by split name; a row goes to a split by the hash of its values, equal rows to the same one.
        split_hash: `values`, which is fast; or `tfx`, which gives each row of CSV the split that TFX gives it.
        split_patterns: Globs by split name, relative to input_path; takes the place of shares. Files that none
            matches are not read.
        split_column: A column that decides the split, by split_bounds.
        split_bounds: By split name, its values: `{"from": inclusive, "to": exclusive}`, numbers or ISO 8601 times
            (seconds since 1970 in a column of numbers, UTC where no zone is named); or a list of keys. Rows outside
            are left out, and counted in the artifact's metadata `rows_outside_splits`.
        payload_format: `parquet` or `tf_example`.
        allow_unversioned: Take data that differ from their .dvc file or have none; the lineage says so.
        data_repo: The Git repository that input_path lies in, a path or URL; the working folder's by default.
        span: TFX's span number, recorded on the artifact.
        version: TFX's version number within the span, recorded on the artifact.
        engine: `direct`, in this process; or `beam`, for data that one machine does not hold.
        beam_pipeline_args: Beam's pipeline options for `beam`, such as `["--runner=FlinkRunner", ...]`; the
            DirectRunner by default.
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
            raise UserError(f"split_hash 'tfx' is for CSV, and the files are {format_name}", fix="leave it out")
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


STAGE = Stage(function=example_gen, image="data", loads=(ARROW,))
