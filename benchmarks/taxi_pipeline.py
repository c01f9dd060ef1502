"""The taxi pipeline with the stages and dependencies of TFX's example: no infra_validator."""

from kfp import dsl

from pipelines.chicago_taxi.eval_config import EVAL_CONFIG
from taxiway.dsl import (
    Baseline,
    Evaluator,
    ExampleGen,
    ExampleValidator,
    Pusher,
    SchemaGen,
    StatisticsGen,
    Trainer,
    Transform,
)


@dsl.pipeline(name="chicago-taxi")
def chicago_taxi(
    data: str = "data/chicago_taxi",
    module: str = "pipelines.chicago_taxi.model",
    destination: str = "served/chicago_taxi",
    train_steps: int = 1000,
    eval_steps: int = 100,
    eval_config: dict = EVAL_CONFIG,
    allow_unversioned: bool = False,
):
    """Will the passenger tip more than a fifth of the fare?

    Args:
        data: The trips: a path, or a path at a Git revision (`data/chicago_taxi@v1`).
        module: The module with `preprocessing_fn` and `run_fn`.
        destination: Where a blessed model is pushed to.
        train_steps: Training steps of 40 trips each.
        eval_steps: Steps of the evaluation after training.
        eval_config: TFMA's EvalConfig.
        allow_unversioned: Accept trips that DVC does not track.
    """
    trips = ExampleGen(input_path=data, allow_unversioned=allow_unversioned)
    examples = trips.outputs["examples"]

    statistics = StatisticsGen(examples=examples)
    schema = SchemaGen(statistics=statistics.outputs["statistics"]).outputs["schema"]
    ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema)

    transformed = Transform(examples=examples, schema=schema, module=module)
    trained = Trainer(
        examples=transformed.outputs["transformed_examples"],
        transform_graph=transformed.outputs["transform_graph"],
        schema=schema,
        module=module,
        train_steps=train_steps,
        eval_steps=eval_steps,
    )
    model = trained.outputs["model"]

    # The latest pushed model may change between runs, so this step is never cached.
    baseline = Baseline(candidate=model, destination=destination).set_caching_options(False)
    evaluated = Evaluator(
        examples=examples,
        model=model,
        baseline_model=baseline.outputs["model"],
        schema=schema,
        eval_config=eval_config,
    )
    with dsl.If(evaluated.outputs["blessed"] == True, "blessed"):  # noqa: E712 (kfp builds the condition from ==)
        Pusher(model=model, blessing=evaluated.outputs["blessing"], destination=destination)
