"""`FnArgs.data_accessor` for each payload format: Parquet by our own reader, tf.Examples by TFX's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components.contract.errors import UserError
from components.data.examples import PARQUET, TF_EXAMPLE
from components.trainer import parquet_dataset
from components.trainer.fn_args import DataAccessor

if TYPE_CHECKING:
    import pyarrow as pa
    import tensorflow as tf


def _reader(file_pattern: str | list[str], schema: Any) -> Any:
    # It imports Beam, so it is imported only where tf.Examples are read.
    from tfx_bsl.tfxio.tf_example_record import TFExampleRecord

    return TFExampleRecord(file_pattern, schema=schema, telemetry_descriptors=["Trainer"])


def _tf_example_dataset(file_pattern: str | list[str], options: Any, schema: Any) -> tf.data.Dataset:
    return _reader(file_pattern, schema).TensorFlowDataset(options)


def _tf_example_batches(file_pattern: str | list[str], options: Any, schema: Any) -> Iterator[pa.RecordBatch]:
    yield from _reader(file_pattern, schema).RecordBatches(options)


def data_accessor(payload_format: str) -> DataAccessor:
    """The factories that read files of a payload format; neither format has a `data_view_decode_fn`.

    Raises:
        UserError: The trainer does not support the format.
    """
    if payload_format == PARQUET:
        return DataAccessor(parquet_dataset.tf_dataset, parquet_dataset.record_batches)
    if payload_format != TF_EXAMPLE:
        raise UserError(f"the trainer does not read {payload_format} examples", fix="pass them through transform first")
    return DataAccessor(_tf_example_dataset, _tf_example_batches)
