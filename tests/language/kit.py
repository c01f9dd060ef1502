"""Components that start in milliseconds: shell commands, whose images are not used."""

import functools
from typing import Any

from kfp import dsl

from tests.language.cases import Case, case

python = functools.partial(dsl.component, base_image="python:3.13", install_kfp_package=False)
"""A lightweight Python component. It starts kfp's executor, which takes a third of a second."""


# Kubeflow's launcher makes the folders of outputs; its local runner does not.
_FOLDERS = 'for p in "$0" "$@"; do case "$p" in /*) [ -d "${p%/*}" ] || mkdir -p "${p%/*}";; esac; done; '


def shell(script: str, *arguments: Any) -> dsl.ContainerSpec:
    """A shell command; its arguments begin with `$0`."""
    return dsl.ContainerSpec(image="python:3.13", command=["sh", "-ec", _FOLDERS + script], args=list(arguments))


def shows(kind: Any) -> Any:
    """A component that returns its parameter `x` as it appears in a command."""

    def show(x, out):
        return shell('printf %s "$0" > "$1"', x, out)

    show.__annotations__ = {"x": kind, "out": dsl.OutputPath(str)}
    return dsl.container_component(show)


def shows_default(kind: Any, value: Any) -> Any:
    """The same with a default value."""

    def show(out, x=value):
        return shell('printf %s "$0" > "$1"', x, out)

    show.__annotations__ = {"x": kind, "out": dsl.OutputPath(str)}
    return dsl.container_component(show)


def makes(kind: Any, text: str) -> Any:
    """A component that writes this text as its output parameter."""

    def make(out):
        return shell('printf %s "$0" > "$1"', text, out)

    make.__annotations__ = {"out": dsl.OutputPath(kind)}
    return dsl.container_component(make)


say = shows(str)
number = shows(int)
texts = shows(list)


@dsl.container_component
def join(a: str, b: str, out: dsl.OutputPath(str)):  # type: ignore[valid-type]
    return shell('printf "%s %s" "$0" "$1" > "$2"', a, b, out)


@dsl.container_component
def add(a: int, b: int, out: dsl.OutputPath(int)):  # type: ignore[valid-type]
    return shell('printf %s "$(($0 + $1))" > "$2"', a, b, out)


@dsl.container_component
def fail(text: str = "it broke"):
    return shell('echo "$0" >&2; exit 3', text)


@dsl.container_component
def write(text: str, data: dsl.Output[dsl.Dataset]):
    return shell('printf %s "$0" > "$1"', text, data.path)


@dsl.container_component
def read(data: dsl.Input[dsl.Dataset], out: dsl.OutputPath(str)):  # type: ignore[valid-type]
    return shell('cat "$0" > "$1"', data.path, out)


@python
def read_all(data: dsl.Input[list[dsl.Dataset]]) -> str:
    return " ".join(open(each.path).read() for each in data or [])


def three_branches(say: Any) -> list[Case]:
    """If, Elif and Else, with a component that returns its `x`."""
    cases: list[Case] = []

    @case(cases, {"n": 1}, gives="low")
    @case(cases, {"n": 5}, gives="middle")
    @case(cases, {"n": 10}, gives="high")
    @dsl.pipeline(name="if-elif-else")
    def if_elif_else(n: int) -> str:
        with dsl.If(n < 3):
            a = say(x="low")
        with dsl.Elif(n < 7):
            b = say(x="middle")
        with dsl.Else():
            c = say(x="high")
        return dsl.OneOf(a.output, b.output, c.output)

    return cases
