"""Predictions for the examples in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.contract.errors import UserError
from taxiway.prediction import signatures
from taxiway.prediction.clients import Client
from taxiway.prediction.examples_file import open_examples
from taxiway.prediction.printing import rows_of
from taxiway.prediction.signatures import Batch


def _rows(batch: Batch) -> int:
    return max((len(array) for array, _ in batch.values()), default=0)


def _cut(batch: Batch, rows: int) -> Batch:
    return {name: (array[:rows], dtype) for name, (array, dtype) in batch.items()}


def predictions(
    client: Client, *, path: Path, signature: str, batch_rows: int, limit: int | None = None, schema: Path | None = None
) -> Iterator[list[dict[str, Any]]]:
    """The model's outputs for the examples in a file: a list per request, with a dictionary per row.

    Args:
        client: The connection to the model server.
        path: A CSV, Parquet or JSON file.
        signature: The signature to call.
        batch_rows: Maximum rows per request.
        limit: Maximum rows in total; None for no limit.
        schema: A `schema.pbtxt`; see `signatures.batches`.

    Raises:
        UserError: The file, a column or the signature is missing, or the server refuses a request.
        DataError: A value does not fit the signature; names column and row.
        ServiceError: The server does not answer.
    """
    if batch_rows < 1:
        raise UserError(f"a batch of {batch_rows} rows cannot be sent", fix="use --batch 1 or more")
    file = open_examples(path)
    chosen = signatures.chosen(client.signatures(), signature)
    first = 1
    for batch in signatures.batches(chosen, file, batch_rows, schema):
        if limit is not None:
            batch = _cut(batch, limit - first + 1)
        if not (count := _rows(batch)):
            return
        try:
            outputs = client.predict(chosen, batch)
        except UserError as error:
            raise UserError(f"{path}, rows {first} to {first + count - 1}: {error.what}", fix=error.fix) from error
        yield rows_of(outputs, count)
        first += count
