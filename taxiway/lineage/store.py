"""Runs, tasks and artifacts in ML Metadata, each recorded exactly once even after failures and retries.

The layout and names are those of TFX: contexts of type `pipeline`, `pipeline_run` and `node`; one execution per task,
of the stage's type and named `<run>/<task>`; artifacts of TFX's types; events whose path is the port's name and an
index.

Several processes may share a store. A LineageStore itself is not thread-safe.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from ml_metadata.errors import NotFoundError
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from components.contract.artifacts import Artifact
from taxiway.lineage import messages
from taxiway.lineage.connection import connect
from taxiway.lineage.retries import DELAYS, retry
from taxiway.lineage.stored import Entry, Run, StoredArtifact, StoredTask

_PIPELINE, _RUN, _NODE = "pipeline", "pipeline_run", "node"
_RUNNING = "RUNNING"
_FINAL = (pb.Execution.COMPLETE, pb.Execution.CACHED, pb.Execution.FAILED, pb.Execution.CANCELED)
_ABANDONED = "abandoned: the run ended without recording a result"

_ArtifactAndEvent = tuple[pb.Artifact, pb.Event]
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _retried(
    method: Callable[Concatenate[LineageStore, _Arguments], _Result],
) -> Callable[Concatenate[LineageStore, _Arguments], _Result]:
    """Retries a method, which must read before it writes."""

    @functools.wraps(method)
    def call(self: LineageStore, /, *arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        return retry(lambda: method(self, *arguments, **named), self.connection, self._delays)

    return call


class LineageStore:
    """The lineage of runs, in ML Metadata."""

    def __init__(self, store: MetadataStore, connection: str, delays: Sequence[float] = DELAYS) -> None:
        self._store = store
        self._delays = delays
        self._contexts: dict[tuple[str, str], pb.Context] = {}
        self._types: dict[tuple[type, str], int] = {}
        self.connection = connection

    @classmethod
    def open(cls, connection: str, delays: Sequence[float] = DELAYS) -> LineageStore:
        """Opens a store: the path of an SQLite file, `mysql://user:password@host:port/database`, `grpc://host:port`.

        Raises:
            UserError: The file is damaged, cannot be written, or belongs to another version of ML Metadata.
            ServiceError: The server does not answer.
        """
        opened = cls(retry(lambda: connect(connection), connection, delays), connection, delays)
        opened._answers()
        return opened

    @classmethod
    def open_existing(cls, connection: str) -> LineageStore | None:
        """As `open`, but returns None if the SQLite file does not exist: reading must not create it."""
        missing = "://" not in connection and not Path(connection).exists()
        return None if missing else cls.open(connection)

    @_retried
    def start_run(self, run_id: str, pipeline: str, parameters: Mapping[str, Any], started: datetime) -> None:
        """Records the start of a run."""
        properties = {
            "pipeline": pipeline,
            "parameters": json.dumps(parameters),
            "state": _RUNNING,
            "started": started.astimezone(UTC).isoformat(),
        }
        parent = self._context(_PIPELINE, pipeline)
        child = self._context(_RUN, run_id, properties)
        if not self._store.get_parent_contexts_by_context(child.id):
            self._store.put_parent_contexts([pb.ParentContext(parent_id=parent.id, child_id=child.id)])

    @_retried
    def start_task(self, run_id: str, task: str, stage: str, parameters: Mapping[str, Any]) -> None:
        """Records the start of a task; a task that is already recorded is not changed."""
        if self._execution(run_id, task) is None:
            execution = self._new_execution(run_id, task, stage, parameters)
            self._put(execution, [], self._contexts_of(run_id, task))

    @_retried
    def finish_task(
        self,
        run_id: str,
        task: str,
        *,
        state: str,
        inputs: Mapping[str, Artifact],
        outputs: Mapping[str, Artifact],
        error: str = "",
    ) -> None:
        """Records the end of a task, with its artifacts, in one transaction. An ended task is not changed.

        Args:
            run_id: The run's id.
            task: The task's name, as given to `start_task`.
            state: `COMPLETE`, `CACHED`, `FAILED` or `CANCELED`.
            inputs: Its input artifacts by port.
            outputs: Its output artifacts by port.
            error: Why it failed.
        """
        execution = self._execution(run_id, task)
        if execution is None:
            raise LookupError(f"the task {_task_name(run_id, task)} was never started")
        if execution.last_known_state not in _FINAL:
            _close(execution, state, error)
            contexts = self._store.get_contexts_by_execution(execution.id)
            self._put(execution, self._artifacts_and_events(execution, inputs, outputs), contexts)

    @_retried
    def cached_task(
        self,
        run_id: str,
        task: str,
        stage: str,
        parameters: Mapping[str, Any],
        *,
        inputs: Mapping[str, Artifact],
        outputs: Mapping[str, Artifact],
    ) -> None:
        """Records a cache hit: start and end of the task in one transaction."""
        if self._execution(run_id, task) is None:
            execution = self._new_execution(run_id, task, stage, parameters)
            _close(execution, "CACHED", "")
            self._put(
                execution, self._artifacts_and_events(execution, inputs, outputs), self._contexts_of(run_id, task)
            )

    @_retried
    def finish_run(self, run_id: str, state: str, error: str = "", ended: datetime | None = None) -> None:
        """Records the end of a run, now or at another time. Its tasks that are still marked as running are canceled."""
        self._finish(self._run_context(run_id), state, pb.Execution.CANCELED, error, ended)

    @_retried
    def close_abandoned(self, alive: Collection[str] = ()) -> list[str]:
        """Marks the runs that were killed, and their running tasks, as failed.

        Args:
            alive: The ids of runs that are still running.

        Returns:
            The ids of the runs that were marked.
        """
        open_runs = [
            run for run in self._run_contexts() if _property(run, "state") == _RUNNING and run.name not in alive
        ]
        for run in open_runs:
            self._finish(run, "FAILED", pb.Execution.FAILED, _ABANDONED)
        return [run.name for run in open_runs]

    @_retried
    def runs(self, limit: int | None = None) -> list[Run]:
        """The runs, latest first."""
        return [self._run(context) for context in self._run_contexts()[:limit]]

    @_retried
    def artifacts_of(self, run_id: str) -> list[StoredArtifact]:
        """The artifacts that a run used or made, latest last; none if the run is not known."""
        run = self._store.get_context_by_type_and_name(_RUN, run_id)
        found = self._store.get_artifacts_by_context(run.id) if run else []
        return sorted(map(_stored, found), key=lambda artifact: artifact.id)

    @_retried
    def claim(
        self,
        kind: str,
        name: str,
        group: tuple[str, str],
        facts: Mapping[str, Any],
        *,
        inputs: Mapping[str, Artifact] | None = None,
        outputs: Mapping[str, Artifact] | None = None,
    ) -> bool:
        """Records an execution of a type, in a context (its type and name), under a name that only one can have.

        Returns whether that is the caller, whom the fact `token` tells from others who want the name.
        """
        known = self._named(name)
        if known is not None:
            return bool(messages.plain(known.custom_properties).get("token") == facts["token"])
        properties = messages.values({"stage": kind, **facts})
        kind_id, state = self._type(pb.ExecutionType, kind), pb.Execution.COMPLETE
        execution = pb.Execution(
            type_id=kind_id, name=name, external_id=name, last_known_state=state, custom_properties=properties
        )
        used = self._artifacts_and_events(execution, inputs or {}, outputs or {})
        self._put(execution, used, [self._context(*group)])
        return True

    @_retried
    def groups(self, kind: str) -> list[str]:
        """The names of the contexts of a type."""
        if kind not in {each.name for each in self._store.get_context_types()}:
            return []
        return sorted(context.name for context in self._store.get_contexts_by_type(kind))

    @_retried
    def entries(self, group: tuple[str, str]) -> list[Entry]:
        """What was claimed in a context, in the order of writing."""
        context = self._store.get_context_by_type_and_name(*group)
        found = self._store.get_executions_by_context(context.id) if context else []
        return [_entry(execution) for execution in sorted(found, key=lambda execution: execution.id)]

    @_retried
    def tasks(self, stage: str) -> list[StoredTask]:
        """The tasks of a stage, latest last."""
        found = self._store.get_executions_by_type(stage)
        return sorted(map(_stored_task, found), key=lambda task: (task.started, task.name))

    @_retried
    def artifacts(self, *, uri: str = "", type_name: str = "") -> list[StoredArtifact]:
        """All artifacts, or those at a URI or of a type; latest last."""
        if uri:
            found = self._store.get_artifacts_by_uri(uri)
        elif type_name:
            found = self._store.get_artifacts_by_type(type_name)
        else:
            found = self._store.get_artifacts()
        return sorted(map(_stored, found), key=lambda artifact: artifact.id)

    @_retried
    def behind(self, artifacts: Sequence[StoredArtifact]) -> list[StoredArtifact]:
        """The inputs and other outputs of the tasks that made these artifacts, without duplicates."""
        executions = self._makers([artifact.id for artifact in artifacts])
        events = self._store.get_events_by_execution_ids(executions) if executions else []
        ids = list(dict.fromkeys(event.artifact_id for event in events))
        return [_stored(artifact) for artifact in self._store.get_artifacts_by_id(ids)] if ids else []

    @_retried
    def ahead(self, artifacts: Sequence[StoredArtifact]) -> list[StoredArtifact]:
        """The outputs of the tasks that used these artifacts, without duplicates."""
        ids = [artifact.id for artifact in artifacts]
        used = self._store.get_events_by_artifact_ids(ids) if ids else []
        users = list(dict.fromkeys(event.execution_id for event in used if event.type == pb.Event.INPUT))
        events = self._store.get_events_by_execution_ids(users) if users else []
        made = list(dict.fromkeys(event.artifact_id for event in events if event.type == pb.Event.OUTPUT))
        return [_stored(artifact) for artifact in self._store.get_artifacts_by_id(made)] if made else []

    @_retried
    def _answers(self) -> None:
        self._store.get_context_types()

    def _makers(self, ids: list[int]) -> list[int]:
        """The executions that first produced these artifacts; later ones took them from the cache."""
        events = self._store.get_events_by_artifact_ids(ids) if ids else []
        made = sorted((e for e in events if e.type == pb.Event.OUTPUT), key=lambda e: e.milliseconds_since_epoch)
        first: dict[int, int] = {}
        for event in made:
            first.setdefault(event.artifact_id, event.execution_id)
        return list(dict.fromkeys(first[artifact_id] for artifact_id in ids if artifact_id in first))

    def _execution(self, run_id: str, task: str) -> pb.Execution | None:
        return self._named(_task_name(run_id, task))

    def _named(self, name: str) -> pb.Execution | None:
        with contextlib.suppress(NotFoundError):
            return self._store.get_executions_by_external_ids([name])[0]
        return None

    def _type(self, kind: type, name: str) -> int:
        """The id of a type, which is declared if the store does not have it."""
        if (kind, name) not in self._types:
            declared = messages.artifact_type(name) if kind is pb.ArtifactType else kind(name=name)
            put = {
                pb.ArtifactType: self._store.put_artifact_type,
                pb.ExecutionType: self._store.put_execution_type,
                pb.ContextType: self._store.put_context_type,
            }[kind]
            self._types[kind, name] = put(declared, can_add_fields=True, can_omit_fields=True)
        return self._types[kind, name]

    def _context(self, kind: str, name: str, properties: Mapping[str, Any] | None = None) -> pb.Context:
        """The context with a type and name, which is created if the store does not have it."""
        if (kind, name) not in self._contexts:
            type_id = self._type(pb.ContextType, kind)
            found = self._store.get_context_by_type_and_name(kind, name)
            if found is None:
                found = pb.Context(type_id=type_id, name=name, custom_properties=messages.values(properties or {}))
                [found.id] = self._store.put_contexts([found])
            self._contexts[kind, name] = found
        return self._contexts[kind, name]

    def _run_context(self, run_id: str) -> pb.Context:
        known = self._contexts.get((_RUN, run_id)) or self._store.get_context_by_type_and_name(_RUN, run_id)
        if known is None:
            raise LookupError(f"the run {run_id} was never started")
        return known

    def _run_contexts(self) -> list[pb.Context]:
        """The runs' contexts, latest first."""
        if _RUN not in {kind.name for kind in self._store.get_context_types()}:
            return []
        found = self._store.get_contexts_by_type(_RUN)
        return sorted(found, key=lambda run: (run.create_time_since_epoch, run.id), reverse=True)

    def _new_execution(self, run_id: str, task: str, stage: str, parameters: Mapping[str, Any]) -> pb.Execution:
        name = _task_name(run_id, task)
        properties = {"run": run_id, "task": task, "stage": stage, "parameters": json.dumps(parameters)}
        return pb.Execution(
            type_id=self._type(pb.ExecutionType, stage),
            name=name,
            external_id=name,
            last_known_state=pb.Execution.RUNNING,
            custom_properties=messages.values(properties),
        )

    def _contexts_of(self, run_id: str, task: str) -> list[pb.Context]:
        run = self._run_context(run_id)
        pipeline = _property(run, "pipeline")
        node = pb.Context(type_id=self._type(pb.ContextType, _NODE), name=f"{pipeline}.{task}")
        return [self._context(_PIPELINE, pipeline), run, node]

    def _put(
        self, execution: pb.Execution, artifacts_and_events: Sequence[_ArtifactAndEvent], contexts: list[pb.Context]
    ) -> None:
        """Writes everything in one transaction; existing contexts and artifacts are reused unchanged."""
        self._store.put_execution(
            execution,
            artifacts_and_events,
            contexts,
            reuse_context_if_already_exist=True,
            reuse_artifact_if_already_exist_by_external_id=True,
            force_reuse_context=True,
        )

    def _artifacts_and_events(
        self, execution: pb.Execution, inputs: Mapping[str, Artifact], outputs: Mapping[str, Artifact]
    ) -> list[_ArtifactAndEvent]:
        # A report is in no chain: it shows the task's other outputs.
        made = {name: artifact for name, artifact in outputs.items() if artifact.is_chained}
        return [*self._used(pb.Event.INPUT, inputs, None), *self._used(pb.Event.OUTPUT, made, execution)]

    def _used(
        self, kind: pb.Event.Type, ports: Mapping[str, Artifact], maker: pb.Execution | None
    ) -> Iterator[_ArtifactAndEvent]:
        """An artifact on several ports gets one event with several paths, because the store allows only one event."""
        grouped: dict[str, dict[str, Artifact]] = {}
        for port, artifact in ports.items():
            grouped.setdefault(messages.external_id(artifact), {})[port] = artifact
        stored = self._by_external_id(list(grouped))
        for key, same in grouped.items():
            port, artifact = next(iter(same.items()))
            yield stored.get(key) or self._new_artifact(port, artifact, maker), messages.event(kind, list(same))

    def _by_external_id(self, ids: list[str]) -> dict[str, pb.Artifact]:
        with contextlib.suppress(NotFoundError):
            return {a.external_id: a for a in self._store.get_artifacts_by_external_ids(ids)} if ids else {}
        return {}

    def _new_artifact(self, port: str, artifact: Artifact, maker: pb.Execution | None) -> pb.Artifact:
        return messages.new_artifact(artifact, self._type(pb.ArtifactType, artifact.type_name), port, maker)

    def _finish(
        self,
        run: pb.Context,
        state: str,
        task_state: pb.Execution.State,
        error: str,
        ended: datetime | None = None,
    ) -> None:
        executions = self._store.get_executions_by_context(run.id)
        left = [execution for execution in executions if execution.last_known_state == pb.Execution.RUNNING]
        for execution in left:
            _close(execution, pb.Execution.State.Name(task_state), error or f"the run ended before the task: {state}")
        if left:
            self._store.put_executions(left)
        seconds = ((ended or datetime.now(UTC)) - _started(run)).total_seconds()
        finished = {"state": state, "seconds": seconds, "error": error}
        for key, value in messages.values(finished).items():
            run.custom_properties[key].CopyFrom(value)
        self._store.put_contexts([run])

    def _run(self, context: pb.Context) -> Run:
        executions = self._store.get_executions_by_context(context.id)
        artifacts = [_stored(artifact) for artifact in self._store.get_artifacts_by_context(context.id)]
        state = _property(context, "state", "UNKNOWN")
        running = (datetime.now(UTC) - _started(context)).total_seconds()
        return Run(
            id=context.name,
            pipeline=_property(context, "pipeline"),
            state=state,
            started=_started(context),
            seconds=_property(context, "seconds", running if state == _RUNNING else 0.0),
            tasks=dict(Counter(pb.Execution.State.Name(execution.last_known_state) for execution in executions)),
            pushed=[a.pushed_to for a in artifacts if a.type_name == "PushedModel" and a.metadata.get("pushed")],
            blessed=_any_blessed(artifacts),
            error=_property(context, "error"),
        )


