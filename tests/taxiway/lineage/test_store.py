from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from components.contract.artifacts import Model, Schema
from taxiway.lineage.connection import connect
from taxiway.lineage.store import LineageStore

KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from taxiway.lineage.store import LineageStore
store = LineageStore.open(sys.argv[1])
store.start_run("killed", "trips", {}, datetime.now(UTC))
store.start_task("killed", "trainer", "trainer", {})
os.kill(os.getpid(), signal.SIGKILL)
"""

RECORDING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from components.contract.artifacts import Model
from taxiway.lineage.store import LineageStore
name = sys.argv[2]
store = LineageStore.open(sys.argv[1])
for run in range(5):
    run_id = f"{name}-{run}"
    store.start_run(run_id, "trips", {}, datetime.now(UTC))
    for task in ("a", "b", "c"):
        store.start_task(run_id, task, task, {})
        shared = Model(Path("/models/shared"), {"digest": "sha256:" + "0" * 64})
        own = Model(Path(f"/models/{run_id}/{task}"), {"digest": "sha256:" + "1" * 64})
        store.finish_task(run_id, task, state="COMPLETE", inputs={"base": shared}, outputs={"model": own})
    store.finish_run(run_id, "SUCCEEDED")
"""


@pytest.fixture
def mlmd(database: Path, store: LineageStore) -> MetadataStore:
    """ML Metadata's own client on the same file."""
    return connect(str(database))


def _executions(mlmd: MetadataStore) -> dict[str, pb.Execution]:
    return {execution.name: execution for execution in mlmd.get_executions()}


def test_a_run_is_recorded_with_contexts_executions_artifacts_and_events(store, mlmd, flow):
    flow.record(store, "r1")
    [run] = mlmd.get_contexts_by_type("pipeline_run")
    [pipeline] = mlmd.get_parent_contexts_by_context(run.id)
    assert (run.name, pipeline.name, pipeline.type) == ("r1", "trips", "pipeline")
    assert {c.name for c in mlmd.get_contexts_by_type("node")} == {f"trips.{task.name}" for task in flow.tasks}
    executions = _executions(mlmd)
    assert list(executions) == [f"r1/{task.name}" for task in flow.tasks]
    trainer = executions["r1/trainer"]
    assert (trainer.type, trainer.last_known_state) == ("trainer", pb.Execution.COMPLETE)
    assert trainer.create_time_since_epoch <= trainer.last_update_time_since_epoch
    events = mlmd.get_events_by_execution_ids([trainer.id])
    read = {a.id: a for a in mlmd.get_artifacts()}
    ports = {(pb.Event.Type.Name(e.type), e.path.steps[0].key, read[e.artifact_id].type) for e in events}
    assert ports == {
        ("INPUT", "examples", "Examples"),
        ("INPUT", "schema", "Schema"),
        ("OUTPUT", "model", "Model"),
        ("OUTPUT", "model_run", "ModelRun"),
    }
    assert {a.name for a in mlmd.get_artifacts_by_context(run.id)} >= {"r1/trainer/model", "r1/pusher/pushed_model"}


def test_artifacts_carry_type_properties_and_provenance(store, mlmd, flow):
    flow.record(store, "r1")
    [examples] = mlmd.get_artifacts_by_type("Examples")
    assert examples.state == pb.Artifact.LIVE
    assert examples.properties["span"].int_value == 3
    assert examples.properties["split_names"].string_value == '["train", "eval"]'
    assert examples.custom_properties["tfx_version"].string_value == "1.21.0"
    assert examples.custom_properties["name"].string_value == "examples"
    # The full record, although long parameters are shortened in the artifact's metadata.
    model = store.artifacts(type_name="Model")[-1]
    assert model.records[0]["parameters"]["custom_config"] == {"text": "x" * 2000}


def test_a_cached_run_reuses_the_artifacts(store, mlmd, flow):
    flow.record(store, "r1")
    before = {a.id: a.last_update_time_since_epoch for a in mlmd.get_artifacts()}
    flow.record(store, "r2", cached=True)
    assert {a.id: a.last_update_time_since_epoch for a in mlmd.get_artifacts()} == before
    cached = _executions(mlmd)["r2/trainer"]
    assert cached.last_known_state == pb.Execution.CACHED
    assert cached.custom_properties["cached"].int_value == 1


def test_runs_are_listed_latest_first_with_their_results(store, flow, tmp_path):
    flow.record(store, "r1")
    flow.record(store, "r2", cached=True)
    store.start_run("r3", "trips", {}, datetime.now(UTC) - timedelta(seconds=90))
    store.start_task("r3", "trainer", "trainer", {})
    latest, cached, first = store.runs()
    assert (latest.id, latest.state, latest.tasks, latest.blessed, latest.pushed) == (
        "r3",
        "RUNNING",
        {"RUNNING": 1},
        None,
        [],
    )
    assert latest.seconds > 89
    assert cached.tasks == {"CACHED": 6}
    assert (first.pipeline, first.state, first.blessed) == ("trips", "SUCCEEDED", True)
    assert first.pushed == cached.pushed == [str(tmp_path / "served" / "7")]
    assert [run.id for run in store.runs(1)] == ["r3"]


