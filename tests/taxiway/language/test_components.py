"""A compiled pipeline, read into components, tasks and executors."""

import copy
from dataclasses import replace

import pytest
from kfp import dsl

from taxiway import loading
from taxiway.dsl import SchemaGen, StatisticsGen, Trainer
from taxiway.language.components import ArtifactSpec, DagComponent, ExecutorComponent, ParameterSpec
from taxiway.language.executors import Accelerator, Executor
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Constant, FinalStatus, FromParent, FromTask, RetryPolicy, Task


@dsl.component(base_image="python:3.13")
def numbers(upper: int = 3) -> list[dict]:
    return [{"n": n} for n in range(upper)]


@dsl.component(base_image="python:3.13")
def double(n: int) -> int:
    return 2 * n


@dsl.component(base_image="python:3.13")
def report(status: dsl.PipelineTaskFinalStatus, text: str = "ended"):
    print(status, text)


@dsl.pipeline(name="everything")
def everything(place: str, upper: int = 4) -> int:
    with dsl.ExitHandler(report(text="over")):
        examples = dsl.importer(artifact_uri=place, artifact_class=dsl.Dataset, metadata={"year": 2013}).output
        statistics = StatisticsGen(examples=examples)
        SchemaGen(statistics=statistics.outputs["statistics"]).set_caching_options(False)
        Trainer(examples=examples, module="m.py").set_memory_limit("2G").set_cpu_request("1").set_cpu_limit(
            "3"
        ).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(2).set_env_variable("SEED", "7")
        made = numbers(upper=upper)
        made.set_retry(3, backoff_duration="2s", backoff_factor=1.5, backoff_max_duration="60s")
        with dsl.If(upper > 2):
            double(n=upper).after(made)
        with dsl.ParallelFor(made.output, parallelism=2) as item:
            double(n=item.n)
    return double(n=upper).output


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return loading.compiled(everything)


def _dag(pipeline: Pipeline, task: Task) -> DagComponent:
    component = pipeline.component(task)
    assert isinstance(component, DagComponent)
    return component


def _inside(pipeline: Pipeline) -> dict[str, Task]:
    """The tasks in the exit handler."""
    return dict(_dag(pipeline, pipeline.root.dag.tasks["exit-handler-1"]).dag.tasks)


def _executed(pipeline: Pipeline, task: Task) -> tuple[ExecutorComponent, Executor]:
    component = pipeline.component(task)
    assert isinstance(component, ExecutorComponent)
    return component, pipeline.executor(component)


def test_inputs_and_outputs_of_a_pipeline(pipeline: Pipeline) -> None:
    root = pipeline.root
    assert root.inputs.parameters["place"] == ParameterSpec(type="STRING")
    assert root.inputs.parameters["upper"].type == "NUMBER_INTEGER"
    assert root.defaults == {"upper": 4}
    assert root.with_defaults({"place": "x"}) == {"place": "x", "upper": 4}
    assert root.dag.parameters == {"Output": (FromTask("double-3", "Output"),)}
    assert root.has("outputs", "parameters", "Output") and not root.has("outputs", "artifacts", "Output")


def test_sources_of_task_inputs(pipeline: Pipeline) -> None:
    inside = _inside(pipeline)
    [condition] = [task for task in inside.values() if task.condition]
    [loop] = [task for task in inside.values() if task.loop]
    [in_loop] = _dag(pipeline, loop).dag.tasks.values()
    assert inside["trainer"].parameters["module"] == Constant("m.py")
    assert inside["trainer"].constants["module"] == "m.py"
    assert inside["numbers"].parameters == {"upper": FromParent("pipelinechannel--upper")}
    assert inside["schema-gen"].artifacts == {"statistics": FromTask("statistics-gen", "statistics")}
    assert inside["schema-gen"].dependencies == ["statistics-gen"]
    assert condition.dependencies == ["numbers"]
    assert condition.condition == "int(inputs.parameter_values['pipelinechannel--upper']) > 2"
    assert condition.is_group and not inside["trainer"].is_group
    assert loop.parameters["pipelinechannel--numbers-Output"] == FromTask("numbers", "Output")
    assert in_loop.parameters["n"] == FromParent(
        "pipelinechannel--numbers-Output-loop-item", 'parseJson(string_value)["n"]'
    )


def test_conditions_loops_and_retries_of_tasks(pipeline: Pipeline) -> None:
    inside, at_exit = _inside(pipeline), pipeline.root.dag.tasks["report"]
    [loop] = [task.loop for task in inside.values() if task.loop]
    assert at_exit.runs_after_failures and not inside["trainer"].runs_after_failures
    assert at_exit.parameters["status"] == FinalStatus("exit-handler-1")
    assert at_exit.dependencies == ["exit-handler-1"]
    assert loop.at_once == 2
    assert inside["numbers"].retry == RetryPolicy(times=3, first_pause=2.0, factor=1.5, longest=60.0)
    assert inside["trainer"].retry.times == 0
    assert inside["trainer"].is_cached and not inside["schema-gen"].is_cached


def test_the_marks_of_stages_are_their_roles_and_types(pipeline: Pipeline) -> None:
    trainer, _ = _executed(pipeline, _inside(pipeline)["trainer"])
    module = trainer.inputs.parameters["module"]
    assert (module.role, module.detail, module.is_optional) == ("Module", "run_fn", False)
    assert trainer.inputs.artifacts["examples"].tfx_type == "Examples"
    assert trainer.inputs.artifacts["schema"].is_optional
    assert isinstance(trainer.outputs.artifacts["model"], ArtifactSpec)
    assert trainer.outputs.written == pipeline.spec["components"]["comp-trainer"]["outputDefinitions"]


def test_containers_and_importers(pipeline: Pipeline) -> None:
    inside = _inside(pipeline)
    _, trainer = _executed(pipeline, inside["trainer"])
    _, function = _executed(pipeline, inside["numbers"])
    _, importer = _executed(pipeline, inside["importer"])
    assert (trainer.kind, trainer.stage, function.stage, importer.kind) == ("container", "trainer", "", "importer")
    assert (trainer.container.requests, trainer.container.accelerator) == (
        {"memory": "2G", "cpu": "1"},
        Accelerator("nvidia.com/gpu", "2"),
    )
    assert trainer.container.env["SEED"] == "7"
    assert trainer.container.words == (*trainer.container.command, *trainer.container.args)
    assert trainer.written == pipeline.spec["deploymentSpec"]["executors"]["exec-trainer"]
    assert importer.importer and importer.importer.metadata == {"year": 2013}
    assert not importer.container.image


def test_a_changed_copy_is_read_again(pipeline: Pipeline) -> None:
    assert pipeline.root.dag.tasks
    changed = copy.deepcopy(pipeline.spec)
    changed["root"]["dag"]["tasks"]["report"]["cachingOptions"] = {}
    assert pipeline.root.dag.tasks["report"].is_cached
    assert not replace(pipeline, spec=changed).root.dag.tasks["report"].is_cached
