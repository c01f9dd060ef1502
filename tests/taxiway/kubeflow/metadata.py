"""Writes to ML Metadata what Kubeflow's driver and launcher would write for a run.

Source: kubeflow/pipelines, backend/src/v2/metadata/client.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import struct_pb2
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from components.contract.artifacts import Artifact, Examples, Model, ModelBlessing, PushedModel
from components.execution import provenance


@dataclass(frozen=True)
class Call:
    """A container of the run `run-0`: its task, whether it is in the branch `condition-1`, and what it did."""

    task: str
    is_cached: bool
    inputs: dict[str, Artifact]
    outputs: dict[str, Artifact]
    in_branch: bool = False


def calls(folder: Path) -> list[Call]:
    """The calls of the run; the last one pushed a model."""
    examples = _made(Examples(folder / "examples"), "examples", "example_gen", {})
    model = _made(Model(folder / "model"), "model", "baseline", {"examples": examples})
    verdict = ModelBlessing(folder / "blessing", {"blessed": 1})
    verdict.summarize("blessing", "blessed")
    blessing = _made(verdict, "blessing", "baseline", {"examples": examples})
    facts = {"pushed": 1, "pushed_destination": "/models/taxi/7", "pushed_version": "7"}
    version = PushedModel(folder / "pushed_model", facts)
    version.summarize("pushed", "/models/taxi/7")
    pushed = _made(version, "pushed_model", "pusher", {"model": model})
    return [
        Call("example-gen", True, {}, {"examples": examples}),
        Call("baseline", False, {"examples": examples}, {"model": model, "blessing": blessing}),
        Call("pusher", False, {"model": model}, {"pushed_model": pushed}, in_branch=True),
    ]


def recorded(made: list[Call]) -> MetadataStore:
    """An ML Metadata store with the run."""
    connection = pb.ConnectionConfig()
    connection.fake_database.SetInParent()
    store = MetadataStore(connection)
    writer = _Writer(store)
    root = writer.execution("system.DAGExecution", "", 0, pb.Execution.RUNNING)
    branch = writer.execution("system.DAGExecution", "condition-1", root, pb.Execution.RUNNING)
    for call in made:
        state = pb.Execution.CACHED if call.is_cached else pb.Execution.COMPLETE
        writer.container(call.task, branch if call.in_branch else root, state, call.inputs, call.outputs)
    # The driver writes this for a branch that is not taken.
    writer.execution("system.DAGExecution", "condition-2", root, pb.Execution.CANCELED)
    return store


def told_by_task_api(made: list[Call]) -> list[dict[str, Any]]:
    """The same run as Kubeflow's own task API would list it.

    Source: kubeflow/pipelines, proposals/12147-mlmd-removal.
    """
    times = {"start_time": "2026-11-21T03:00:00Z", "end_time": "2026-11-21T03:00:09Z"}
    tasks: list[dict[str, Any]] = [
        {"task_id": "root", "name": "root", "type": "ROOT", "state": "SUCCEEDED", **times},
        {"task_id": "branch", "name": "condition-2", "type": "CONDITION", "parent_task_id": "root", **times},
    ]
    for number, call in enumerate(made):
        task = {
            "task_id": str(number),
            "name": call.task,
            "type": "RUNTIME",
            "parent_task_id": "branch" if call.in_branch else "root",
            "state": "CACHED" if call.is_cached else "SUCCEEDED",
            "inputs": {"parameters": [{"name": "destination", "value": "/models"}], "artifacts": _listed(call.inputs)},
            "outputs": {"artifacts": _listed(call.outputs)},
            **times,
            "end_time": f"2026-11-21T03:00:0{1 if call.is_cached else 9}Z",
        }
        tasks.append(task)
    return tasks


def _listed(ports: dict[str, Artifact]) -> list[dict[str, Any]]:
    return [
        {"parameter_name": port, "value": {"uri": artifact.uri, "metadata": artifact.metadata}}
        for port, artifact in ports.items()
    ]


def _made(artifact: Artifact, output: str, stage: str, inputs: dict[str, Artifact]) -> Artifact:
    artifact.path.mkdir()
    (artifact.path / "file").write_text(output)
    artifact.metadata |= {"tfx_type": artifact.type_name, "split_names": ["train", "eval"]}
    artifact.uri = f"minio://mlpipeline/v2/{output}"
    provenance.attach(artifact, output, provenance.activity(stage, {}, {}, inputs), inputs)
    return artifact


class _Writer:
    def __init__(self, store: MetadataStore) -> None:
        self._store = store
        self._stored: dict[str, int] = {}
        types = {
            name: store.put_context_type(pb.ContextType(name=f"system.{name}")) for name in ("Pipeline", "PipelineRun")
        }
        self._contexts = store.put_contexts(
            [
                pb.Context(type_id=types["Pipeline"], name="small"),
                pb.Context(type_id=types["PipelineRun"], name="run-0"),
            ]
        )

    def execution(self, kind: str, task: str, parent: int, state: Any, **events: dict[str, Artifact]) -> int:
        properties: dict[str, Any] = {
            "task_name": pb.Value(string_value=task),
            "display_name": pb.Value(string_value=task),
        }
        if parent:
            properties["parent_dag_id"] = pb.Value(int_value=parent)
        execution = pb.Execution(
            type_id=self._store.put_execution_type(pb.ExecutionType(name=kind)),
            last_known_state=state,
            custom_properties=properties,
        )
        execution.custom_properties["inputs"].struct_value.update({"destination": "/models"})
        contexts = [pb.Context(id=id_) for id_ in self._contexts]
        id_, _, _ = self._store.put_execution(execution, [], self._store.get_contexts_by_id([c.id for c in contexts]))
        return int(id_)

    def container(
        self, task: str, parent: int, state: Any, inputs: dict[str, Artifact], outputs: dict[str, Artifact]
    ) -> None:
        execution = self.execution("system.ContainerExecution", task, parent, state)
        sides = ((inputs, pb.Event.INPUT), (outputs, pb.Event.OUTPUT))
        for ports, kind in sides:
            for port, artifact in ports.items():
                path = pb.Event.Path(steps=[pb.Event.Path.Step(key=port)])
                event = pb.Event(execution_id=execution, artifact_id=self._artifact(artifact), type=kind, path=path)
                self._store.put_events([event])

    def _artifact(self, artifact: Artifact) -> int:
        if artifact.uri not in self._stored:
            kind = self._store.put_artifact_type(pb.ArtifactType(name=artifact.schema_title))
            properties = {name: _value(value) for name, value in artifact.metadata.items()}
            [id_] = self._store.put_artifacts(
                [pb.Artifact(type_id=kind, uri=artifact.uri, custom_properties=properties)]
            )
            self._store.put_attributions_and_associations(
                [pb.Attribution(artifact_id=id_, context_id=context) for context in self._contexts], []
            )
            self._stored[artifact.uri] = id_
        return self._stored[artifact.uri]


def _value(value: Any) -> pb.Value:
    """Numbers as doubles, lists in a struct with one key."""
    if isinstance(value, str):
        return pb.Value(string_value=value)
    if isinstance(value, list):
        wrapped = struct_pb2.Struct()
        wrapped.update({"list": value})
        return pb.Value(struct_value=wrapped)
    return pb.Value(double_value=float(value))
