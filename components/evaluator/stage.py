"""Evaluator: TFMA's metrics, thresholds and validation, and the blessing."""

from __future__ import annotations

from typing import NamedTuple

from components.artifacts import (
    Examples,
    Input,
    Model,
    ModelBlessing,
    ModelEvaluation,
    Output,
    Schema,
    TransformGraph,
)


class Blessed(NamedTuple):
    """Whether every threshold of the EvalConfig holds."""

    blessed: bool


def evaluator(
    examples: Input[Examples],
    model: Input[Model],
    evaluation: Output[ModelEvaluation],
    blessing: Output[ModelBlessing],
    eval_config: dict,
    baseline_model: Input[Model] | None = None,
    schema: Input[Schema] | None = None,
    transform_graph: Input[TransformGraph] | None = None,
    splits: list = ["eval"],
    force_beam: bool = False,
) -> Blessed:
    """Computes TFMA's metrics by slice, holds them against the thresholds, and blesses the model or not.

    Args:
        examples: Raw rows with labels.
        model: The candidate.
        evaluation: TFMA's output: `eval_config.json`, metrics, plots and validations.
        blessing: `BLESSED` or `NOT_BLESSED`.
        eval_config: TFMA's EvalConfig as JSON.
        baseline_model: The model to compare with, for change thresholds; an empty one counts as none.
        schema: The schema of the rows.
        transform_graph: The transform, where the EvalConfig names preprocessing functions that need it.
        splits: The splits to evaluate on.
        force_beam: Evaluate through TFMA on Beam even where the direct way could.
    """
    raise NotImplementedError
