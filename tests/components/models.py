"""Models and their provenance, for tests of the stages that push and fetch them."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.contract.artifacts import (
    Artifact,
    Examples,
    ExampleStatistics,
    Model,
    ModelBlessing,
    ModelEvaluation,
    Schema,
    TransformGraph,
)
from components.execution import provenance
from components.execution.executor import execute
from components.pusher.stage import pusher

DATA_VERSION = {"path": "data/chicago_taxi", "md5": "2a1b", "revision": "v1"}


def make_model(folder: Path, seed: int = 0, *, files: int = 2, size: int = 2000) -> Model:
    """A Model with the files of a SavedModel; their bytes are random, so each seed gives a different model."""
    values = random.Random(seed)
    serving = folder / "Format-Serving"
    (serving / "variables").mkdir(parents=True)
    (serving / "assets").mkdir()
    (serving / "saved_model.pb").write_bytes(values.randbytes(size))
    for number in range(files):
        (serving / "variables" / f"variables.data-{number:05d}").write_bytes(values.randbytes(size))
    return Model(folder)


def make_blessing(folder: Path, blessed: bool = True) -> ModelBlessing:
    """A blessing as the evaluator writes it."""
    folder.mkdir(parents=True)
    (folder / ("BLESSED" if blessed else "NOT_BLESSED")).touch()
    return ModelBlessing(folder, {"blessed": int(blessed)})


def make_history(
    folder: Path, seed: int = 0, find_baseline: Callable[[Model], Model] | None = None
) -> tuple[Model, ModelBlessing]:
    """A model and its blessing with their whole chain, stamped as by the executor."""
    examples = Examples(_written(folder / "examples"), {"data_version": json.dumps(DATA_VERSION)})
    statistics = ExampleStatistics(_written(folder / "statistics"))
    schema, graph = Schema(_written(folder / "schema")), TransformGraph(_written(folder / "graph"))
    model = make_model(folder / "model", seed)
    evaluation, blessing = ModelEvaluation(_written(folder / "evaluation")), make_blessing(folder / "blessing")
    _stamp("example_gen", {"examples": examples}, {})
    _stamp("statistics_gen", {"statistics": statistics}, {"examples": examples})
    _stamp("schema_gen", {"schema": schema}, {"statistics": statistics})
    _stamp("transform", {"transform_graph": graph}, {"examples": examples, "schema": schema})
    _stamp("trainer", {"model": model}, {"examples": examples, "transform_graph": graph})
    compared = {"baseline_model": find_baseline(model)} if find_baseline else {}
    judged = {"examples": examples, "model": model, **compared}
    _stamp("evaluator", {"evaluation": evaluation, "blessing": blessing}, judged)
    return model, blessing


def _written(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "content").write_text(folder.name)
    return folder


def _stamp(stage: str, outputs: Mapping[str, Artifact], inputs: Mapping[str, Artifact]) -> None:
    provenance.attach_all(outputs, provenance.activity(stage, {}, {}, inputs), inputs)


def pusher_input(
    model: Model, destination: str, folder: Path, version: int = 0, blessing: ModelBlessing | None = None
) -> dict[str, Any]:
    """The ExecutorInput of a push that writes its outputs to a folder."""
    inputs = {"model": model} | ({"blessing": blessing} if blessing else {})
    pushed = {"name": "pushed_model", "uri": str(folder / "pushed_model"), "metadata": {}}
    return {
        "inputs": {
            "parameterValues": {"destination": destination, "version": version},
            "artifacts": {
                name: {"artifacts": [{"uri": str(artifact.path), "metadata": artifact.metadata}]}
                for name, artifact in inputs.items()
            },
        },
        "outputs": {
            "artifacts": {"pushed_model": {"artifacts": [pushed]}},
            "outputFile": str(folder / "executor_output.json"),
        },
    }


def pusher_command(model: Model, destination: str, folder: Path, version: int = 0) -> list[str]:
    """The container command for a push without a blessing."""
    document = json.dumps(pusher_input(model, destination, folder, version))
    return [sys.executable, "-m", "components", "pusher", "--executor-input", document]


def push_in_process(seed: int, files: int, destination: str, folder: Path) -> None:
    """Pushes a new model; runs in a process that a test kills."""
    execute(pusher, pusher_input(make_model(folder / "model", seed, files=files), destination, folder))
