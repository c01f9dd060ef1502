"""What the placeholders in a task's inputs and settings stand for, before a run as far as it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from components.contract.errors import UserError
from components.execution.executor import CHANNEL
from taxiway.language.placeholders import OF_A_RUN, filled, input_parameter, whole

UNKNOWN = object()
"""Stands for what only the run will know."""


class NotYetKnownError(Exception):
    """A placeholder stands for what only the run will know."""


@dataclass(frozen=True)
class Scope:
    """What the placeholders of one task stand for; a `placeholders.Lookup`.

    Attributes:
        parameters: The task's parameters that come from elsewhere.
        constants: Its other parameters, as the compiler wrote them: they may hold placeholders.
        outer: The parameters of the DAG that it stands in.
        facts: What is known of the run and the task; by default nothing, before there is one.
    """

    parameters: Mapping[str, Any]
    constants: Mapping[str, Any] = field(default_factory=dict)
    outer: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=lambda: dict.fromkeys(OF_A_RUN, UNKNOWN))

    def __call__(self, body: str) -> Any:
        """The value of a placeholder.

        Raises:
            NotYetKnownError: Only the run will know it.
            UserError: It names what the task does not have.
        """
        name = input_parameter(body)
        if name is None and body not in self.facts:
            raise UserError(f"the placeholder {{{{${body}}}}} is not known")
        value = self.facts[body] if name is None else self._parameter(name)
        if value is UNKNOWN:
            raise NotYetKnownError(body)
        return value

    def constant(self, name: str) -> Any:
        """A constant with its placeholders filled; one that is nothing but a placeholder keeps the value's type."""
        template = self.constants[name]
        # Without itself, a constant that leads back to itself finds no value.
        rest = replace(self, constants={each: value for each, value in self.constants.items() if each != name})
        body = whole(template) if isinstance(template, str) else None
        return filled(template, rest) if body is None else rest(body)

    def with_defaults(self, defaults: Mapping[str, Any]) -> Scope:
        """The same with a component's defaults, as the compiler wrote them, for parameters that are not given."""
        given = self.parameters.keys() | self.constants.keys()
        left = {name: value for name, value in defaults.items() if name not in given}
        return replace(self, constants={**left, **self.constants})

    def _parameter(self, name: str) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        if name in self.constants:
            return self.constant(name)
        # The compiler does not bring a value to every place that names it, such as an environment variable.
        for outer in (name, name.removeprefix(CHANNEL)) if name.startswith(CHANNEL) else ():
            if outer in self.outer:
                return self.outer[outer]
        raise UserError(
            f"the placeholder {{{{$.inputs.parameters['{name}']}}}} names {name!r}, which this task does not have",
            fix="pass the value to the task as an argument",
        )
