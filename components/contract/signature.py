"""A stage's interface, read from its function: the single source for its component, docs and arguments."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from components.contract.artifacts import Artifact, Report, Role

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Port:
    """One input or output of a stage.

    Attributes:
        name: The name of the parameter, also in the compiled pipeline.
        direction: `input` or `output`.
        kind: The artifact's class; None for a parameter.
        type: The parameter's Python type: str, int, float, bool, list or dict.
        role: What the parameter refers to, if runners have to know.
        default: The default, or `REQUIRED`.
        description: What it is, if the function's docstring does not say so.
    """

    name: str
    direction: str
    kind: type[Artifact] | None = None
    type: type = str
    role: Role | None = None
    default: Any = REQUIRED
    description: str = ""

    @property
    def required(self) -> bool:
        """Whether the port has no default."""
        return self.default is REQUIRED


REPORT = Port("report", "output", kind=Report, description="A page that shows the other outputs.")
"""The output that the executor writes for a stage, after the stage's function."""


def ports(stage: Callable[..., Any]) -> list[Port]:
    """A stage's inputs, parameters and outputs in the order of its signature, return values last."""
    hints = typing.get_type_hints(stage, include_extras=True)
    parameters = inspect.signature(stage).parameters.values()
    returned = typing.get_type_hints(hints["return"]) if hasattr(hints.get("return"), "_fields") else {}
    return [_port(p.name, hints[p.name], p.default) for p in parameters] + [
        Port(name, "output", type=kind) for name, kind in returned.items()
    ]


def _port(name: str, hint: Any, default: Any) -> Port:
    hint = _without_none(hint)
    if typing.get_origin(hint) is not typing.Annotated:
        return Port(name, "input", type=typing.get_origin(hint) or hint, default=default)
    kind, mark = typing.get_args(hint)[:2]
    if isinstance(mark, Role):
        return Port(name, "input", type=kind, role=mark, default=default)
    return Port(name, mark, kind=kind, default=default)


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) not in (types.UnionType, typing.Union):
        return hint
    return next(arg for arg in typing.get_args(hint) if arg is not types.NoneType)
