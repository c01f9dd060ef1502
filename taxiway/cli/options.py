"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from components.contract.errors import UserError

PipelineName = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="A folder of pipelines/, a Python file, or a compiled YAML file.")
]
Parameters = Annotated[
    list[str], typer.Option("--param", "-p", metavar="NAME=VALUE", help="A pipeline parameter; lists and maps as JSON.")
]
Profiles = Annotated[
    list[str], typer.Option("--profile", metavar="NAME", help="A profile of the pipeline's resources; may be repeated.")
]
InlineModules = Annotated[
    bool, typer.Option("--inline-modules", help="Put your modules' source into the pipeline, not into the image.")
]
Fuse = Annotated[bool, typer.Option("--fuse", help="Run neighbouring stages in one pod: fewer pods, less waiting.")]


def parsed_parameters(given: list[str]) -> dict[str, Any]:
    """`NAME=VALUE` texts as a map.

    Raises:
        UserError: One has no `=`, or a name comes twice.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UserError(f"the parameter {text!r} is no NAME=VALUE", fix=f"write --param {name or 'NAME'}=VALUE")
        if name in found:
            raise UserError(f"the parameter {name!r} is given twice")
        found[name] = value
    return found
