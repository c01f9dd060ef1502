"""Walks a compiled pipeline: dependencies, conditions, loops, sub-pipelines and exit handlers.

Each task has a thread that waits for the tasks that it depends on. If a condition is false, its tasks and all tasks
that depend on them are skipped. When a task fails, running tasks continue to their end, and no new task starts, except
for those in the exit handlers of tasks that had started.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from components.contract.errors import UserError
from components.fused import conditions
from taxiway.language import selectors, spec
from taxiway.language.components import Component, Dag, DagComponent
from taxiway.language.executors import Executor
from taxiway.language.loops import Loop
from taxiway.language.placeholders import fill, filled
from taxiway.language.scope import Scope
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import ArtifactSource, Constant, FinalStatus, FromParent, FromTask, Task
from taxiway.language.values import Json, with_integers
from taxiway.runner import retries
from taxiway.runner.call import DONE, USER_ERROR, Call, Result, State, Values, failure
from taxiway.runner.retries import Attempt, Stop

Execute = Callable[[Call], Result]

# A task that did not start because another one failed; its exit handler does not run either.
_NOT_STARTED = Result(State.CANCELED)


@dataclass(frozen=True)
class Graph:
    """A pipeline being run.

    Attributes:
        pipeline: The compiled pipeline.
        execute: Executes one container or importer; called from several threads.
        facts: The values of the run's placeholders, such as `.pipeline_job_name`.
        stopping: Set when a task fails or the user interrupts the run; no more tasks start.
        at_exit: Whether it is the graph of an exit handler.
    """

    pipeline: Pipeline
    execute: Execute
    facts: Mapping[str, str]
    stopping: Stop
    at_exit: bool = False

    def run(self, parameters: Json) -> Result:
        """Runs the whole pipeline and returns its outputs."""
        return self.run_dag(self.pipeline.root, Values(parameters), "")

    def run_dag(self, component: DagComponent, inputs: Values, prefix: str, pauses: Iterable[float] = ()) -> Result:
        """Runs the tasks of a DAG, each as soon as it can, and returns when all have ended.

        Args:
            component: The DAG's component.
            inputs: Its inputs.
            prefix: The prefix of its tasks' names.
            pauses: The seconds to wait before each retry.
        """
        for pause in pauses:
            attempt = replace(self, stopping=Attempt(self.stopping))
            result = attempt.run_dag(component, inputs, prefix)
            if result.state != State.FAILED or result.exit_status == USER_ERROR or self.stopping.wait(pause):
                return result
        return _Dag(self, component.dag, inputs, prefix).run()


class _Dag:
    """One DAG that is running, with its inputs."""

    def __init__(self, graph: Graph, dag: Dag, inputs: Values, prefix: str) -> None:
        self._graph = graph
        self._dag = dag
        self._inputs = inputs
        self._prefix = prefix
        self._results: dict[str, Future[Result]] = {name: Future() for name in dag.tasks}

    def run(self) -> Result:
        for name, task in self._dag.tasks.items():
            settle(self._results[name], self._call_name(name), partial(self._stopping_on_failure, name, task))
        results = {name: future.result() for name, future in self._results.items()}
        for state in (State.FAILED, State.CANCELED):
            if first := next((r for r in results.values() if r.state == state), None):
                return Result(state, error=first.error, exit_status=first.exit_status)
        return Result(State.SUCCEEDED, self._outputs(results))

    def _stopping_on_failure(self, name: str, task: Task) -> Result:
        """A task's result; after a failure, the run is stopped before any waiting thread continues."""
        try:
            result = self._result(name, task)
        except BaseException:
            self._graph.stopping.set()
            raise
        if result.state == State.FAILED:
            self._graph.stopping.set()
        return result

    def _result(self, name: str, task: Task) -> Result:
        before = {other: self._results[other].result() for other in task.dependencies}
        if task.runs_after_failures:
            if any(result is _NOT_STARTED for result in before.values()):
                return _NOT_STARTED
        else:
            if self._graph.stopping.is_set() or any(r.state in (State.FAILED, State.CANCELED) for r in before.values()):
                return _NOT_STARTED
            if any(result.state == State.SKIPPED for result in before.values()):
                return Result(State.SKIPPED)
        if task.loop:
            return self._loop(name, task, task.loop, before)
        inputs = self._resolved(name, task, before)
        if not self._is_triggered(name, task, inputs.parameters):
            return Result(State.SKIPPED)
        return self._run_component(name, task, inputs)

    def _is_triggered(self, name: str, task: Task, parameters: Json) -> bool:
        declared = self._graph.pipeline.component(task).with_texts(parameters)
        scope = self._scope(name, parameters)
        return not task.condition or conditions.holds(task.condition, declared, lambda literal: fill(literal, scope))

    def _run_component(self, name: str, task: Task, inputs: Values, index: int | None = None) -> Result:
        component = self._graph.pipeline.component(task)
        around = self._scope(name, inputs.parameters).with_defaults(component.defaults)
        defaults = {key: around.constant(key) for key in around.constants}
        parameters = component.with_defaults({**defaults, **inputs.parameters})
        if isinstance(component, DagComponent):
            inner = Values(spec.inherited(task, self._inputs.parameters) | parameters, inputs.artifacts)
            prefix = spec.child_name(self._prefix, name, task, index)
            return self._inner_graph(task).run_dag(component, inner, prefix, retries.pauses(task.retry))
        pipeline = self._graph.pipeline
        executor = _filled_executor(pipeline.executor(component), self._scope(name, parameters))
        taken = Values(component.taken(parameters), inputs.artifacts)
        _require_inputs(component, taken)
        facts, platform = self._facts(name), pipeline.platform_of(component)
        at_exit = self._graph.at_exit or task.runs_after_failures
        call = Call(
            name=self._call_name(name),
            component=component,
            executor=executor,
            inputs=taken,
            task=task,
            facts=facts,
            platform=platform,
            at_exit=at_exit,
        )
        return self._graph.execute(call)

    def _inner_graph(self, task: Task) -> Graph:
        """The graph for the tasks inside of a task; failures elsewhere do not stop the tasks of an exit handler."""
        if not task.runs_after_failures:
            return self._graph
        return replace(self._graph, stopping=threading.Event(), at_exit=True)

    def _call_name(self, name: str) -> str:
        """The task's name in the run: `sub/name`, or `name[2]` in a loop."""
        loop = re.fullmatch(r"(?P<outer>.*?)(?P<index>(?:\[\d+\])+)/", self._prefix)
        return f"{loop['outer']}{'/' if loop['outer'] else ''}{name}{loop['index']}" if loop else self._prefix + name

    def _loop(self, name: str, task: Task, loop: Loop, before: Mapping[str, Result]) -> Result:
        inputs = self._resolved(name, task, before)
        scope = self._scope(name, inputs.parameters)
        items = inputs.artifacts[loop.source] if loop.over_artifacts else loop.values(inputs.parameters, scope)
        at_once = threading.Semaphore(loop.at_once or len(items) or 1)
        results: list[Future[Result]] = [Future() for _ in items]

        def iterate(index: int, item: Any) -> Result:
            with at_once:
                return self._run_component(name, task, _with_item(inputs, loop, item), index)

        for index, item in enumerate(items):
            settle(results[index], f"{self._prefix}{name}[{index}]", partial(iterate, index, item))
        return _collected(self._graph.pipeline.component(task), [future.result() for future in results])

    def _resolved(self, name: str, task: Task, before: Mapping[str, Result]) -> Values:
        component = self._graph.pipeline.component(task)
        constants = task.constants
        given = {
            key: value
            for key, source in task.parameters.items()
            if not isinstance(source, Constant) and (value := self._parameter(source, before)) is not None
        }
        # Constants may contain placeholders for the task's other parameters.
        scope = self._scope(name, given, constants)
        values = given | {key: scope.constant(key) for key in constants}
        parameters = component.typed(values)
        artifacts = {
            key: found
            for key, source in task.artifacts.items()
            if (found := self._artifacts(source, before)) is not None
        }
        return Values(parameters, artifacts)

    def _scope(self, name: str, parameters: Json, constants: Mapping[str, Any] = {}) -> Scope:
        return Scope(parameters, constants, self._inputs.parameters, self._facts(name))

    def _facts(self, name: str) -> dict[str, str]:
        """The values of placeholders for the run and the task; the task's id replaces the one from ML Metadata."""
        identifier = f"{self._graph.facts['.pipeline_job_resource_name']}/{self._call_name(name)}"
        return {**self._graph.facts, ".pipeline_task_name": name, ".pipeline_task_uuid": identifier}

    def _parameter(self, source: FromParent | FromTask | FinalStatus, before: Mapping[str, Result]) -> Any:
        if isinstance(source, FinalStatus):
            return _final_status(source.task, before, self._graph.facts)
        if isinstance(source, FromParent):
            value = selectors.given(self._inputs.parameters, source.name)
        else:
            value = before[source.task].outputs.parameters.get(source.output)
        return selectors.selected(source.selector, value)

    def _artifacts(self, source: ArtifactSource, before: Mapping[str, Result]) -> list[Json] | None:
        if isinstance(source, FromParent):
            return self._inputs.artifacts.get(source.name)
        return before[source.task].outputs.artifacts.get(source.output)

    def _outputs(self, results: Mapping[str, Result]) -> Values:
        parameters = {
            name: results[source.task].outputs.parameters[source.output]
            for name, sources in self._dag.parameters.items()
            for source in sources
            if source.output in results[source.task].outputs.parameters
        }
        artifacts = {
            name: [each for source in sources for each in results[source.task].outputs.artifacts.get(source.output, [])]
            for name, sources in self._dag.artifacts.items()
        }
        return Values(parameters, artifacts)


