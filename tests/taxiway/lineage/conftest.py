"""The artifacts of a small pipeline, made with the real provenance and pusher code, and their recorded runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import TFX_VERSION, TYPES, Artifact, Report, Role
from components.execution import provenance
from taxiway.lineage.store import LineageStore

DATA = {
    "path": "data/trips",
    "revision": "v1",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dvc_file": "data.dvc",
    "dvc_hash": "0f343b0931126a20f133d67c2b018a3b.dir",
    "versioned": True,
}


@dataclass
class Task:
    name: str
    stage: str
    parameters: dict[str, Any]
    inputs: dict[str, Artifact]
    outputs: dict[str, Artifact]


@dataclass
class Flow:
    """Tasks in the order in which they ran; repeated runs only differ in the trainer's output."""

    folder: Path
    tasks: list[Task] = field(default_factory=list)
    attempt: str = ""

    def artifact(self, output: str) -> Artifact:
        return next(task.outputs[output] for task in self.tasks if output in task.outputs)

    def make(
        self,
        stage: str,
        outputs: dict[str, str],
        inputs: dict[str, Artifact] | None = None,
        parameters: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Writes a stage's outputs and its report, and records their provenance as the executor does."""
        parameters, inputs = parameters or {}, inputs or {}
        made = {name: self._written(stage, name, kind, dict(metadata or {})) for name, kind in outputs.items()}
        roles = {"module": Role("Module", "run_fn")} if "module" in parameters else {}
        made_by = provenance.activity(stage, parameters, roles, inputs)
        provenance.attach_all(made, made_by, inputs)
        report = Report(self.folder / stage / "report")
        report.path.write_text("a page")
        provenance.attach_own(report, "report", made_by)
        self.tasks.append(Task(stage, stage, parameters, inputs, {**made, "report": report}))

    def record(self, store: LineageStore, run_id: str, cached: bool = False) -> None:
        """Records a whole run of these tasks."""
        store.start_run(run_id, "trips", {"train_steps": 100}, datetime.now(UTC))
        for task in self.tasks:
            artifacts = {"inputs": task.inputs, "outputs": task.outputs}
            if cached:
                store.cached_task(run_id, task.name, task.stage, task.parameters, **artifacts)
            else:
                store.start_task(run_id, task.name, task.stage, task.parameters)
                store.finish_task(run_id, task.name, state="COMPLETE", **artifacts)
        store.finish_run(run_id, "SUCCEEDED")

    def _written(self, stage: str, name: str, kind: str, metadata: dict[str, Any]) -> Artifact:
        path = self.folder / stage / name
        (path / "Format-Serving").mkdir(parents=True)
        (path / "Format-Serving" / "saved_model.pb").write_text(
            f"{name} of {stage}{self.attempt * (stage == 'trainer')}"
        )
        return TYPES[kind](path, {"tfx_version": TFX_VERSION, "tfx_type": kind, **metadata})


@pytest.fixture
def flow(tmp_path: Path, run_stage: Callable[..., Any]) -> Flow:
    """A flow from data to a model, pushed to `<tmp_path>/served/7`."""
    module = tmp_path / "model.py"
    module.write_text("def run_fn(fn_args):\n    pass\n")
    flow = Flow(tmp_path / "artifacts")
    splits = {"span": 3, "version": 1, "split_names": '["train", "eval"]', "payload_format": "FORMAT_PARQUET"}
    versioned = {**splits, "data_version": json.dumps(DATA)}
    flow.make("example_gen", {"examples": "Examples"}, {}, {"input_path": "data/trips@v1"}, versioned)
    examples = flow.artifact("examples")
    flow.make("statistics_gen", {"statistics": "ExampleStatistics"}, {"examples": examples}, {}, splits)
    flow.make("schema_gen", {"schema": "Schema"}, {"statistics": flow.artifact("statistics")})
    inputs = {"examples": examples, "schema": flow.artifact("schema")}
    long = {"module": str(module), "train_steps": 100, "custom_config": {"text": "x" * 2000}}
    flow.make("trainer", {"model": "Model", "model_run": "ModelRun"}, inputs, long)
    inputs = {"examples": examples, "model": flow.artifact("model")}
    flow.make(
        "evaluator", {"evaluation": "ModelEvaluation", "blessing": "ModelBlessing"}, inputs, metadata={"blessed": 1}
    )
    inputs = {"model": flow.artifact("model"), "blessing": flow.artifact("blessing")}
    parameters = {"destination": str(tmp_path / "served"), "version": 7}
    outputs = run_stage("pusher", inputs, parameters)
    flow.tasks.append(Task("pusher", "pusher", parameters, inputs, outputs))
    return flow


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "home" / "lineage.db"


@pytest.fixture
def store(database: Path) -> LineageStore:
    return LineageStore.open(str(database))
