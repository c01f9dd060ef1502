"""What a version answers to its training data: the predictions that a window's are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.data.examples import encodable
from components.inference import arrays
from components.inference.columns import OUTPUT

_DEFAULT = "serving_default"


def answered(model: Path, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows, with columns `output_...`; unchanged if no signature takes them.

    Args:
        model: The folder of a SavedModel.
        batches: Rows in TFXIO's form.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    call = _caller(loaded.signatures)
    for batch in batches:
        outputs = call(batch) if call and batch.num_rows else {}
        columns = {name: column for name, column in _columns(outputs, batch.num_rows) if len(column) == batch.num_rows}
        yield pa.RecordBatch.from_arrays(
            [*batch.columns, *columns.values()], names=[*batch.schema.names, *map(OUTPUT.__add__, columns)]
        )
    del loaded


def _columns(outputs: Mapping[str, np.ndarray], rows: int) -> Iterator[tuple[str, pa.Array]]:
    for name, array in sorted(outputs.items()):
        how = arrays.layout(array, rows)
        if how == "rows":
            yield name, arrays.column([array], arrays.Rows(np.array([rows])), how)


def _caller(signatures: Mapping[str, Any]) -> Callable[[pa.RecordBatch], dict[str, np.ndarray]] | None:
    """Calls the signature that requests most likely use; None if there is none for whole rows."""
    ordered = sorted(signatures, key=lambda name: (name != _DEFAULT, name))
    for name in ordered:
        _, inputs = signatures[name].structured_input_signature
        if len(inputs) == 1 and next(iter(inputs.values())).dtype.name == "string":
            return _of_examples(signatures[name], next(iter(inputs)))
    for name in ordered:
        _, inputs = signatures[name].structured_input_signature
        if inputs:
            return _of_tensors(signatures[name], inputs)
    return None


def _of_examples(signature: Any, argument: str) -> Callable[[pa.RecordBatch], dict[str, np.ndarray]]:
    import tensorflow as tf
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    encoder = RecordBatchToExamplesEncoder()

    def call(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        found = signature(**{argument: tf.constant(encoder.encode(encodable(batch)))})
        return {name: tensor.numpy() for name, tensor in found.items()}

    return call


def _of_tensors(signature: Any, inputs: Mapping[str, Any]) -> Callable[[pa.RecordBatch], dict[str, np.ndarray]]:
    import tensorflow as tf

    def call(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        if any(name not in batch.schema.names or _has_gaps(batch.column(name)) for name in inputs):
            return {}
        given = {name: _tensor(batch.column(name), spec) for name, spec in inputs.items()}
        try:
            found = signature(**{name: tf.constant(value) for name, value in given.items()})
        except (tf.errors.InvalidArgumentError, ValueError, TypeError):
            return {}
        return {name: tensor.numpy() for name, tensor in found.items()}

    return call


def _has_gaps(column: pa.Array) -> bool:
    return bool(column.null_count) or len(set(np.diff(np.asarray(column.offsets)))) > 1


def _tensor(column: pa.Array, spec: Any) -> np.ndarray:
    values = np.asarray(column.flatten()).astype(spec.dtype.as_numpy_dtype)
    shape = [len(column), *(-1 if size is None else size for size in (spec.shape[1:] if spec.shape.rank else []))]
    found: np.ndarray = values.reshape(shape)
    return found