def _filled_executor(executor: Executor, scope: Scope) -> Executor:
    """Fills the placeholders in an executor's settings; its command is filled later, as it may refer to outputs."""
    if executor.importer:
        # Kubeflow fills no placeholders here, so values need not become text as they would there.
        return Executor.of({"importer": with_integers(filled(executor.importer.written, scope, typed=object))})
    container = executor.container
    return Executor.of({"container": {**container.written, **filled(container.settings, scope)}})


def settle(future: Future[Result], name: str, make: Callable[[], Result]) -> None:
    """Computes a result in a new thread; sets it in any case, because other threads wait for it."""

    def work() -> None:
        result = Result(State.FAILED, error=f"{name} failed, and the error cannot be shown", exit_status=1)
        try:
            result = make()
        except BaseException as error:
            result = failure(error, f"{name}: ")
        finally:
            future.set_result(result)

    try:
        threading.Thread(target=work, daemon=True).start()
    except RuntimeError as error:
        # The machine's limit of threads is reached.
        future.set_result(failure(error, f"{name}: "))


def _require_inputs(component: Component, inputs: Values) -> None:
    """Rejects a call that lacks a required input."""
    for specs, names in (
        (component.inputs.parameters, inputs.parameters),
        (component.inputs.artifacts, inputs.artifacts),
    ):
        for name, each in specs.items():
            if name not in names and not each.is_optional:
                raise UserError(
                    f"the input {name!r} has no value: the task that produces it was skipped, or none was given"
                )


