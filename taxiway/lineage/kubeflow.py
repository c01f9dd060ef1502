"""Reads a run from Kubeflow's own ML Metadata (up to version 2.18), and copies it into our store.

Source: kubeflow/pipelines, backend/src/v2/metadata/client.go (what is written), and the gRPC-Web protocol: one frame
per message with a five-byte header; the status is in the last frame or in the headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service

from components.contract.artifacts import TYPES, Artifact, Metrics
from components.execution.executor import local_path
from components.fused.plan import SKIPPED
from taxiway.lineage.store import LineageStore

CONTENT_TYPE = "application/grpc-web+proto"
Post = Callable[[str, bytes], bytes]
"""Posts a body to a path and returns the response body; empty if the path is not served."""

_SERVICE = "ml_metadata.MetadataStoreService"
_GROUP = re.compile(r"(condition|condition-branches|for-loop|exit-handler)-\d+(-\d+)*")
_OUTPUTS = (pb.Event.OUTPUT, pb.Event.DECLARED_OUTPUT)
_STATES = {pb.Execution.COMPLETE: "COMPLETE", pb.Execution.CACHED: "CACHED", pb.Execution.FAILED: "FAILED"}


@dataclass
class RemoteTask:
    """A container of a run: its name as in a local run, its state in the store, its parameters and artifacts."""

    name: str
    state: str
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Artifact] = field(default_factory=dict)
    outputs: dict[str, Artifact] = field(default_factory=dict)

    def made(self) -> RemoteTask:
        """The task without outputs of fused stages that a condition skipped; Kubeflow lists them all the same."""
        outputs = {name: artifact for name, artifact in self.outputs.items() if SKIPPED not in artifact.metadata}
        return replace(self, outputs=outputs)


def tasks_of(run_id: str, post: Post) -> list[RemoteTask]:
    """The containers of a run that have started, in that order; empty if the metadata is not available."""
    run = _ask(post, "GetContextByTypeAndName", type_name="system.PipelineRun", context_name=run_id)
    if not run.HasField("context"):
        return []
    executions = _ask(post, "GetExecutionsByContext", context_id=run.context.id).executions
    artifacts = _ask(post, "GetArtifactsByContext", context_id=run.context.id).artifacts
    events = _ask(post, "GetEventsByExecutionIDs", execution_ids=[execution.id for execution in executions]).events
    return _tasks({e.id: e for e in sorted(executions, key=lambda e: e.id)}, {a.id: a for a in artifacts}, events)


def record(
    store: LineageStore,
    *,
    run_id: str,
    pipeline: str,
    started: datetime,
    ended: datetime,
    state: str,
    run: RemoteRun,
) -> None:
    """Copies a finished run into a store; a run that is already there is not changed."""
    store.start_run(run_id, pipeline, run.parameters, started)
    for task in run.tasks:
        stage = run.stages.get(re.sub(r"\[\d+\]", "", task.name), task.name)
        inputs, outputs = task.inputs, task.outputs
        if task.state == "CACHED":
            store.cached_task(run_id, task.name, stage, task.parameters, inputs=inputs, outputs=outputs)
        else:
            store.start_task(run_id, task.name, stage, task.parameters)
            store.finish_task(run_id, task.name, state=task.state, inputs=inputs, outputs=outputs)
    store.finish_run(run_id, state, ended=ended)


@dataclass(frozen=True)
class RemoteRun:
    """What is copied from a run: its parameters, its tasks, and the stage of each task by task name."""

    parameters: Mapping[str, Any]
    tasks: list[RemoteTask]
    stages: Mapping[str, str]


def _ask(post: Post, method: str, **fields: Any) -> Any:
    """Calls a method over gRPC-Web; returns an empty response if it is not served or fails."""
    answer = getattr(service, f"{method}Response")
    body = getattr(service, f"{method}Request")(**fields).SerializeToString()
    framed = post(f"{_SERVICE}/{method}", b"\0" + len(body).to_bytes(4, "big") + body)
    length = int.from_bytes(framed[1:5], "big")
    # The first byte is 0 for a message and 128 for the trailers; a web page starts with neither.
    if framed[:1] != b"\0" or len(framed) < 5 + length:
        return answer()
    try:
        return answer.FromString(framed[5 : 5 + length])
    except DecodeError:
        return answer()


def _tasks(
    executions: Mapping[int, pb.Execution], artifacts: Mapping[int, pb.Artifact], events: Any
) -> list[RemoteTask]:
    found = {
        id_: RemoteTask(_name(execution, executions), _state(execution), _struct(execution, "inputs"))
        for id_, execution in executions.items()
        if execution.type != "system.DAGExecution" and execution.custom_properties["task_name"].string_value
    }
    for event in events:
        if event.execution_id in found and event.artifact_id in artifacts:
            task = found[event.execution_id]
            ports = task.outputs if event.type in _OUTPUTS else task.inputs
            ports[event.path.steps[0].key] = _artifact(artifacts[event.artifact_id])
    return list(found.values())


def _name(execution: pb.Execution, executions: Mapping[int, pb.Execution]) -> str:
    """`sub/task`, followed by the loop iterations, `[2]`."""
    own = str(execution.custom_properties["task_name"].string_value)
    outer, turns = "", ""
    parent = execution
    while parent := executions.get(parent.custom_properties["parent_dag_id"].int_value):
        name = parent.custom_properties["task_name"].string_value
        if "iteration_index" in parent.custom_properties:
            turns = f"[{parent.custom_properties['iteration_index'].int_value}]{turns}"
        elif name and not _GROUP.fullmatch(name):
            outer = f"{name}/{outer}"
    return outer + own + turns


def _state(execution: pb.Execution) -> str:
    return _STATES.get(execution.last_known_state, "CANCELED")


def _struct(execution: pb.Execution, key: str) -> dict[str, Any]:
    return dict(json_format.MessageToDict(execution.custom_properties[key].struct_value))


def _artifact(stored: pb.Artifact) -> Artifact:
    metadata = {key: _plain(value) for key, value in stored.custom_properties.items()}
    kind = TYPES.get(str(metadata.get("tfx_type", "")), Metrics if stored.type == Metrics.schema_title else Artifact)
    return kind(local_path(stored.uri), metadata, stored.uri)


def _plain(value: pb.Value) -> Any:
    """A property as JSON: Kubeflow wraps lists and objects in an object with one key."""
    kind = value.WhichOneof("value")
    if kind != "struct_value":
        return getattr(value, kind) if kind else None
    decoded = json_format.MessageToDict(value.struct_value)
    return next(iter(decoded.values())) if decoded.keys() in ({"list"}, {"struct"}) else decoded
