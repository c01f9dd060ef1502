"""Evaluator: TFMA's metrics, thresholds and validation, and the blessing."""

from __future__ import annotations

from typing import NamedTuple

from components.contract.artifacts import (
    Artifact,
    CustomOps,
    EvalSettings,
    Examples,
    ExamplesSplits,
    Input,
    Model,
    ModelBlessing,
    ModelEvaluation,
    Output,
    Schema,
)
from components.contract.declaration import Stage
from components.contract.files import whole_folder
from components.contract.libraries import MODEL_ANALYSIS, TENSORFLOW, TFX, TRANSFORM


class Blessed(NamedTuple):
    """Whether every threshold of the EvalConfig holds."""

    blessed: bool


def evaluator(
    examples: Input[Examples],
    model: Input[Model],
    evaluation: Output[ModelEvaluation],
    blessing: Output[ModelBlessing],
    eval_config: EvalSettings,
    baseline_model: Input[Model] | None = None,
    schema: Input[Schema] | None = None,
    splits: ExamplesSplits = ["eval"],
    on_baseline_failure: str = "ignore",
    engine: str = "direct",
    beam_pipeline_args: list = [],
    custom_ops: CustomOps = [],
) -> Blessed:
    """Computes TFMA's metrics by slice, checks them against the thresholds, and blesses the model if all hold.

    Args:
        examples: Raw rows with labels.
        model: The candidate.
        evaluation: TFMA's output: `eval_config.json`, metrics, plots and validations; and `slices.json`.
        blessing: `BLESSED` or `NOT_BLESSED`; the metadata `not_blessed` gives the reasons, one a line.
        eval_config: TFMA's EvalConfig as JSON.
        baseline_model: The model to compare with, for change thresholds. An empty artifact counts as no baseline.
        schema: The schema of the rows.
        splits: The splits to evaluate on.
        on_baseline_failure: What happens if the baseline does not load or cannot be called on these examples.
            `ignore`: the model is judged without a baseline, by its value thresholds; the blessing, the evaluation
            and the summary of the run give the reason. `fail`: the stage fails with the reason.
        engine: `direct`: in this process. `beam`: for data too large for one machine.
        beam_pipeline_args: Beam's pipeline options for `beam`, such as `["--runner=FlinkRunner", ...]`; the
            DirectRunner by default.
        custom_ops: Libraries of operations that the model uses and TensorFlow does not have: Python modules
            (`tensorflow_text`) and `.so` files. Beam's workers need them at the same path.
        blessed: Whether every threshold of the EvalConfig holds.
    """
    from components.data.beam_engine import uses_beam
    from components.evaluator import comparison
    from components.evaluator.evaluation import Evaluation, objections, verdict_text
    from components.evaluator.results import overall, write_slices

    on_beam = uses_beam(engine, beam_pipeline_args)
    comparison.require_known(on_baseline_failure)

    def prepare(baseline: Artifact | None) -> Evaluation:
        return Evaluation(
            eval_config=eval_config,
            candidate=model,
            baseline=baseline,
            examples=examples,
            splits=splits,
            schema=schema,
            custom_ops=custom_ops,
        )

    with whole_folder(evaluation.path) as results, whole_folder(blessing.path) as verdict:
        work, failure = comparison.evaluate(
            prepare, baseline_model, results, beam_pipeline_args if on_beam else None, on_baseline_failure
        )
        against = objections(work, results)
        (verdict / ("NOT_BLESSED" if against else "BLESSED")).touch()
        evaluation.metadata.update(overall(results))
        write_slices(results)
    blessing.metadata.update(blessed=int(not against), current_model=model.uri)
    blessing.summarize("blessing", verdict_text(against))
    if against:
        blessing.metadata["not_blessed"] = "\n".join(against)
    if work.baseline:
        blessing.metadata["baseline_model"] = work.baseline.uri
    if failure:
        print(f"evaluator: {failure}", flush=True)
        blessing.note(failure)
        blessing.metadata["baseline_failure"] = evaluation.metadata["baseline_failure"] = failure[:500]
    return Blessed(not against)


STAGE = Stage(
    function=evaluator,
    image="train",
    loads=(TENSORFLOW, TRANSFORM, TFX, MODEL_ANALYSIS),
    after="baseline",
    has_report=True,
)
