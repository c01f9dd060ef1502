"""ExampleGen: raw files become Examples."""

from __future__ import annotations

from components.artifacts import DataPath, Examples, Output


def example_gen(
    examples: Output[Examples],
    input_path: DataPath,
    input_format: str = "auto",
    splits: dict = {"train": 2, "eval": 1},
    split_patterns: dict = {},
    split_column: str = "",
    split_bounds: dict = {},
    payload_format: str = "parquet",
    allow_unversioned: bool = False,
    data_repo: str = "",
    span: int = 0,
    version: int = 0,
) -> None:
    """Reads CSV, Parquet or TFRecord files, splits their rows and writes them as Examples.

    Args:
        examples: The rows, a folder a split.
        input_path: A file, a folder, a glob, or a DVC-tracked path at a Git revision: `data/chicago_taxi@v1`.
        input_format: `csv`, `parquet`, `tfrecord`, or `auto` (by the files' names).
        splits: Shares by split name; a row goes to a split by the hash of its values, as in TFX.
        split_patterns: Globs by split name, relative to input_path; takes the place of shares.
        split_column: A column that decides the split, by split_bounds.
        split_bounds: By split name, its values: `{"from": inclusive, "to": exclusive}`, or a list of keys.
        payload_format: `parquet` or `tf_example`.
        allow_unversioned: Take data that differ from their .dvc file or have none; the lineage says so.
        data_repo: The Git repository that input_path lies in, a path or URL; the working folder's by default.
        span: TFX's span number, recorded on the artifact.
        version: TFX's version number within the span, recorded on the artifact.
    """
    raise NotImplementedError
