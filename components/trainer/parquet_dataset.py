"""Training input from Parquet: the factories of `FnArgs.data_accessor`, with the semantics of TFX's for TFRecords.

A split of ordinary size is held in memory and shuffled whole; a larger one is streamed by row groups and shuffled in
pools of `shuffle_buffer_size` rows. Of TFX's options, the numbers of threads and `sloppy_ordering` have no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio.dataset_options import RecordBatchesOptions, TensorFlowDatasetOptions

from components.contract.errors import UserError
from components.trainer.rows import ParquetRows, drops_final_batch, epochs
from components.trainer.rows_to_tensors import Packed, TensorLayout

RESIDENT_BYTES = 512 * 2**20
"""The size of a split as Arrow columns up to which it is held in memory (packed it takes about half)."""


def record_batches(
    file_pattern: str | list[str], options: RecordBatchesOptions, schema: schema_pb2.Schema | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches of rows in TFXIO's form, with the schema's columns or, without one, those of the files."""
    rows = ParquetRows(file_pattern, TensorLayout(schema).arrow_schema if schema else None)
    # The trainer's seed fixes NumPy's global random numbers.
    seed = np.random.randint(2**32) if options.shuffle_seed is None else options.shuffle_seed
    for block in rows.blocks(options, seed):
        for start in range(0, block.num_rows, options.batch_size):
            # `take`, because tfx_bsl does not read slices.
            yield block.take(np.arange(start, min(start + options.batch_size, block.num_rows)))


def tf_dataset(
    file_pattern: str | list[str], options: TensorFlowDatasetOptions, schema: schema_pb2.Schema | None
) -> tf.data.Dataset:
    """Batches of tensors by name, or pairs of those and the label where the options name one.

    Raises:
        UserError: There is no schema, or no such label in it.
        DataError: The files do not match the schema.
    """
    if schema is None:
        raise UserError("tf_dataset_factory was called without a schema", fix="give it the schema of the examples")
    layout = TensorLayout(schema)
    if options.label_key is not None and options.label_key not in layout.names:
        raise UserError(
            f"the schema has no tensor {options.label_key!r} for the label", fix=f"it has {', '.join(layout.names)}"
        )
    rows = ParquetRows(file_pattern, layout.arrow_schema)
    packed = _packed(rows, layout)
    take = _taking(layout, options.label_key)
    batches = _streamed(rows, layout, options, take) if packed is None else _resident(packed, options, take)
    return batches.prefetch(options.prefetch_buffer_size)


Take = Callable[[Packed, tf.Tensor], Any]


def _taking(layout: TensorLayout, label_key: str | None) -> Take:
    def take(packed: Packed, rows: tf.Tensor) -> Any:
        features = layout.take(packed, rows)
        return features if label_key is None else (features, features.pop(label_key))

    return take


def _packed(rows: ParquetRows, layout: TensorLayout) -> Packed | None:
    """All rows, or None if they do not fit in memory."""
    size, parts = 0, []
    for group in rows.groups():
        size += group.nbytes
        if size > RESIDENT_BYTES:
            return None
        parts.append(layout.pack(group))
    with tf.device("CPU:0"):
        return tf.nest.map_structure(lambda *columns: tf.concat(columns, axis=0), *parts)  # type: ignore[no-any-return]


def _resident(packed: Packed, options: TensorFlowDatasetOptions, take: Take) -> tf.data.Dataset:
    matrices, ragged = packed
    count = int(next(iter([*matrices.values(), *ragged.values()])).shape[0])

    def orders(seed: int) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(seed)
        return (rng.permutation(count) if options.shuffle else np.arange(count) for _ in epochs(options))

    rows = _generated(orders, options, tf.TensorSpec([count], tf.int64))
    rows = rows.rebatch(options.batch_size, drop_remainder=drops_final_batch(options))
    return rows.map(lambda numbers: take(packed, numbers))


def _streamed(
    rows: ParquetRows, layout: TensorLayout, options: TensorFlowDatasetOptions, take: Take
) -> tf.data.Dataset:
    size = options.batch_size

    def blocks(seed: int) -> Iterator[tuple[Packed, int]]:
        return ((layout.pack(block), block.num_rows) for block in rows.blocks(options, seed))

    def batches(packed: Packed, count: tf.Tensor) -> tf.data.Dataset:
        numbers = tf.data.Dataset.range(count).batch(size, drop_remainder=drops_final_batch(options))
        return numbers.map(lambda chosen: take(packed, chosen))

    signature = (layout.packed_spec, tf.TensorSpec([], tf.int64))
    return _generated(blocks, options, signature).flat_map(batches)


def _generated(generator: Callable[[int], Any], options: TensorFlowDatasetOptions, signature: Any) -> tf.data.Dataset:
    """A dataset of a generator, with a new seed for each iteration, like TensorFlow's own shuffling."""
    seeds = tf.data.Dataset.random(options.shuffle_seed, rerandomize_each_iteration=True).take(1)
    return seeds.flat_map(
        lambda seed: tf.data.Dataset.from_generator(generator, args=(seed,), output_signature=signature)
    )