def _task_name(run_id: str, task: str) -> str:
    return f"{run_id}/{task}"


def _close(execution: pb.Execution, state: str, error: str) -> None:
    now = time.time()
    began = execution.create_time_since_epoch / 1000 or now
    properties = {
        "seconds": max(0.0, now - began),
        "cached": state == "CACHED",
        "error": error,
    }
    execution.last_known_state = pb.Execution.State.Value(state)
    for key, value in messages.values(properties).items():
        execution.custom_properties[key].CopyFrom(value)


def _stored(artifact: pb.Artifact) -> StoredArtifact:
    metadata = messages.plain(artifact.properties) | messages.plain(artifact.custom_properties)
    return StoredArtifact(artifact.id, artifact.type, artifact.uri, metadata)


def _stored_task(execution: pb.Execution) -> StoredTask:
    return StoredTask(
        name=execution.name,
        state=pb.Execution.State.Name(execution.last_known_state),
        parameters=json.loads(messages.plain(execution.custom_properties).get("parameters", "{}")),
        started=datetime.fromtimestamp(execution.create_time_since_epoch / 1000, UTC),
    )


def _entry(execution: pb.Execution) -> Entry:
    return Entry(execution.name, messages.plain(execution.custom_properties))


def _property(context: pb.Context, key: str, default: Any = "") -> Any:
    return messages.plain(context.custom_properties).get(key, default)


def _started(run: pb.Context) -> datetime:
    text = _property(run, "started")
    return datetime.fromisoformat(text) if text else datetime.fromtimestamp(run.create_time_since_epoch / 1000, UTC)


def _any_blessed(artifacts: Iterable[StoredArtifact]) -> bool | None:
    judged = [a.metadata.get("blessed") == 1 for a in artifacts if a.type_name == "ModelBlessing"]
    return any(judged) if judged else None
