"""Chicago taxi: from the raw trips to a pushed model that predicts whether a passenger tips.

taxiway run chicago_taxi
taxiway compile chicago_taxi -o taxi.yaml
"""

from kfp import dsl

from pipelines.chicago_taxi.eval_config import EVAL_CONFIG
from pipelines.chicago_taxi.resources import PROFILES, STAGES
from taxiway.dsl import (
    Baseline,
    Evaluator,
    ExampleGen,
    ExampleValidator,
    InfraValidator,
    Pusher,
    SchemaGen,
    StatisticsGen,
    Trainer,
    Transform,
    resources,
)


@dsl.pipeline(name="chicago-taxi")
@resources(STAGES, PROFILES)
def chicago_taxi(
    data: str = "data/chicago_taxi",
    module: str = "pipelines.chicago_taxi.model",
    destination: str = "served/chicago_taxi",
    train_steps: int = 1000,
    eval_steps: int = 100,
    eval_config: dict = EVAL_CONFIG,
    serving: dict = {"local": {}},
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
        serving: Where the model has to load and answer before it is pushed.
        allow_unversioned: Take trips that DVC does not know.
    """
    trips = ExampleGen(input_path=data, allow_unversioned=allow_unversioned)
    examples = trips.outputs["examples"]

    statistics = StatisticsGen(examples=examples)
    schema = SchemaGen(statistics=statistics.outputs["statistics"]).outputs["schema"]
    validated = ExampleValidator(statistics=statistics.outputs["statistics"], schema=schema)

    transformed = Transform(examples=examples, schema=schema, module=module).after(validated)
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
    served = InfraValidator(model=model, examples=examples, serving=serving)
    with dsl.If(evaluated.outputs["blessed"] == True, "blessed"):  # noqa: E712 (kfp builds the condition from ==)
        Pusher(
            model=model,
            blessing=evaluated.outputs["blessing"],
            infra_blessing=served.outputs["blessing"],
            evaluation=evaluated.outputs["evaluation"],
            destination=destination,
        )
