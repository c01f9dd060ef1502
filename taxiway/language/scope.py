"""The values of the placeholders in a task's inputs and settings; before a run, some are unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from components.contract.errors import UserError
from components.execution.executor import CHANNEL
from taxiway.language.placeholders import RUN_PLACEHOLDERS, filled, input_parameter, whole

UNKNOWN = object()
"""A value that will be known only during the run."""


class NotYetKnownError(Exception):
    """The value of a placeholder will be known only during the run."""


@dataclass(frozen=True)
class Scope:
    """The values of one task's placeholders; a `placeholders.Lookup`.

    Attributes:
        parameters: The task's parameters that come from other tasks or the DAG.
        constants: Its other parameters, which may contain placeholders.
        outer: The parameters of its DAG.
        facts: Values that concern the run and the task; by default all are unknown, as before a run.
    """

    parameters: Mapping[str, Any]
    constants: Mapping[str, Any] = field(default_factory=dict)
    outer: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=lambda: dict.fromkeys(RUN_PLACEHOLDERS, UNKNOWN))

    def __call__(self, body: str) -> Any:
        """The value of a placeholder.

        Raises:
            NotYetKnownError: It will be known only during the run.
            UserError: The task has no such input, or the placeholder is unknown.
        """
        name = input_parameter(body)
        if name is None and body not in self.facts:
            raise UserError(f"the placeholder {{{{${body}}}}} is not known")
        value = self.facts[body] if name is None else self._parameter(name)
        if value is UNKNOWN:
            raise NotYetKnownError(body)
        return value

    def constant(self, name: str) -> Any:
        """A constant with its placeholders filled; a single placeholder keeps its value's type."""
        template = self.constants[name]
        # Excluding the constant itself turns a circular reference into an error.
        rest = replace(self, constants={each: value for each, value in self.constants.items() if each != name})
        body = whole(template) if isinstance(template, str) else None
        return filled(template, rest) if body is None else rest(body)

    def with_defaults(self, defaults: Mapping[str, Any]) -> Scope:
        """This scope with a component's defaults for the parameters that are not given."""
        given = self.parameters.keys() | self.constants.keys()
        left = {name: value for name, value in defaults.items() if name not in given}
        return replace(self, constants={**left, **self.constants})

    def _parameter(self, name: str) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        if name in self.constants:
            return self.constant(name)
        # The compiler does not pass a value to each task that refers to it, for example in an environment variable.
        for outer in (name, name.removeprefix(CHANNEL)) if name.startswith(CHANNEL) else ():
            if outer in self.outer:
                return self.outer[outer]
        raise UserError(
            f"the placeholder {{{{$.inputs.parameters['{name}']}}}} names {name!r}, which this task does not have",
            fix="pass the value to the task as an argument",
        )
