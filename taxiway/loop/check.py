"""Checks what a settings file names: the pipeline and its parameters."""

from __future__ import annotations

from components.contract.errors import UserError
from taxiway import loading
from taxiway.language import spec
from taxiway.loop.settings import COMMON_FACTS, FACT, Settings

_SAMPLES = {"NUMBER_INTEGER": "0", "NUMBER_DOUBLE": "0", "BOOLEAN": "true", "LIST": "[]", "STRUCT": "{}"}
"""What stands for a value that a trigger will fill in, by the type of the parameter."""


def pipeline(settings: Settings) -> None:
    """Compiles the pipeline, and compares its parameters with those of the settings.

    Raises:
        UserError: There is no such pipeline or parameter, or one without a default is missing or may be.
    """
    compiled = loading.load(settings.pipeline)
    known = compiled.root.inputs.parameters
    given = dict(settings.parameters)
    for name, value in settings.parameters.items():
        if not (isinstance(value, str) and value.startswith(FACT)):
            continue
        given[name] = _SAMPLES.get(known[name].type, "text") if name in known else ""
        if value.removeprefix(FACT) not in COMMON_FACTS and name in known and not known[name].is_optional:
            raise UserError(
                f"the parameter {name} is {value}, which not all triggers have, and the pipeline has no default for it",
                fix=f"give it a default in the pipeline, or use one of {', '.join(FACT + f for f in COMMON_FACTS)}",
            )
    missing = [name for name, each in known.items() if name not in given and not each.is_optional]
    if missing:
        raise UserError(
            f"the pipeline {settings.pipeline} needs the parameter {missing[0]!r}",
            fix=f"add it: parameters: {{{missing[0]}: ...}}",
        )
    spec.pipeline_parameters(compiled, given)