def test_an_artifact_under_two_ports_is_one_event_with_both(store, mlmd, tmp_path):
    model = Model(tmp_path / "m", {"digest": "sha256:" + "a" * 64})
    store.start_run("r", "p", {}, datetime.now(UTC))
    store.start_task("r", "evaluator", "evaluator", {})
    both = {"model": model, "baseline_model": model}
    store.finish_task("r", "evaluator", state="COMPLETE", inputs=both, outputs={})
    [event] = mlmd.get_events_by_execution_ids([_executions(mlmd)["r/evaluator"].id])
    assert [step.key or step.index for step in event.path.steps] == ["model", 0, "baseline_model", 0]


def test_new_content_at_the_same_place_is_another_artifact(store, tmp_path):
    store.start_run("r", "p", {}, datetime.now(UTC))
    for number in range(2):
        store.start_task("r", f"t{number}", "schema_gen", {})
        schema = Schema(tmp_path / "s", {"digest": f"sha256:{number:064}"})
        store.finish_task("r", f"t{number}", state="COMPLETE", inputs={}, outputs={"schema": schema})
    assert [a.digest[-1] for a in store.artifacts(uri=str(tmp_path / "s"))] == ["0", "1"]


def test_a_failed_task_keeps_its_error_and_inputs(store, mlmd, flow):
    store.start_run("r", "p", {}, datetime.now(UTC))
    store.start_task("r", "trainer", "trainer", {"train_steps": 5})
    inputs = {"examples": flow.artifact("examples")}
    store.finish_task("r", "trainer", state="FAILED", inputs=inputs, outputs={}, error="model.py raised ValueError")
    store.finish_run("r", "FAILED", "trainer failed")
    execution = _executions(mlmd)["r/trainer"]
    assert execution.last_known_state == pb.Execution.FAILED
    assert execution.custom_properties["error"].string_value == "model.py raised ValueError"
    assert store.runs()[0].error == "trainer failed"


def test_a_finished_run_leaves_no_task_running(store, mlmd):
    store.start_run("r", "p", {}, datetime.now(UTC))
    store.start_task("r", "trainer", "trainer", {})
    store.finish_run("r", "CANCELED")
    assert _executions(mlmd)["r/trainer"].last_known_state == pb.Execution.CANCELED


def test_a_killed_run_is_closed_and_a_running_one_is_not(store, mlmd, database):
    subprocess.run([sys.executable, "-c", KILLED, str(database)], check=False)
    store.start_run("alive", "trips", {}, datetime.now(UTC))
    store.start_task("alive", "trainer", "trainer", {})
    assert store.close_abandoned(alive={"alive"}) == ["killed"]
    states = {name: pb.Execution.State.Name(e.last_known_state) for name, e in _executions(mlmd).items()}
    assert states == {"killed/trainer": "FAILED", "alive/trainer": "RUNNING"}
    assert {run.id: (run.state, run.error[:9]) for run in store.runs()} == {
        "killed": ("FAILED", "abandoned"),
        "alive": ("RUNNING", ""),
    }
    assert store.close_abandoned(alive={"alive"}) == []


def test_several_processes_record_into_one_file(database):
    command = [sys.executable, "-c", RECORDING, str(database)]
    processes = [subprocess.Popen([*command, f"p{number}"]) for number in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    runs = LineageStore.open(str(database)).runs()
    assert len(runs) == 15
    assert all(run.tasks == {"COMPLETE": 3} and run.state == "SUCCEEDED" for run in runs)
    assert len(LineageStore.open(str(database)).artifacts()) == 15 * 3 + 1


def test_recording_waits_for_a_locked_file(store, database):
    hold = "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
    hold += "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); time.sleep(0.5)"
    with subprocess.Popen([sys.executable, "-c", hold, str(database)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        store.start_run("r", "p", {}, datetime.now(UTC))
    assert [run.id for run in store.runs()] == ["r"]


def test_a_fully_cached_run_of_nine_tasks_costs_little(store, flow):
    flow.tasks += [dataclasses.replace(task, name=f"{task.name}-2") for task in flow.tasks[:3]]
    flow.record(store, "r0")
    began = time.process_time()
    flow.record(store, "r1", cached=True)
    # CPU time, so that a loaded machine does not make the test fail.
    assert time.process_time() - began < 0.1
    assert store.runs(1)[0].tasks == {"CACHED": 9}


def test_reading_creates_nothing(database):
    assert LineageStore.open_existing(str(database)) is None
    assert not database.exists()
    LineageStore.open(str(database))
    opened = LineageStore.open_existing(str(database))
    assert opened is not None
    assert opened.runs() == []


def test_a_task_that_was_never_started_cannot_finish(store):
    with pytest.raises(LookupError, match="r/trainer was never started"):
        store.finish_task("r", "trainer", state="COMPLETE", inputs={}, outputs={})


def test_metadata_of_every_json_type_are_read_back(store, tmp_path):
    metadata: dict[str, Any] = {"digest": "d", "a": 1, "b": 1.5, "c": "x", "d": [1.0, "y"], "e": {"k": 2.0}, "f": None}
    store.start_run("r", "p", {}, datetime.now(UTC))
    store.start_task("r", "t", "t", {})
    store.finish_task("r", "t", state="COMPLETE", inputs={"i": Model(tmp_path, metadata)}, outputs={})
    [stored] = store.artifacts()
    assert stored.metadata == {k: v for k, v in metadata.items() if v is not None} | {
        "tfx_version": "1.21.0",
        "name": "i",
    }


def test_sqlite_is_not_left_in_a_state_that_other_tools_cannot_read(store, database, flow):
    flow.record(store, "r")
    with sqlite3.connect(database) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()
