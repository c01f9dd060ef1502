"""The graph: order, parallelism, conditions, loops, sub-pipelines, exit handlers, failures."""

import threading
import time
from collections.abc import Callable
from typing import Any

from kfp import dsl

from components.contract.errors import UserError
from taxiway import loading
from taxiway.dsl import Trainer
from taxiway.language import spec
from taxiway.runner.call import Call, Result, State, Values
from taxiway.runner.graph import Graph

FACTS = {".pipeline_job_name": "run-1", ".pipeline_job_resource_name": "run-1"}


@dsl.container_component
def make(out: dsl.Output[dsl.Dataset], n: dsl.OutputPath(int), text: str = "t"):  # type: ignore[valid-type]
    return dsl.ContainerSpec(image="x", command=["make"])


@dsl.container_component
def use(data: dsl.Input[dsl.Dataset], out: dsl.Output[dsl.Artifact], k: int = 1):
    return dsl.ContainerSpec(image="x", command=["use"])


@dsl.container_component
def note(value: str = "", status: dict = {}):
    return dsl.ContainerSpec(image="x", command=["note"])


@dsl.container_component
def lists(items: dsl.OutputPath(list)):  # type: ignore[valid-type]
    return dsl.ContainerSpec(image="x", command=["lists"])


class Recorder:
    """Executes calls with outputs named after the task and `n` = 7; records the calls and their times."""

    def __init__(self, act: Callable[[Call], None] = lambda call: None) -> None:
        self.calls: dict[str, Call] = {}
        self.spans: dict[str, tuple[float, float]] = {}
        self._act = act
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> Result:
        began = time.monotonic()
        with self._lock:
            assert call.name not in self.calls
            self.calls[call.name] = call
        self._act(call)
        self.spans[call.name] = (began, time.monotonic())
        outputs = call.component.outputs
        artifacts = {name: [{"name": f"{call.name}.{name}"}] for name in outputs.artifacts}
        return Result(State.SUCCEEDED, Values(dict.fromkeys(outputs.parameters, 7), artifacts))

    @property
    def names(self) -> list[str]:
        return sorted(self.calls)


def _run(pipeline: Any, recorder: Recorder, **parameters: Any) -> Result:
    compiled = loading.compiled(pipeline)
    graph = Graph(compiled, recorder, FACTS, threading.Event())
    return graph.run(spec.pipeline_parameters(compiled, parameters))


def test_independent_tasks_overlap_and_dependent_ones_wait() -> None:
    @dsl.pipeline
    def diamond() -> None:
        top = make()
        left = use(data=top.outputs["out"], k=2)
        right = use(data=top.outputs["out"], k=3)
        make(text="last").after(left, right)

    # Each waits until the other has started.
    both = threading.Barrier(2, timeout=30)

    def meet(call: Call) -> None:
        if call.name in ("use", "use-2"):
            both.wait()

    recorder = Recorder(meet)
    assert _run(diamond, recorder).state == State.SUCCEEDED
    spans = recorder.spans
    assert spans["make"][1] <= min(spans["use"][0], spans["use-2"][0])
    assert max(spans["use"][1], spans["use-2"][1]) <= spans["make-2"][0]
    assert recorder.calls["use-2"].inputs == Values({"k": 3}, {"data": [{"name": "make.out"}]})


def test_conditions_run_one_branch_and_skip_what_follows_the_others() -> None:
    @dsl.pipeline
    def branches(k: int = 1) -> None:
        top = make()
        with dsl.If(top.outputs["n"] > 5):
            use(data=top.outputs["out"], k=k)
        with dsl.Else():
            use(data=top.outputs["out"], k=100)
        with dsl.If(k == 2):
            inner = make(text="two")
            use(data=inner.outputs["out"])

    recorder = Recorder()
    assert _run(branches, recorder).state == State.SUCCEEDED
    assert recorder.names == ["make", "use"]
    recorder = Recorder()
    _run(branches, recorder, k=2)
    assert recorder.names == ["make", "make-2", "use", "use-3"]


def test_loops_run_each_item_and_collect() -> None:
    @dsl.pipeline
    def loops(items: list = [{"k": 1, "t": "a"}, {"k": 2, "t": "b"}]) -> None:
        top = make()
        with dsl.ParallelFor(items) as item:
            made = make(text=item.t)
            use(data=top.outputs["out"], k=item.k)
        collect(numbers=dsl.Collected(made.outputs["n"]), datas=dsl.Collected(made.outputs["out"]))

    recorder = Recorder()
    assert _run(loops, recorder).state == State.SUCCEEDED
    assert recorder.names == ["collect", "make", "make-2[0]", "make-2[1]", "use[0]", "use[1]"]
    assert recorder.calls["use[1]"].inputs.parameters == {"k": 2}
    assert recorder.calls["make-2[0]"].inputs.parameters == {"text": "a"}
    collected = recorder.calls["collect"].inputs
    assert collected.parameters == {"numbers": [7, 7]}
    assert [artifact["name"] for artifact in collected.artifacts["datas"]] == ["make-2[0].out", "make-2[1].out"]


