"""Trainer: an unmodified TFX run_fn trains and saves the model."""

from __future__ import annotations

from components.contract.artifacts import (
    Examples,
    ExamplesSplits,
    HyperParameters,
    Input,
    Model,
    ModelRun,
    Output,
    Schema,
    TrainerModule,
    TransformGraph,
)
from components.contract.declaration import Stage
from components.contract.libraries import TENSORFLOW, TRANSFORM


def trainer(
    examples: Input[Examples],
    model: Output[Model],
    model_run: Output[ModelRun],
    module: TrainerModule,
    transform_graph: Input[TransformGraph] | None = None,
    schema: Input[Schema] | None = None,
    base_model: Input[Model] | None = None,
    hyperparameters: Input[HyperParameters] | None = None,
    train_steps: int = 0,
    eval_steps: int = 0,
    train_splits: ExamplesSplits = ["train"],
    eval_splits: ExamplesSplits = ["eval"],
    custom_config: dict = {},
    seed: int = 0,
    deterministic: bool = True,
) -> None:
    """Calls a TFX `run_fn(FnArgs)` and keeps the model that it saves.

    Trains on the GPUs that TensorFlow finds. A module that reads its examples through `fn_args.data_accessor` works
    with both payload formats. A module that opens TFRecords itself needs `payload_format="tf_example"` in earlier
    stages.

    The model must be a SavedModel, because the stages after this one and the server need it: a Keras file alone is
    refused. `model.export(fn_args.serving_model_dir)` writes a SavedModel.

    Args:
        examples: The rows to train on, transformed or raw.
        model: `Format-Serving/`, a SavedModel, and `Format-TFMA/` if the module writes one.
        model_run: What the module logs for TensorBoard.
        module: The module with `run_fn`, by import path or file.
        transform_graph: The transform that made the examples.
        schema: The schema of the examples.
        base_model: A model to start from. An empty artifact counts as no model.
        hyperparameters: The best hyperparameters of a tuner.
        train_steps: Training steps; 0 leaves it to the module.
        eval_steps: Evaluation steps; 0 leaves it to the module.
        train_splits: The splits to train on.
        eval_splits: The splits to evaluate on while training.
        custom_config: Passed to `run_fn` as `custom_config`.
        seed: The seed of the random numbers of Python, NumPy, TensorFlow and Keras, set before the module is imported
            and again before `run_fn` is called. It also fixes the order of the examples.
        deterministic: Train and save so that the same inputs give the same bytes on the same hardware. The stage then
            fails if an op has no deterministic implementation, as some have none on GPUs.
    """
    from components.trainer.arguments import fn_args
    from components.trainer.reproducible_outputs import settle
    from components.trainer.training import train

    arguments = fn_args(
        examples=examples,
        model=model,
        model_run=model_run,
        transform_graph=transform_graph,
        schema=schema,
        base_model=base_model,
        hyperparameters=hyperparameters,
        train_steps=train_steps,
        eval_steps=eval_steps,
        train_splits=train_splits,
        eval_splits=eval_splits,
        custom_config=custom_config,
    )
    train(module, arguments, [model.path, model_run.path], seed, deterministic)
    settle(model, model_run, deterministic)


STAGE = Stage(
    function=trainer, image="train", loads=(TENSORFLOW, TRANSFORM), after="transform", alone=True, has_report=True
)
