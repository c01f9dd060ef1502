"""A reference as one Parquet file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.contract import files
from components.contract.errors import DataError
from components.monitoring.profile.stored import from_table, to_table
from components.monitoring.summaries import Reference

FORMAT = 1
"""The version of the file's format."""

_KEY = b"reference"
_FIX = "delete the file; the monitor builds it again from the training data"


def save(reference: Reference, path: Path) -> None:
    """Writes a reference, whole or not at all."""
    table = to_table(reference.columns)
    codes = pa.array(list(reference.codes.T), pa.list_(pa.int32()))
    scores = pa.array([reference.scores.tolist(), *[None] * (len(table) - 1)][: len(table)], pa.list_(pa.float64()))
    header = {"format": FORMAT, "version": reference.version, "digest": reference.digest}
    table = table.append_column("codes", codes).append_column("scores", scores)
    with files.whole(path) as partial:
        pq.write_table(
            table.replace_schema_metadata({_KEY: json.dumps(header)}),
            partial,
            compression="zstd",
            write_page_checksum=True,
        )


def load(path: Path, digest: str | None = None) -> Reference:
    """Reads a reference.

    Args:
        path: The file.
        digest: The digest of the training data that it has to be of; None for any.

    Raises:
        DataError: The file is damaged, of another version's format, or of other training data.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        header = json.loads(table.schema.metadata[_KEY])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not a readable reference: {error}", fix=_FIX) from error
    if header["format"] != FORMAT:
        raise DataError(f"{path} has format {header['format']}, and not {FORMAT}", fix=_FIX)
    if digest is not None and header["digest"] != digest:
        raise DataError(f"{path} is of the training data {header['digest']}, and not of {digest}", fix=_FIX)
    return _reference(table, header["version"], header["digest"])


def _reference(table: pa.Table, version: int, digest: str) -> Reference:
    columns = from_table(table)
    codes = [each.values.to_numpy() for each in table.column("codes")]
    scores = np.array(table.column("scores")[0].as_py() if len(table) else [], np.float64)
    return Reference(version, digest, columns, np.array(codes, np.int32).reshape(len(columns), len(scores)).T, scores)