@dsl.component(base_image="python:3.13")
def collect(numbers: list, datas: dsl.Input[list[dsl.Dataset]]) -> None:
    pass


def test_a_loop_respects_its_parallelism() -> None:
    @dsl.pipeline
    def narrow() -> None:
        top = make()
        with dsl.ParallelFor([1, 2, 3, 4, 5], parallelism=2) as n:
            use(data=top.outputs["out"], k=n)

    now, most, lock = 0, 0, threading.Lock()

    def count(call: Call) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1

    assert _run(narrow, Recorder(count)).state == State.SUCCEEDED
    assert most == 2


def test_sub_pipelines_have_inputs_and_outputs() -> None:
    @dsl.pipeline
    def inner(data: dsl.Input[dsl.Dataset], k: int) -> dsl.Artifact:
        used = use(data=data, k=k)
        return used.outputs["out"]

    @dsl.pipeline
    def outer() -> None:
        top = make()
        nested = inner(data=top.outputs["out"], k=5)
        note(value="done").after(nested)

    recorder = Recorder()
    assert _run(outer, recorder).state == State.SUCCEEDED
    assert recorder.names == ["inner/use", "make", "note"]
    assert recorder.calls["inner/use"].inputs == Values({"k": 5}, {"data": [{"name": "make.out"}]})


def test_strings_may_contain_parameters_and_facts_of_the_run() -> None:
    @dsl.pipeline
    def strings(who: str = "{{$.inputs.parameters['who']}}") -> None:
        top = make()
        note(value=f"{who}: {top.outputs['n']} in {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}")

    recorder = Recorder()
    assert _run(strings, recorder).state == State.SUCCEEDED
    assert recorder.calls["note"].inputs.parameters["value"] == "{{$.inputs.parameters['who']}}: 7 in run-1"


def test_a_task_gets_only_its_declared_inputs() -> None:
    @dsl.pipeline
    def trains(solver: str = "adam", memory: str = "2G") -> None:
        examples = dsl.importer(artifact_uri="x", artifact_class=dsl.Dataset).output
        Trainer(examples=examples, module="m.py", custom_config={"solver": solver}).set_memory_limit(memory)

    recorder = Recorder()
    assert _run(trains, recorder).state == State.SUCCEEDED
    call = recorder.calls["trainer"]
    assert call.inputs.parameters.keys() == call.component.inputs.parameters.keys()
    assert call.inputs.parameters["custom_config"] == {"solver": "adam"}
    assert call.executor.container.requests == {"memory": "2G"}


def test_a_failure_stops_later_tasks_and_is_passed_to_the_exit_handler() -> None:
    @dsl.pipeline
    def fails() -> None:
        farewell = note(value="bye")
        with dsl.ExitHandler(farewell):
            top = make()
            use(data=top.outputs["out"])

    def fail(call: Call) -> None:
        if call.name == "make":
            raise UserError("it broke", fix="glue")

    recorder = Recorder(fail)
    result = _run(fails, recorder)
    assert (result.state, result.exit_status) == (State.FAILED, 2)
    assert result.error == "make: it broke\n  fix: glue"
    assert recorder.names == ["make", "note"]


def test_the_final_status_reaches_the_exit_handler() -> None:
    @dsl.component(base_image="python:3.13")
    def farewell(status: dsl.PipelineTaskFinalStatus) -> None:
        pass

    @dsl.pipeline
    def fails() -> None:
        with dsl.ExitHandler(farewell()):
            make()

    def fail(call: Call) -> None:
        if call.name == "make":
            raise UserError("it broke")

    recorder = Recorder(fail)
    _run(fails, recorder)
    status = recorder.calls["farewell"].inputs.parameters["status"]
    assert status["state"] == "FAILED"
    assert "it broke" in status["error"]["message"]


def test_one_of_returns_the_output_of_the_branch_that_ran() -> None:
    @dsl.pipeline
    def chosen(k: int = 1) -> None:
        with dsl.If(k == 1):
            one = make(text="one")
        with dsl.Else():
            two = make(text="two")
        use(data=dsl.OneOf(one.outputs["out"], two.outputs["out"]))

    for k, name in ((1, "make"), (2, "make-2")):
        recorder = Recorder()
        assert _run(chosen, recorder, k=k).state == State.SUCCEEDED
        assert recorder.calls["use"].inputs.artifacts["data"] == [{"name": f"{name}.out"}]


def test_a_loop_over_a_value_that_is_not_a_list_is_an_error() -> None:
    @dsl.pipeline
    def loop() -> None:
        with dsl.ParallelFor(lists().outputs["items"]) as item:
            note(value=item)

    result = _run(loop, Recorder())
    assert result.state == State.FAILED
    assert "'lists-items' takes a list, not 7" in result.error


@dsl.component(base_image="python:3.13")
def state_of(status: dict) -> str:
    return str(status["state"])


@dsl.pipeline
def leaving(status: dsl.PipelineTaskFinalStatus, who: str = "nobody") -> None:
    """An exit handler of several tasks."""
    state = state_of(status=status)
    with dsl.If(state.output == "FAILED"), dsl.ParallelFor(["a", "b"]) as name:
        note(value=f"{who} {name}", status=status)


