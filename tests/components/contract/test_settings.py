from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from components.contract.errors import UserError
from components.contract.settings import named, typed


@dataclass(frozen=True)
class Inner:
    name: str = ""


@dataclass(frozen=True)
class Outer:
    image: str
    weight: float = 0.0
    tries: int = 1
    inner: Inner | None = None
    args: list[str] = field(default_factory=list)
    resources: dict[str, dict[str, str]] = field(default_factory=dict)


def read(given: Any) -> Outer:
    return typed(named(given, Outer, "x"), Outer, "x")


def test_settings_have_types_and_defaults() -> None:
    given = {"image": "i", "weight": 2, "inner": Inner("n"), "args": ["a"], "resources": {"limits": {"cpu": "1"}}}
    assert read({**given, "tries": None}) == Outer("i", 2, 1, Inner("n"), ["a"], {"limits": {"cpu": "1"}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "x takes a map of settings, not None\n  fix: its settings are image, weight, tries"),
        ({"imag": "i"}, "x has no setting 'imag'\n  fix: did you mean 'image'?"),
        ({3: "i"}, "x has no setting 3\n  fix: use one of image, weight, tries"),
        ({"weight": 1}, "x.image is missing\n  fix: add image: ..."),
        ({"image": ""}, "x.image is missing"),
        ({"image": None}, "x.image is missing"),
        ({"image": 1}, "x.image is 1\n  fix: write a value of type str"),
        ({"image": "i", "weight": True}, "x.weight is True\n  fix: write a value of type float"),
        ({"image": "i", "tries": 1.5}, "x.tries is 1.5\n  fix: write a value of type int"),
        ({"image": "i", "inner": "n"}, "x.inner is 'n'\n  fix: write a value of type Inner | None"),
        ({"image": "i", "args": ["a", 1]}, "x.args is ['a', 1]\n  fix: write a value of type list[str]"),
        ({"image": "i", "resources": {"limits": {"cpu": 1}}}, "x.resources is {'limits': {'cpu': 1}}\n  fix: write"),
        ({"image": "i", "resources": []}, "x.resources is []\n  fix: write a value of type dict[str, dict[str, str]]"),
    ],
)
def test_errors_name_the_setting_and_its_fix(given: Any, message: str) -> None:
    with pytest.raises(UserError) as raised:
        read(given)
    assert str(raised.value).startswith(message)
