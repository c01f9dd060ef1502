"""Joins the rows of several requests into a batch, with padding, and splits the outputs again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod
from typing import Any

import grpc
import numpy as np

from taxiway.serving.errors import ServingError
from taxiway.serving.model.signatures import Arrays, Outputs

_CODE = grpc.StatusCode


def rows_of(inputs: Arrays) -> int:
    """The number of rows, which is the same for all inputs.

    Raises:
        ServingError: INVALID_ARGUMENT, with TF Serving's message: it is not the same, or an input is a scalar.
    """
    sizes = {array.shape[0] if array.ndim else None for array in inputs.values()}
    if None in sizes:
        raise ServingError(
            _CODE.INVALID_ARGUMENT, "Batching session Run() input tensors must have at least one dimension"
        )
    if len(sizes) > 1:
        shown = ", ".join(f"{name}: {len(array)}" for name, array in inputs.items())
        raise ServingError(
            _CODE.INVALID_ARGUMENT,
            f"Batching session Run() input tensors must have equal 0th-dimension size, not {shown}",
        )
    return int(sizes.pop() or 0) if sizes else 0


def split_rows(outputs: Outputs, sizes: Sequence[int], rows: int) -> list[Outputs]:
    """The outputs of each request of a batch.

    Args:
        outputs: The outputs of the batch.
        sizes: The rows of each request.
        rows: The rows of the batch, including padding.

    Raises:
        ServingError: FAILED_PRECONDITION: an output has another number of rows than the batch.
    """
    if list(sizes) == [rows]:
        return [outputs]
    _require_rows(outputs, rows)
    ends = itertools.accumulate(sizes)
    return [
        {name: array[end - size : end] for name, array in outputs.items()}
        for size, end in zip(sizes, ends, strict=True)
    ]


def merged(parts: Sequence[Outputs], sizes: Sequence[int]) -> Outputs:
    """The outputs of a request that was split into parts of these sizes.

    Raises:
        ServingError: FAILED_PRECONDITION: an output has another number of rows than its part.
    """
    for part, size in zip(parts, sizes, strict=True):
        _require_rows(part, size)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def padding(arrays: Sequence[np.ndarray], rows: int) -> int:
    """How many bytes of padding it takes to join arrays into one with this many rows."""
    return rows * prod(_longest(arrays)) * arrays[0].itemsize - sum(array.nbytes for array in arrays)


def joined(arrays: Sequence[np.ndarray], missing: int) -> Any:
    """The arrays concatenated, padded to the longest; missing rows are copies of the first row."""
    if len(arrays) == 1 and not missing:
        return arrays[0]
    padded = [_padded(array, _longest(arrays)) for array in arrays]
    filler = [np.repeat(padded[0][:1], missing, axis=0)] if missing else []
    return np.concatenate([*padded, *filler])


def _longest(arrays: Sequence[np.ndarray]) -> list[int]:
    return [max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)]


def _padded(array: np.ndarray, shape: list[int]) -> Any:
    if list(array.shape[1:]) == shape:
        return array
    empty: Any = b"" if array.dtype == object else 0
    margins = [(0, 0), *((0, size - have) for size, have in zip(shape, array.shape[1:], strict=True))]
    return np.pad(array, margins, constant_values=empty)


def _require_rows(outputs: Outputs, rows: int) -> None:
    for name, array in outputs.items():
        if not array.ndim or len(array) != rows:
            raise ServingError(
                _CODE.FAILED_PRECONDITION,
                f'The output "{name}" does not have a row for each of the {rows} rows of the batch',
            )
