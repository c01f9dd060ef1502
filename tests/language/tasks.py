"""Tasks: placeholders in commands and values, the workspace, retries, exit handlers, sub-pipelines."""

import re
from typing import Optional

from kfp import dsl

from tests.language.cases import Case, case
from tests.language.kit import fail, join, python, read, say, shell, texts, write

CASES: list[Case] = []
_FACTS = {
    dsl.PIPELINE_JOB_NAME_PLACEHOLDER: r"facts-\d{8}-\d{6}-\w{8}",
    dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER: r"facts-\d{8}-\d{6}-\w{8}",
    dsl.PIPELINE_JOB_ID_PLACEHOLDER: r"facts-\d{8}-\d{6}-\w{8}",
    dsl.PIPELINE_JOB_CREATE_TIME_UTC_PLACEHOLDER: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    dsl.PIPELINE_ROOT_PLACEHOLDER: r"/.+/artifacts",
    dsl.PIPELINE_TASK_NAME_PLACEHOLDER: r"tell|show",
    dsl.PIPELINE_TASK_ID_PLACEHOLDER: r"facts-.+/(tell|show)",
    dsl.WORKSPACE_PATH_PLACEHOLDER: r"/.+/workspace",
}
_WITH_WORKSPACE = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"))


def _fact(placeholder: str, pattern: str) -> None:
    """A placeholder as a value and in a command; Kubeflow's driver only fills the value, kfp's local runner both."""

    @dsl.container_component
    def tell(out: dsl.OutputPath(str)):  # type: ignore[valid-type]
        return shell('printf %s "$0" > "$1"', placeholder, out)

    def value() -> str:
        return say(x=placeholder).outputs["out"]

    def command() -> str:
        return tell().outputs["out"]

    for build in (value, command):
        pipeline = dsl.pipeline(name="facts", pipeline_config=_WITH_WORKSPACE)(build)
        CASES.append(Case(pipeline, gives=re.compile(pattern)))


for _placeholder, _pattern in _FACTS.items():
    _fact(_placeholder, _pattern)


@dsl.container_component
def note(folder: str, out: dsl.OutputPath(str)):  # type: ignore[valid-type]
    return shell('echo noted >> "$0/notes"; cat "$0/notes" > "$1"', folder, out)


