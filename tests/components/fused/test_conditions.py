"""Conditions are compared, never evaluated."""

from pathlib import Path

import pytest
from kfp import dsl

from components.contract.errors import UserError
from components.fused.conditions import holds
from taxiway import loading
from taxiway.language.components import DagComponent


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("inputs.parameter_values['a'] == true", False),
        ("inputs.parameter_values['flag'] == true", True),
        ("!(inputs.parameter_values['flag'] == true)", False),
        ("!(inputs.parameter_values['flag'] == true) && int(inputs.parameter_values['n']) > 3", False),
        ("inputs.parameter_values['flag'] == true || inputs.parameter_values['n'] == 0", True),
        ("int(inputs.parameter_values['n']) >= 7", True),
        ("inputs.parameter_values['n'] == 7.0", True),
        ("double(inputs.parameter_values['n']) < 7.5", True),
        ("inputs.parameter_values['text'] == 'it\\'s'", True),
        ("inputs.parameter_values['text'] != inputs.parameter_values['a']", True),
        ("inputs.parameter_values['n'] == '7'", False),
        ("string(inputs.parameter_values['n']) == '7'", True),
        ("string(inputs.parameter_values['flag']) == 'true'", True),
        ("-1 < 0", True),
    ],
)
def test_compares_as_cel_does(condition: str, expected: bool) -> None:
    parameters = {"a": "x", "flag": True, "n": 7, "text": "it's"}
    assert holds(condition, parameters) is expected


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("inputs.parameter_values['missing'] == 1", "no parameter 'missing'"),
        ("inputs.parameter_values['n'] > 'a'", "have no order"),
        ("(inputs.parameter_values['n'] == 7", "not closed"),
        ("inputs.parameter_values['n'] == 7 7", "unexpected 7"),
        ("inputs.parameter_values['n']", "not true or false"),
        ("__import__('os').system('true')", 'unexpected "__import__'),
        ("inputs.parameter_values['text'] == 'it's'", "unexpected"),
        ("int(inputs.parameter_values['text']) == 1", "is not of type int"),
        ("", "unexpected 'end'"),
    ],
)
def test_refuses_conditions_that_the_compiler_does_not_write(condition: str, why: str) -> None:
    with pytest.raises(UserError, match="cannot be read") as caught:
        holds(condition, {"n": 7, "text": "it's"})
    assert why in str(caught.value)


CODE_LIKE = [
    text.format(marker="{marker}")
    for base in (
        "__import__('pathlib').Path('{marker}').touch()",
        "' == '' || true || '",
        "') || (true",
        "inputs.parameter_values['flag']",
        "{{{{$}}}}",
        "{{{{$.inputs.parameters['secret']}}}}",
        "$(touch {marker})",
        "`touch {marker}`",
        "; touch {marker} #",
        "${{IFS}}touch${{IFS}}{marker}",
    )
    for text in (
        base,
        f'"{base}"',
        f"'{base}'",
        f"({base})",
        f"!{base}",
        f"{base} == true",
        f"true || {base}",
        f"\n{base}",
        f"{base}\\",
        f"\\'{base}\\'",
    )
]


def test_there_are_a_hundred_code_like_strings() -> None:
    assert len(set(CODE_LIKE)) == 100


@pytest.mark.parametrize("text", CODE_LIKE)
def test_a_value_that_looks_like_code_is_not_evaluated(text: str, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    value = text.replace("{marker}", str(marker))
    parameters = {"value": value, "flag": True, "secret": "s3cret"}
    assert not holds("inputs.parameter_values['value'] == 'expected'", parameters)
    assert not holds("inputs.parameter_values['value'] == true", parameters)
    assert holds("!(inputs.parameter_values['value'] == inputs.parameter_values['secret'])", parameters)
    assert not marker.exists()


def test_accepts_every_operator_that_kfp_compiles() -> None:
    @dsl.container_component
    def noop():
        return dsl.ContainerSpec(image="x", command=["true"])

    @dsl.pipeline
    def conditions(n: int, x: float, text: str, flag: bool) -> None:
        with dsl.If(n > 3):
            noop()
        with dsl.Elif(x <= 0.5):
            noop()
        with dsl.Elif(text == "a b"):
            noop()
        with dsl.Else():
            noop()
        with dsl.If(flag == True):  # noqa: E712 (kfp builds the condition from ==)
            noop()

    pipeline = loading.compiled(conditions)
    found = [
        task.condition
        for component in [pipeline.root, *pipeline.components.values()]
        if isinstance(component, DagComponent)
        for task in component.dag.tasks.values()
        if task.condition
    ]
    assert len(found) == 5
    values = {"n": 5, "x": 0.1, "text": "a b", "flag": False}
    parameters = {f"pipelinechannel--{name}": value for name, value in values.items()}
    assert sorted(holds(condition, parameters) for condition in found) == [False, False, False, False, True]