class Failing(Recorder):
    """Fails the named tasks; `state_of` returns the state that it receives."""

    def __init__(self, *failing: str) -> None:
        super().__init__()
        self._failing = failing

    def __call__(self, call: Call) -> Result:
        result = super().__call__(call)
        if call.name in self._failing:
            raise UserError(f"{call.name} broke")
        if "status" in call.inputs.parameters and result.outputs.parameters:
            return Result(State.SUCCEEDED, Values({"Output": call.inputs.parameters["status"]["state"]}))
        return result


def test_an_exit_handler_of_several_tasks_runs_completely_after_a_failure() -> None:
    @dsl.pipeline
    def fails() -> None:
        with dsl.ExitHandler(leaving(who="bye")):
            use(data=make().outputs["out"])

    recorder = Failing("make")
    result = _run(fails, recorder)
    assert (result.state, result.error) == (State.FAILED, "make: make broke")
    assert recorder.names == ["leaving/note[0]", "leaving/note[1]", "leaving/state-of", "make"]
    noted = recorder.calls["leaving/note[1]"].inputs.parameters
    assert noted["value"] == "bye b"
    assert (noted["status"]["state"], noted["status"]["pipelineTaskName"]) == ("FAILED", "exit-handler-1")
    assert "make broke" in noted["status"]["error"]["message"]


def test_an_exit_handler_of_several_tasks_runs_after_a_success() -> None:
    @dsl.pipeline
    def succeeds() -> None:
        with dsl.ExitHandler(leaving()):
            make()

    recorder = Failing()
    assert _run(succeeds, recorder).state == State.SUCCEEDED
    assert recorder.names == ["leaving/state-of", "make"]
    assert recorder.calls["leaving/state-of"].inputs.parameters["status"]["state"] == "COMPLETE"


def test_a_failure_in_an_exit_handler_stops_its_later_tasks() -> None:
    @dsl.pipeline
    def fails() -> None:
        with dsl.ExitHandler(leaving()):
            make()

    recorder = Failing("make", "leaving/state-of")
    result = _run(fails, recorder)
    assert result.state == State.FAILED
    assert recorder.names == ["leaving/state-of", "make"]


def test_each_exit_handler_gets_the_status_of_its_own_tasks() -> None:
    @dsl.pipeline
    def several() -> None:
        with dsl.ExitHandler(leaving(who="one")):
            make()
        with dsl.ExitHandler(leaving(who="two")):
            make(text="breaks")
        with dsl.ExitHandler(note(value="three")):
            lists()

    through = threading.Barrier(3, timeout=10)

    class Together(Failing):
        """Fails one task when all have started."""

        def __call__(self, call: Call) -> Result:
            if call.name in ("make", "make-2", "lists"):
                through.wait()
            return super().__call__(call)

    recorder = Together("make-2")
    assert _run(several, recorder).state == State.FAILED
    given = {name: call.inputs.parameters.get("status", {}) for name, call in recorder.calls.items()}
    assert given["leaving/state-of"]["state"] == "COMPLETE"
    assert given["leaving-2/state-of"]["state"] == "FAILED"
    assert recorder.names == [
        "leaving-2/note[0]",
        "leaving-2/note[1]",
        "leaving-2/state-of",
        "leaving/state-of",
        "lists",
        "make",
        "make-2",
        "note",
    ]


def test_an_exit_handler_does_not_run_if_its_tasks_never_started() -> None:
    @dsl.pipeline
    def later() -> None:
        top = make()
        with dsl.ExitHandler(leaving()):
            use(data=top.outputs["out"])

    recorder = Failing("make")
    assert _run(later, recorder).state == State.FAILED
    assert recorder.names == ["make"]


def test_exit_handlers_can_be_nested_in_the_tasks_of_others() -> None:
    @dsl.pipeline
    def inner() -> None:
        with dsl.ExitHandler(leaving(who="inner")):
            use(data=make().outputs["out"])

    @dsl.pipeline
    def outer() -> None:
        with dsl.ExitHandler(leaving(who="outer")):
            note(value="after").after(inner())

    recorder = Failing("inner/make")
    assert _run(outer, recorder).state == State.FAILED
    assert recorder.names == [
        *(f"inner/leaving/{name}" for name in ("note[0]", "note[1]", "state-of")),
        "inner/make",
        *(f"leaving/{name}" for name in ("note[0]", "note[1]", "state-of")),
    ]


def test_an_exit_handler_may_have_an_exit_handler() -> None:
    @dsl.pipeline
    def careful() -> None:
        with dsl.ExitHandler(leaving(who="careful")):
            make()

    @dsl.pipeline
    def outer() -> None:
        with dsl.ExitHandler(careful()):
            make()

    recorder = Failing("make", "careful/make")
    assert _run(outer, recorder).state == State.FAILED
    assert recorder.names == [
        *(f"careful/leaving/{name}" for name in ("note[0]", "note[1]", "state-of")),
        "careful/make",
        "make",
    ]
