"""TFX's Chicago taxi pipeline on its LocalDagRunner, timing each component and the user's `run_fn`.

python -m benchmarks.tfx_taxi DATA_FOLDER MODULE.py ROOT FIGURES.json
"""

from __future__ import annotations

import json
import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tfx import v1 as tfx
from tfx.components.trainer import executor as trainer_executor

from benchmarks.settings import EVAL_CONFIG, EVAL_STEPS, TRAIN_STEPS

STAGES = {
    "CsvExampleGen": "example_gen",
    "StatisticsGen": "statistics_gen",
    "SchemaGen": "schema_gen",
    "ExampleValidator": "example_validator",
    "Transform": "transform",
    "Trainer": "trainer",
    "latest_blessed_model_resolver": "baseline",
    "Evaluator": "evaluator",
    "Pusher": "pusher",
}


def pipeline(data: Path, module: str, root: Path) -> Any:
    """The pipeline of `taxi_pipeline_native_keras.py` in the tfx wheel, on the in-memory DirectRunner."""
    examples = tfx.components.CsvExampleGen(input_base=str(data))
    statistics = tfx.components.StatisticsGen(examples=examples.outputs["examples"])
    schema = tfx.components.SchemaGen(statistics=statistics.outputs["statistics"], infer_feature_shape=True)
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    transform = tfx.components.Transform(
        examples=examples.outputs["examples"], schema=schema.outputs["schema"], module_file=module
    )
    trainer = tfx.components.Trainer(
        module_file=module,
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        train_args=tfx.proto.TrainArgs(num_steps=TRAIN_STEPS),
        eval_args=tfx.proto.EvalArgs(num_steps=EVAL_STEPS),
    )
    baseline = tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("latest_blessed_model_resolver")
    evaluator = tfx.components.Evaluator(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        eval_config=json_format.ParseDict(EVAL_CONFIG, tfma.EvalConfig()),
    )
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(root / "served"))
        ),
    )
    components = [examples, statistics, schema, validator, transform, trainer, baseline, evaluator, pusher]
    return tfx.dsl.Pipeline(
        pipeline_name="taxi",
        pipeline_root=str(root / "artifacts"),
        components=components,
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(root / "metadata.db")
        ),
        beam_pipeline_args=["--direct_running_mode=in_memory"],
    )


def main(data: str, module: str, root: str, output: str) -> None:
    """Runs the pipeline and writes a list of `{"stage", "wall_s", "cpu_s", "peak_mb"}`."""
    figures: list[dict[str, Any]] = []
    _time_run_fn(figures)
    runner = tfx.orchestration.LocalDagRunner()
    _time_components(figures)
    Path(root).mkdir(parents=True, exist_ok=True)
    runner.run(pipeline(Path(data), module, Path(root)))
    Path(output).write_text(json.dumps(figures))


def _measured(figures: list[dict[str, Any]], name: str, function: Any, *arguments: Any) -> Any:
    began, cpu = time.monotonic(), time.process_time()
    result = function(*arguments)
    figure = {
        "stage": name,
        "wall_s": round(time.monotonic() - began, 3),
        "cpu_s": round(time.process_time() - cpu, 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    figures.append(figure)
    return result


def _time_run_fn(figures: list[dict[str, Any]]) -> None:
    get_fn = trainer_executor.udf_utils.get_fn

    def timed(properties: Any, name: str, *arguments: Any) -> Any:
        function = get_fn(properties, name, *arguments)
        return partial(_measured, figures, name, function) if name == "run_fn" else function

    trainer_executor.udf_utils.get_fn = timed


def _time_components(figures: list[dict[str, Any]]) -> None:
    from tfx.orchestration.portable import launcher

    launch = launcher.Launcher.launch

    def timed(self: Any) -> Any:
        return _measured(figures, STAGES[self._pipeline_node.node_info.id], launch, self)

    launcher.Launcher.launch = timed


if __name__ == "__main__":
    main(*sys.argv[1:])