def _with_item(inputs: Values, loop: Loop, item: Any) -> Values:
    if loop.over_artifacts:
        return Values(inputs.parameters, {**inputs.artifacts, loop.item: [item]})
    return Values({**inputs.parameters, loop.item: item}, inputs.artifacts)


def _collected(component: Component, results: list[Result]) -> Result:
    """A loop's outputs: for each, the list of its values in all iterations."""
    for state in (State.FAILED, State.CANCELED):
        if first := next((result for result in results if result.state == state), None):
            return first
    parameters = {
        # An iteration in which the task was skipped has no value.
        name: [result.outputs.parameters[name] for result in results if name in result.outputs.parameters]
        for name in component.outputs.parameters
    }
    artifacts = {
        name: [artifact for result in results for artifact in result.outputs.artifacts.get(name, [])]
        for name in component.outputs.artifacts
    }
    return Result(State.SUCCEEDED, Values(parameters, artifacts))


def _final_status(producer: str, before: Mapping[str, Result], facts: Mapping[str, str]) -> Json:
    """A PipelineTaskFinalStatus, with ML Metadata's names of states, like those from Kubeflow's driver."""
    result = before[producer]
    return {
        "state": "COMPLETE" if result.state in DONE else str(result.state),
        "error": {"message": result.error, "code": 1} if result.error else {},
        "pipelineJobResourceName": facts[".pipeline_job_resource_name"],
        "pipelineTaskName": producer,
    }
