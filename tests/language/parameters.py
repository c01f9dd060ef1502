"""Parameters: each type as constant, default, argument and output; formatted strings; optional parameters."""

from typing import Any, NamedTuple, Optional

from kfp import dsl

from tests.language.cases import Case, case
from tests.language.kit import join, makes, number, python, say, shows, shows_default

CASES: list[Case] = []

# Each with its text form in Kubeflow's launcher: getPlaceholders in launcher_v2.go.
_VALUES: list[tuple[Any, Any, str]] = [
    (str, "a 'quoted' \"text\"\nof two lines, ü", "a 'quoted' \"text\"\nof two lines, ü"),
    (int, -7, "-7"),
    (float, 2.0, "2"),
    (float, 1e-7, "0.0000001"),
    (bool, True, "true"),
    (list, [1, 2.5, "x", [True]], '[1, 2.5, "x", [true]]'),
    (dict, {"a": 1, "b": {"c": [0.5]}}, '{"a": 1, "b": {"c": [0.5]}}'),
]


def _of_type(kind: Any, value: Any, text: str) -> None:
    name = f"{kind.__name__}-{len(text)}"

    def constant() -> str:
        return shows(kind)(x=value).outputs["out"]

    def default() -> str:
        return shows_default(kind, value)().outputs["out"]

    def argument(x) -> str:
        return shows(kind)(x=x).outputs["out"]

    def pipeline_default(x=value) -> str:
        return shows(kind)(x=x).outputs["out"]

    def output() -> str:
        return shows(kind)(x=makes(kind, text)().outputs["out"]).outputs["out"]

    argument.__annotations__["x"] = pipeline_default.__annotations__["x"] = kind
    for build in (constant, default, argument, pipeline_default, output):
        pipeline = dsl.pipeline(name=f"{build.__name__.replace('_', '-')}-{name}")(build)
        given = {"x": value} if build is argument else {}
        CASES.append(Case(pipeline, given, gives=text))


for _kind, _value, _text in _VALUES:
    _of_type(_kind, _value, _text)


@python
def types(a: str, b: int, c: bool, d: list, e: dict, f: Optional[str] = None, g: int = 3) -> str:  # noqa: UP045
    return repr((a, b, c, d, e, f, g))


@case(CASES, gives="('a', 1, False, [1, [2]], {'k': 3}, None, 3)")
@dsl.pipeline(name="types-in-python")
def types_in_python() -> str:
    return types(a="a", b=1, c=False, d=[1, [2]], e={"k": 3}).output


@python
def several(n: int) -> NamedTuple("outputs", [("text", str), ("flag", bool), ("map", dict)]):  # type: ignore[valid-type]
    from collections import namedtuple

    return namedtuple("outputs", ["text", "flag", "map"])("t" * n, n > 1, {"n": n})


@case(CASES, gives={"a": "tt true", "b": '{"n": 2}'})
@dsl.pipeline(name="outputs-by-name")
def outputs_by_name() -> NamedTuple("outputs", [("a", str), ("b", str)]):  # type: ignore[valid-type]
    from collections import namedtuple

    made = several(n=2)
    flag = shows(bool)(x=made.outputs["flag"]).outputs["out"]
    a, b = join(a=made.outputs["text"], b=flag), shows(dict)(x=made.outputs["map"])
    return namedtuple("outputs", ["a", "b"])(a.outputs["out"], b.outputs["out"])


def _read_from(kind: Any, text: str, **expected: Any) -> None:
    """An output as parsed by Go's ParseBool, ParseInt and ParseFloat: TextToPbValue in converter.go."""

    @dsl.pipeline(name=f"{kind.__name__}-read-from-{text.strip()}")
    def pipeline() -> str:
        return shows(kind)(x=makes(kind, text)().outputs["out"]).outputs["out"]

    CASES.append(Case(pipeline, **expected))


_read_from(bool, "True", gives="true")
_read_from(bool, "F\n", gives="false")
_read_from(int, " 12\n", gives="12")
_read_from(float, "1e3", gives="1000")
_read_from(int, "3.5", fails="the output 'out' takes a number_integer, not '3.5'")
_read_from(bool, "yes", fails="the output 'out' takes a boolean, not 'yes'")
_read_from(list, "{}", fails="the output 'out' takes a list, not '{}'")
_read_from(dict, "[1]", fails="the output 'out' takes a struct, not '[1]'")


@case(CASES, gives="x: 3 of {{$.inputs.parameters['n']}}")
@dsl.pipeline(name="values-in-a-text")
def values_in_a_text(who: str = "x", n: int = 3, sly: str = "{{$.inputs.parameters['n']}}") -> str:
    return say(x=f"{who}: {n} of {sly}").outputs["out"]


@case(CASES, gives='{"a": "x", "b": ["x", "3"]}')
@dsl.pipeline(name="values-in-a-map")
def values_in_a_map(who: str = "x", n: int = 3) -> str:
    return shows(dict)(x={"a": who, "b": [who, n]}).outputs["out"]


@dsl.pipeline(name="inner")
def inner(x: Optional[str] = None) -> str:  # noqa: UP045
    return shows_default(str, "default")(x=x).outputs["out"]


@case(CASES, gives="default default")
@case(CASES, {"x": "given"}, gives="given default")
@dsl.pipeline(name="left-open")
def left_open(x: Optional[str] = None) -> str:  # noqa: UP045
    return join(a=inner(x=x).output, b=inner().output).outputs["out"]


@case(CASES, refused="the parameter 'n' has no value")
@case(CASES, {"n": "three"}, refused="the parameter 'n' takes a number_integer, not 'three'")
@case(CASES, {"m": 1}, refused="has no parameter 'm'\n  fix: its parameters are: n")
@case(CASES, {"n": "3"}, gives="3")
@dsl.pipeline(name="required")
def required(n: int) -> str:
    return number(x=n).outputs["out"]
