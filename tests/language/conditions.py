"""Conditions: If, Elif, Else and OneOf, also nested."""

from typing import Any

from kfp import dsl

from tests.language.cases import Case, case
from tests.language.kit import add, makes, number, read, say, texts, three_branches, write

CASES: list[Case] = []


@case(CASES, {"side": "heads"}, ran="show")
@case(CASES, {"side": "tails"}, ran="")
@dsl.pipeline(name="if")
def if_alone(side: str):
    with dsl.If(side == "heads"):
        say(x="heads")


@case(CASES, {"side": "heads"}, gives="is heads", ran="show show-3")
@case(CASES, {"side": "tails"}, gives="is not", ran="show-2 show-3")
@dsl.pipeline(name="if-else")
def if_else(side: str) -> str:
    with dsl.If(side == "heads"):
        a = say(x="is heads")
    with dsl.Else():
        b = say(x="is not")
    return say(x=dsl.OneOf(a.outputs["out"], b.outputs["out"])).outputs["out"]


CASES += three_branches(say)


@case(CASES, {"n": 1}, gives="of the first")
@case(CASES, {"n": 2}, gives="of the last")
@dsl.pipeline(name="one-of-artifacts")
def one_of_artifacts(n: int) -> str:
    with dsl.If(n == 1):
        a = write(text="of the first")
    with dsl.Else():
        b = write(text="of the last")
    return read(data=dsl.OneOf(a.outputs["data"], b.outputs["data"])).outputs["out"]


@case(CASES, {"a": 1, "b": 1}, ran="add show show-2")
@case(CASES, {"a": 1, "b": 2}, ran="add show")
@case(CASES, {"a": 2, "b": 2}, ran="add")
@dsl.pipeline(name="nested")
def nested(a: int, b: int):
    task = add(a=a, b=1)
    with dsl.If(task.outputs["out"] == 2):
        say(x="outer")
        with dsl.If(b == a):
            say(x="inner")


@case(CASES, {"n": 1}, gives="inner")
@case(CASES, {"n": 2}, gives="other")
@case(CASES, {"n": 3}, gives="outer")
@dsl.pipeline(name="one-of-in-a-branch")
def one_of_in_a_branch(n: int) -> str:
    with dsl.If(n < 3):
        with dsl.If(n == 1):
            a = say(x="inner")
        with dsl.Else():
            b = say(x="other")
        c = say(x=dsl.OneOf(a.outputs["out"], b.outputs["out"]))
    with dsl.Else():
        d = say(x="outer")
    return dsl.OneOf(c.outputs["out"], d.outputs["out"])


# Kubeflow's workflow depends on `.Succeeded`: `depends` in argocompiler/dag.go.
@case(CASES, ran="make make-2 show show-4")
@dsl.pipeline(name="what-follows-is-skipped")
def later_tasks_are_skipped():
    yes, no = makes(bool, "true")(), makes(bool, "false")()
    with dsl.If(yes.outputs["out"] == True):  # noqa: E712 (kfp builds the condition from ==)
        say(x="runs")
    with dsl.If(no.outputs["out"] == True):  # noqa: E712
        inside = say(x="is skipped")
        say(x="is skipped, too").after(inside)
    with dsl.If(no.outputs["out"] != True):  # noqa: E712
        say(x="runs")


def _compared(name: str, holds: Any, value: Any, ran: str | None, **expected: Any) -> None:
    def compare(x):
        with dsl.If(holds(x)):
            say(x="holds")

    compare.__annotations__ = {"x": type(value)}
    CASES.append(Case(dsl.pipeline(name=f"compare-{name}")(compare), {"x": value}, ran=ran, **expected))


_compared("texts", lambda x: x == 'so "it" is', 'so "it" is', "show")
# The compiler writes no CEL for it, and Kubeflow's driver refuses it as well.
_compared("a-quote", lambda x: x == "it's", "it's", None, fails="cannot be read")
_compared("order-of-texts", lambda x: x < "a", "b", "")
_compared("integers", lambda x: x >= 9, 10, "show")
_compared("doubles", lambda x: x < 0.2, 0.1, "show")
_compared("booleans", lambda x: x != True, False, "show")  # noqa: E712


@case(CASES, {"a": 1, "b": 2}, ran="add add-2 show")
@case(CASES, {"a": 1, "b": 3}, ran="add add-2")
@dsl.pipeline(name="compare-two-outputs")
def compare_two_outputs(a: int, b: int):
    with dsl.If(add(a=a, b=2).outputs["out"] == add(a=b, b=1).outputs["out"]):
        say(x="equal")


@case(CASES, gives='["odd", "even"]')
@dsl.pipeline(name="one-of-in-a-loop")
def one_of_in_a_loop() -> str:
    with dsl.ParallelFor([1, 2]) as n:
        with dsl.If(n == 1):
            a = say(x="odd")
        with dsl.Else():
            b = say(x="even")
        chosen = say(x=dsl.OneOf(a.outputs["out"], b.outputs["out"]))
    return texts(x=dsl.Collected(chosen.outputs["out"])).outputs["out"]


@dsl.pipeline(name="sum-of")
def sum_of(a: int, b: int) -> int:
    return add(a=a, b=b).outputs["out"]


@case(CASES, {"n": 1}, gives="3")
@case(CASES, {"n": 2}, gives="4")
@dsl.pipeline(name="sub-pipelines-in-branches")
def sub_pipelines_in_branches(n: int) -> str:
    with dsl.If(n == 1):
        a = sum_of(a=n, b=2)
    with dsl.Else():
        b = sum_of(a=n, b=n)
    return number(x=dsl.OneOf(a.output, b.output)).outputs["out"]
