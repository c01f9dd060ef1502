"""Trainer: an unmodified TFX run_fn trains and saves the model."""

from __future__ import annotations

from components.artifacts import (
    Examples,
    HyperParameters,
    Input,
    Model,
    ModelRun,
    Output,
    Schema,
    TrainerModule,
    TransformGraph,
)


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
    train_splits: list = ["train"],
    eval_splits: list = ["eval"],
    custom_config: dict = {},
) -> None:
    """Calls a TFX `run_fn(FnArgs)` and keeps the model that it saves.

    Args:
        examples: The rows to train on, transformed or raw.
        model: `Format-Serving/`, a SavedModel, and `Format-TFMA/` where the module writes one.
        model_run: What the module logs for TensorBoard.
        module: The module with `run_fn`, by import path or file.
        transform_graph: The transform that made the examples.
        schema: The schema of the examples.
        base_model: A model to start from.
        hyperparameters: The best hyperparameters of a tuner.
        train_steps: Training steps; 0 leaves it to the module.
        eval_steps: Evaluation steps; 0 leaves it to the module.
        train_splits: The splits to train on.
        eval_splits: The splits to evaluate on while training.
        custom_config: Handed to `run_fn` as `custom_config`.
    """
    raise NotImplementedError