@case(CASES, gives="noted\nnoted\n")
@dsl.pipeline(name="workspace", pipeline_config=_WITH_WORKSPACE)
def workspace() -> str:
    """The workspace is empty when a run starts, and shared by all of its tasks."""
    first = note(folder=dsl.WORKSPACE_PATH_PLACEHOLDER)
    return note(folder=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/").after(first).outputs["out"]


@dsl.container_component
def arguments(out: dsl.OutputPath(str), data: dsl.Input[dsl.Dataset], name: Optional[str] = None):  # type: ignore[valid-type]  # noqa: UP045
    return dsl.ContainerSpec(
        image="python:3.13",
        command=["sh", "-ec", 'out="$0"; printf "%s|" "$@" > "$out"'],
        args=[
            out,
            dsl.IfPresentPlaceholder(input_name="name", then=["--name", name], else_=["--nobody"]),
            dsl.IfPresentPlaceholder(input_name="data", then="--data"),
            dsl.ConcatPlaceholder(["a=", dsl.IfPresentPlaceholder(input_name="name", then=name, else_="-"), "!"]),
            "{{$name}}",
        ],
    )


@case(CASES, gives="--nobody|--data|a=-!|{{$name}}|")
@case(CASES, {"name": "x"}, gives="--name|x|--data|a=x!|{{$name}}|")
@dsl.pipeline(name="optional-arguments")
def optional_arguments(name: Optional[str] = None) -> str:  # noqa: UP045
    return arguments(data=write(text="x").outputs["data"], name=name).outputs["out"]


@dsl.container_component
def whole(n: int, data: dsl.Output[dsl.Dataset]):
    """Writes its own ExecutorOutput."""
    script = """printf %s "$0" | grep -o '"n": 3' > "$1"; printf '{"artifacts": {"data": {"artifacts": [{"metadata":
    {"k": "v"}}]}}}' > "$2\""""
    return shell(script, "{{$}}", data.path, dsl.PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER)


@dsl.container_component
def described(data: dsl.Input[dsl.Dataset], out: dsl.OutputPath(str), made: dsl.Output[dsl.Model]):  # type: ignore[valid-type]
    return shell('cat "$0" > "$4"; echo "$1 $3" >> "$4"; : > "$5"; test "$0" = "$2"',
                 data.path, data.metadata["k"], data.uri, made.metadata, out, made.path)  # fmt: skip


@case(CASES, gives='"n": 3\nv {}\n')
@dsl.pipeline(name="executor-input-and-output")
def executor_input_and_output() -> str:
    return described(data=whole(n=3).outputs["data"]).outputs["out"]


@dsl.container_component
def third_time(out: dsl.OutputPath(str), counter: str):  # type: ignore[valid-type]
    return shell('echo x >> "$0"; test $(wc -l < "$0") -ge 3; echo done > "$1"', counter, out)


@case(CASES, {"counter": "counter"}, gives="done\n")
@dsl.pipeline(name="retried")
def retried(counter: str) -> str:
    return third_time(counter=counter).set_retry(2).outputs["out"]


@case(CASES, {"counter": "counter"}, fails="ended with exit status 1")
@dsl.pipeline(name="retried-too-little")
def retried_too_little(counter: str) -> str:
    return third_time(counter=counter).set_retry(1).outputs["out"]


@dsl.pipeline(name="unsteady")
def unsteady(counter: str) -> str:
    before = say(x="before")
    return third_time(counter=counter).after(before).outputs["out"]


@case(CASES, {"counter": "counter"}, gives="done\n", ran="show unsteady/show unsteady/third-time")
@dsl.pipeline(name="a-retried-sub-pipeline")
def retried_sub_pipeline(counter: str) -> str:
    return say(x=unsteady(counter=counter).set_retry(2).output).outputs["out"]


@case(CASES, {"counter": "counter"}, fails="ended with exit status 1")
@dsl.pipeline(name="a-sub-pipeline-without-retries")
def sub_pipeline_without_retries(counter: str) -> str:
    return unsteady(counter=counter).output


@dsl.container_component
def variables(out: dsl.OutputPath(str)):  # type: ignore[valid-type]
    return shell('printf %s "$GREETING" > "$0"', out)


@case(CASES, gives="hello")
@dsl.pipeline(name="environment")
def environment() -> str:
    return variables().set_env_variable("GREETING", "hello").outputs["out"]


@python
def farewell(status: dsl.PipelineTaskFinalStatus, who: str):
    """Fails on purpose, to show that it received the status."""
    assert (status.state, who) == ("FAILED", "me"), status.state
    raise SystemExit("the handler knows")


@case(CASES, fails="it broke")
@dsl.pipeline(name="exit-handler")
def exit_handler(who: str = "me"):
    with dsl.ExitHandler(farewell(who=who)):
        fail()


@case(CASES, ran="show show-2")
@dsl.pipeline(name="exit-handler-of-what-went-well")
def exit_handler_after_success():
    with dsl.ExitHandler(say(x="bye")):
        say(x="hello")


@dsl.pipeline(name="twice")
def twice(a: str, data: dsl.Input[dsl.Dataset], b: str = "default") -> str:
    return join(a=join(a=a, b=b).outputs["out"], b=read(data=data).outputs["out"]).outputs["out"]


@dsl.pipeline(name="deeper")
def deeper(data: dsl.Input[dsl.Dataset]) -> str:
    return join(a=twice(a="x", data=data).output, b=twice(a="y", b="z", data=data).output).outputs["out"]


@case(CASES, gives="x default file y z file")
@dsl.pipeline(name="sub-pipelines")
def sub_pipelines() -> str:
    return deeper(data=write(text="file").outputs["data"]).output


@dsl.container_component
def key(data: dsl.Input[dsl.Dataset], out: dsl.OutputPath(str)):  # type: ignore[valid-type]
    return shell('test -s "$0"; printf %s "$1" > "$2"', data.path, data.metadata["k"], out)


@case(CASES, gives="imported 7")
@dsl.pipeline(name="importer")
def importer(uri: str = __file__) -> str:
    taken = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"k": "imported 7"})
    return key(data=taken.output).outputs["out"]


@python
def all_types(
    metrics: dsl.Output[dsl.Metrics], table: dsl.Output[dsl.ClassificationMetrics],
    model: dsl.Output[dsl.Model], page: dsl.Output[dsl.HTML], text: dsl.Output[dsl.Markdown],
):  # fmt: skip
    metrics.log_metric("accuracy", 0.5)
    table.log_confusion_matrix(["a", "b"], [[1, 2], [3, 4]])
    model.metadata["framework"] = "keras"
    for artifact in (metrics, table, model, page, text):
        with open(artifact.path, "w") as file:
            file.write(type(artifact).__name__)


@python
def names(
    metrics: dsl.Input[dsl.Metrics], table: dsl.Input[dsl.ClassificationMetrics],
    model: dsl.Input[dsl.Model], page: dsl.Input[dsl.HTML], text: dsl.Input[dsl.Markdown],
) -> list:  # fmt: skip
    rows = table.metadata["confusionMatrix"]["rows"]
    return [metrics.metadata["accuracy"], len(rows), model.metadata["framework"], page.schema_title, text.schema_title]


@case(CASES, gives='[0.5, 2, "keras", "system.HTML", "system.Markdown"]')
@dsl.pipeline(name="artifacts-of-all-types")
def artifacts_of_all_types() -> str:
    return texts(x=names(**all_types().outputs).output).outputs["out"]
