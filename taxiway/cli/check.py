"""`taxiway check`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from taxiway.cli.options import Parameters, PipelineName, parsed_parameters


def check_command(
    pipeline: PipelineName,
    param: Parameters = [],  # noqa: B006 (typer reads it)
    runner: Annotated[Literal["local", "docker"], typer.Option(help="How you will run it; see `run`.")] = "local",
) -> None:
    """Find errors before a run: modules, artifact types, splits, data, features that need Kubernetes. Runs nothing."""
    from taxiway import loading
    from taxiway.checks import check

    found = check.findings(loading.load(pipeline), parsed_parameters(param), has_images=runner == "docker")
    for finding in found:
        print(finding)
    if found:
        raise typer.Exit(2)
    print(f"{pipeline}: nothing wrong found")
