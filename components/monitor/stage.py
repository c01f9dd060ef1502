"""Monitor: compares the recorded requests of a served model with its training data, and counts the alarms."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from components.contract.artifacts import (
    Destination,
    EvalSettings,
    Examples,
    Input,
    Model,
    ModelEvaluation,
    ModelMonitoring,
    Output,
    Role,
    Schema,
)
from components.contract.declaration import Stage
from components.contract.libraries import MODEL_ANALYSIS, TENSORFLOW, TFX, TRANSFORM
from components.monitor import settings as monitor_settings

MonitorSettings = Annotated[dict, Role("Monitoring", check=monitor_settings.parse)]


class Alarms(NamedTuple):
    """The number of open alarms."""

    alarms: int


def monitor(
    examples: Input[Examples],
    monitoring: Output[ModelMonitoring],
    tables: Destination,
    model_name: str,
    model: Input[Model] | None = None,
    schema: Input[Schema] | None = None,
    evaluation: Input[ModelEvaluation] | None = None,
    version: int = 0,
    eval_config: EvalSettings = {},
    settings: MonitorSettings = {},
    train_split: str = "train",
    eval_split: str = "eval",
    on_alarm: str = "continue",
) -> Alarms:
    """Compares the recorded requests of a served model with its training data, once, and counts the open alarms.

    It computes the windows with new requests or labels as `taxiway monitor` does, and writes to the same tables. The
    next pass goes on where this one ends. A task of this stage always runs, because its result depends on the tables
    and on the time.

    Args:
        examples: The examples that the model was trained on.
        monitoring: The windows of this pass, the alarms, and the rows of the latest windows as Parquet files.
        tables: The folder or URL with the tables of all models, as in `taxiway serve --inference-tables`.
        model_name: The model's name, as the server knows it.
        model: The model as trained or as pushed, to compare its predictions; without one, only inputs are compared.
        schema: The schema of the examples.
        evaluation: The model's evaluation, whose metrics are compared with the quality in use.
        version: The version that was trained on these examples. Requests that other versions answered are counted and
            not compared. 0: requests that any version answered are compared with these examples.
        eval_config: TFMA's EvalConfig: the label, the metrics and the slices. By default that of the evaluation.
        settings: The settings of `taxiway monitor --settings` as JSON, without `alerts`.
        train_split: The split that the model was trained on.
        eval_split: The split that it was evaluated on, from which quality is estimated before labels are there.
        on_alarm: `continue`, or `fail`: the stage fails if an alarm is open. The tables are written in both cases.
        alarms: The number of open alarms that nobody has acknowledged.
    """
    from components.monitor import output, watching

    watching.require_known(on_alarm)
    asked = watching.Asked(
        tables=tables,
        model_name=model_name,
        version=version,
        trained=watching.trained(
            examples, model, schema, evaluation, eval_config=eval_config, splits=(train_split, eval_split)
        ),
        settings=monitor_settings.parse(settings),
    )
    passed = watching.watch(asked)
    if passed.open and on_alarm == watching.FAIL:
        raise watching.failure(asked, passed)
    output.write(monitoring, asked, passed)
    return Alarms(len(passed.open))


STAGE = Stage(
    function=monitor,
    image="train",
    loads=(TENSORFLOW, TRANSFORM, TFX, MODEL_ANALYSIS),
    after="pusher",
    always_runs=True,
    has_report=True,
)
