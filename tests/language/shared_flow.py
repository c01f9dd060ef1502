"""Shared pipelines with conditions and loops."""

from typing import NamedTuple

from kfp import dsl

from tests.language.cases import Case, case
from tests.language.kit import python, read_all, three_branches
from tests.language.shared import double, greeted, join, named, noted, read, returns, say, shown, write

CASES: list[Case] = []


@python
def letters() -> list[str]:
    return ["a", "b"]


@python
def named_letters() -> NamedTuple("Made", [("letters", list[str])]):  # type: ignore[valid-type]
    return (["a", "b"],)


@python
def exclaim(x: str) -> str:
    return x + "!"


CASES += three_branches(say)


@case(CASES, {"n": 1}, gives="of 1 default")
@case(CASES, {"n": 2}, gives="of more default")
@dsl.pipeline(name="one-of-as-an-input")
def one_of_as_an_input(n: int) -> str:
    with dsl.If(double(n=n).output == 2):
        a = say(x="of 1")
    with dsl.Else():
        b = say(x="of more")
    return join(a=dsl.OneOf(a.output, b.output)).output


@case(
    CASES,
    {"n": 1},
    gives="one (of 3)",
    differs="it knows OneOf of parameters alone; Kubeflow's driver takes the artifact of the branch that ran",
)
@dsl.pipeline(name="one-of-artifacts")
def one_of_artifacts(n: int) -> str:
    with dsl.If(n == 1):
        a = write(text="one")
    with dsl.Else():
        b = write(text="more")
    return read(data=dsl.OneOf(a.outputs["data"], b.outputs["data"])).output


@case(CASES, {"flag": True}, gives={"notes": "outer inner "})
@case(CASES, {"flag": False}, gives={"notes": "outer "})
@dsl.pipeline(name="nested")
def nested(flag: bool, name: str = "a"):
    with dsl.If(name == "a"):
        first = noted(x="outer ")
        with dsl.If(flag == True):  # noqa: E712 (kfp builds the condition from ==)
            noted(x="inner ").after(first)


@case(
    CASES,
    gives={"notes": "holds"},
    differs="it takes the condition for false; Kubeflow's driver compares the value (expression.go)",
)
@dsl.pipeline(name="on-a-named-output")
def on_a_named_output():
    with dsl.If(named(x="four").outputs["size"] == 4):
        noted(x="holds")


@case(
    CASES,
    {"x": "it's"},
    gives={"notes": "holds"},
    differs="it evaluates the value as code, and takes the error for false; Kubeflow's driver compares the value",
)
@dsl.pipeline(name="on-a-text-with-a-quote")
def on_a_text_with_a_quote(x: str):
    with dsl.If(x != "a"):
        noted(x="holds")


@case(CASES, gives="['a', 'b']")
@dsl.pipeline(name="over-constants")
def over_constants() -> str:
    with dsl.ParallelFor(["a", "b"]) as item:
        task = say(x=item)
    return shown(x=dsl.Collected(task.output)).output


@case(CASES, gives="['a!', 'b!']")
@case(CASES, {"items": ["c"]}, gives="['c!']")
@case(
    CASES,
    {"items": []},
    gives="[]",
    differs="it finds no output of a loop without turns; Kubeflow's driver collects an empty list (CollectInputs)",
)
@dsl.pipeline(name="over-a-parameter")
def over_a_parameter(items: list[str] = ["a", "b"]) -> str:
    with dsl.ParallelFor(items, parallelism=1) as item:
        task = exclaim(x=item)
    return shown(x=dsl.Collected(task.output)).output


@case(CASES, gives="['a!', 'b!']")
@dsl.pipeline(name="over-an-output")
def over_an_output() -> str:
    with dsl.ParallelFor(letters().output) as item:
        task = exclaim(x=item)
    return shown(x=dsl.Collected(task.output)).output


@case(
    CASES,
    gives="['a!', 'b!']",
    differs="it does not find the output; Kubeflow's driver resolves any input of the loop (dag.go)",
)
@dsl.pipeline(name="over-a-named-output")
def over_a_named_output() -> str:
    with dsl.ParallelFor(named_letters().outputs["letters"]) as item:
        task = exclaim(x=item)
    return shown(x=dsl.Collected(task.output)).output


@case(CASES, gives="['x y', 'z default']")
@dsl.pipeline(name="over-maps")
def over_maps() -> str:
    with dsl.ParallelFor([{"a": "x", "b": "y"}, {"a": "z", "b": "default"}]) as item:
        task = join(a=item.a, b=item.b)
    return shown(x=dsl.Collected(task.output)).output


@case(CASES, gives="['x y']")
@dsl.pipeline(name="over-a-parameter-of-maps")
def over_a_parameter_of_maps(items: list[dict] = [{"a": "x", "b": "y"}]) -> str:
    with dsl.ParallelFor(items) as item:
        task = join(a=item.a, b=item.b)
    return shown(x=dsl.Collected(task.output)).output


# Kubeflow's driver flattens it into one list (CollectInputs in driver/resolve.go).
@case(CASES, gives="[['a 1', 'b 1'], ['a 2', 'b 2']]")
@dsl.pipeline(name="one-in-another")
def one_in_another() -> str:
    with dsl.ParallelFor(["1", "2"]) as outer, dsl.ParallelFor(["a", "b"]) as inner:
        task = join(a=inner, b=outer)
    return shown(x=dsl.Collected(task.output)).output


@case(
    CASES,
    gives="['even']",
    differs="it fails, and so does Kubeflow's driver (resolve.go): here, other turns give what there is",
)
@dsl.pipeline(name="collected-over-a-condition")
def collected_over_a_condition() -> str:
    with dsl.ParallelFor([1, 2]) as item, dsl.If(item == 2):
        task = say(x="even")
    return shown(x=dsl.Collected(task.output)).output


@case(CASES, gives="a b")
@dsl.pipeline(name="collected-artifacts")
def collected_artifacts() -> str:
    with dsl.ParallelFor(["a", "b"]) as item:
        task = write(text=item)
    return read_all(data=dsl.Collected(task.outputs["data"])).output


@dsl.pipeline(name="doubled")
def doubled(items: list) -> NamedTuple("Made", [("all", list[int])]):  # type: ignore[valid-type]
    with dsl.ParallelFor(items) as item:
        task = double(n=item)
    return returns(all=dsl.Collected(task.output))


@case(
    CASES,
    gives="[2, 4]",
    differs="it makes floats of integers in a list; Kubeflow's launcher hands on JSON, written as 2",
)
@dsl.pipeline(name="in-a-sub-pipeline")
def in_a_sub_pipeline() -> str:
    return shown(x=doubled(items=[1, 2]).outputs["all"]).output


@case(CASES, gives="['hello x', 'hello y']")
@dsl.pipeline(name="a-sub-pipeline-in-a-loop")
def sub_pipeline_in_a_loop() -> str:
    with dsl.ParallelFor(["x", "y"]) as item:
        task = greeted(name=item)
    return shown(x=dsl.Collected(task.outputs["text"])).output
