"""Chicago taxi again: trained on the history and on labelled requests of a window, and pushed if it is better in use.

taxiway run chicago_taxi_retrain -p window_start=2026-02-01T00:00 -p window_end=2026-02-08T00:00
"""

from kfp import dsl

from pipelines.chicago_taxi.eval_config import EVAL_CONFIG
from pipelines.chicago_taxi_retrain.resources import PROFILES, STAGES
from taxiway.dsl import (
    Baseline,
    Evaluator,
    ExampleGen,
    InferenceExampleGen,
    InfraValidator,
    Judge,
    Pusher,
    SchemaGen,
    StatisticsGen,
    Trainer,
    Transform,
    resources,
)


@dsl.pipeline(name="chicago-taxi-retrain")
@resources(STAGES, PROFILES)
def chicago_taxi_retrain(
    window_start: str,
    window_end: str,
    tables: str = ".taxiway/monitoring",
    model: str = "chicago_taxi",
    destination: str = "served/chicago_taxi",
    champion: int = 0,
    data: str = "data/chicago_taxi",
    module: str = "pipelines.chicago_taxi.model",
    train_steps: int = 1000,
    eval_steps: int = 100,
    eval_config: dict = EVAL_CONFIG,
    metric: str = "binary_accuracy",
    least_gain: float = 0.0,
    margin: float = 0.01,
    serving: dict = {"local": {}},
    allow_unversioned: bool = False,
):
    """Will the passenger tip more than a fifth of the fare? Trained again on recent trips.

    Args:
        window_start: The first time of the requests to train on.
        window_end: The time after them.
        tables: The tables of the served models, as in `taxiway serve --inference-tables`.
        model: The model's name, as the server knows it.
        destination: Where the model is pushed to if it is better than the champion.
        champion: The version to compare with; 0: the latest.
        data: The trips of the past: a path, or a path at a Git revision (`data/chicago_taxi@v1`).
        module: The module with `preprocessing_fn` and `run_fn`.
        train_steps: Training steps of 40 trips each.
        eval_steps: Steps of the evaluation after training.
        eval_config: TFMA's EvalConfig.
        metric: The metric by which the model has to be better on recent trips.
        least_gain: How much better.
        margin: How much worse it may be on the trips of the past.
        serving: Where the model has to load and answer before it is pushed.
        allow_unversioned: Take trips that DVC does not know.
    """
    # The past does not change from one window to the next, so these three come from the cache.
    history = ExampleGen(input_path=data, allow_unversioned=allow_unversioned).outputs["examples"]
    statistics = StatisticsGen(examples=history)
    schema = SchemaGen(statistics=statistics.outputs["statistics"]).outputs["schema"]

    # Splits `train` and `eval` of the past, with two thirds of the window in `train`, and the rest in `recent`.
    examples = InferenceExampleGen(
        tables=tables,
        model_name=model,
        window_start=window_start,
        window_end=window_end,
        schema=schema,
        history=history,
        splits={"train": 2, "recent": 1},
    ).outputs["examples"]

    transformed = Transform(examples=examples, schema=schema, module=module, transform_splits=["train", "eval"])
    trained = Trainer(
        examples=transformed.outputs["transformed_examples"],
        transform_graph=transformed.outputs["transform_graph"],
        schema=schema,
        module=module,
        train_steps=train_steps,
        eval_steps=eval_steps,
    )
    challenger = trained.outputs["model"]

    # The latest pushed model may change between runs, so this step is never cached.
    baseline = Baseline(candidate=challenger, destination=destination, champion=champion).set_caching_options(False)
    evaluated = Evaluator(
        examples=examples,
        model=challenger,
        baseline_model=baseline.outputs["model"],
        schema=schema,
        eval_config=eval_config,
    )
    judged = Judge(
        model=challenger,
        champion=baseline.outputs["model"],
        recent=examples,
        recent_splits=["recent"],
        examples=examples,
        schema=schema,
        eval_config=eval_config,
        metric=metric,
        least_gain=least_gain,
        margin=margin,
    )
    served = InfraValidator(model=challenger, examples=examples, serving=serving)
    # It always runs: where a blessing is missing, it pushes nothing and records the reason.
    Pusher(
        model=challenger,
        blessing=evaluated.outputs["blessing"],
        judge_blessing=judged.outputs["blessing"],
        infra_blessing=served.outputs["blessing"],
        evaluation=evaluated.outputs["evaluation"],
        destination=destination,
    )
