"""Writes homes with finished runs, without running anything."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from taxiway.storage.home import Home

Json = dict[str, Any]
PACKAGES = ["python 3.13.5", "numpy==2.4.6", "tensorflow==2.21.0"]


@dataclass
class MadeTask:
    """A task: its state, its outputs with their metadata and provenance, and the tasks that it depends on."""

    outputs: Mapping[str, Json] = field(default_factory=dict)
    parts: Json = field(default_factory=dict)
    state: str = "SUCCEEDED"
    seconds: float = 1.5
    error: str = ""
    after: Sequence[str] = ()
    stages: Sequence[Json] = ()
    title: str = "system.Artifact"


def make_run(
    home: Home,
    run_id: str,
    tasks: Mapping[str, MadeTask],
    parameters: Mapping[str, Any] | None = None,
    state: str = "SUCCEEDED",
    log: str = "",
    known: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a run's folder and its artifacts, and returns the folder; `known` is what else `run.json` has."""
    pipeline = run_id.rsplit("-", 3)[0]
    folder = home.runs / run_id
    (folder / "logs").mkdir(parents=True)
    document = {
        "run": run_id,
        "pipeline": pipeline,
        "parameters": dict(parameters or {}),
        "state": state,
        "seconds": 0 if state == "RUNNING" else 12.5,
        "tasks": {name: _task(home, pipeline, name, task) for name, task in tasks.items()},
        **(known or {}),
    }
    (folder / "run.json").write_text(json.dumps(document))
    (folder / "pipeline.yaml").write_text(json.dumps(_spec(pipeline, tasks, parameters or {})))
    for name in tasks:
        (folder / "logs" / f"{name}.log").write_text(log)
    return folder


def _task(home: Home, pipeline: str, name: str, task: MadeTask) -> Json:
    place = (
        home.artifacts
        / pipeline
        / name
        / f"{zlib.crc32(json.dumps([task.parts, task.outputs], sort_keys=True).encode()):08x}"
    )
    for output, metadata in task.outputs.items():
        (place / output).mkdir(parents=True, exist_ok=True)
        (place / output / "file").write_text(json.dumps(metadata))
    if task.outputs:
        described = {output: [_artifact(place, output, task, each)] for output, each in task.outputs.items()}
        (place / "manifest.json").write_text(json.dumps({"key": "k", "parts": task.parts, "artifacts": described}))
    return {
        "state": task.state,
        "seconds": task.seconds,
        "cpu_seconds": 0.5,
        "peak_mb": 107.7,
        "outputs": {output: str(place / output) for output in task.outputs},
        "parameters": {},
        "error": task.error,
        **({"stages": list(task.stages)} if task.stages else {}),
    }


def _artifact(place: Path, output: str, task: MadeTask, metadata: Json) -> Json:
    return {"name": output, "uri": str(place / output), "type": {"schemaTitle": task.title}, "metadata": metadata}


def _spec(pipeline: str, tasks: Mapping[str, MadeTask], parameters: Mapping[str, Any]) -> Json:
    component = {"executorLabel": "exec"}
    return {
        "pipelineInfo": {"name": pipeline},
        "components": {"comp": component},
        "deploymentSpec": {"executors": {"exec": {"container": {"image": "any:1"}}}},
        "root": {
            "dag": {
                "tasks": {
                    name: {"componentRef": {"name": "comp"}, "dependentTasks": list(task.after)}
                    for name, task in tasks.items()
                }
            },
            "inputDefinitions": {
                "parameters": {name: {"parameterType": "STRING", "defaultValue": "default"} for name in parameters}
            },
        },
    }


def parts(**changed: Any) -> Json:
    """The inputs, data and modules in a task's provenance."""
    return {
        "code": "sha256:" + "a" * 64,
        "packages": PACKAGES,
        "parameters": {"steps": 10},
        "named": {"data": {"path": "data/taxi", "content": "sha256:" + "b" * 64, "dvc_hash": "c" * 32}},
        "inputs": {},
        **changed,
    }


def record(commit: str, **more: Any) -> str:
    """The provenance of an output."""
    return json.dumps({"code": {"commit": commit, "modified": False}, "data": None, **more})
