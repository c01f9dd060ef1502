"""What a `run_fn` receives: TFX's FnArgs, field for field, without TFX's import.

Source: tfx 1.21, `tfx/components/trainer/fn_args_utils.py`. Modules that annotate `run_fn(fn_args: FnArgs)` with TFX's
own class accept this one as well; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa
    import tensorflow as tf
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx_bsl.tfxio.dataset_options import RecordBatchesOptions, TensorFlowDatasetOptions


class DataAccessor(NamedTuple):
    """Reads the files of a split, whatever their payload format."""

    tf_dataset_factory: Callable[
        [list[str], TensorFlowDatasetOptions, schema_pb2.Schema | None],
        tf.data.Dataset,
    ]
    record_batch_factory: Callable[
        [list[str], RecordBatchesOptions, schema_pb2.Schema | None],
        Iterator[pa.RecordBatch],
    ]
    data_view_decode_fn: Callable[[tf.Tensor], dict[str, Any]] | None = None


@dataclass(kw_only=True)
class FnArgs:
    """The argument of `run_fn`.

    Attributes:
        train_files: Patterns of the files to train on, one a split.
        eval_files: Patterns of the files to evaluate on.
        data_accessor: Reads `train_files` and `eval_files`.
        serving_model_dir: Where `run_fn` saves the model.
        eval_model_dir: Where it may save another one for evaluation.
        model_run_dir: Where it logs for TensorBoard.
        working_dir: None, as in TFX's own trainer.
        train_steps: Training steps; None where the pipeline gives none.
        eval_steps: Evaluation steps; None where the pipeline gives none.
        schema_path: The schema's file.
        schema_file: The same, under its older name.
        transform_graph_path: The folder for `tft.TFTransformOutput`.
        transform_output: The same, under its older name.
        base_model: The SavedModel to start from.
        hyperparameters: A tuner's configuration, such as `keras_tuner.HyperParameters.from_config` takes.
        custom_config: The pipeline's own settings.
    """

    train_files: list[str]
    eval_files: list[str]
    data_accessor: DataAccessor
    serving_model_dir: str
    eval_model_dir: str
    model_run_dir: str
    working_dir: str | None = None
    train_steps: int | None = None
    eval_steps: int | None = None
    schema_path: str | None = None
    schema_file: str | None = None
    transform_graph_path: str | None = None
    transform_output: str | None = None
    base_model: str | None = None
    hyperparameters: dict[str, Any] | None = None
    custom_config: dict[str, Any] | None = None
