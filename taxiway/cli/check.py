"""`taxiway check`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from taxiway.cli.options import Parameters, PipelineName, parsed_parameters


def check_command(
    pipeline: PipelineName,
    param: Parameters = [],  # noqa: B006 (typer reads it)
    runner: Annotated[Literal["local", "docker"], typer.Option(help="What is to run it: see `run`.")] = "local",
) -> None:
    """Look for what would fail later: modules, artifact types, splits, data, what only Kubernetes has. Nothing runs."""
    from taxiway import loading
    from taxiway.checks import check

    found = check.findings(loading.load(pipeline), parsed_parameters(param), has_images=runner == "docker")
    for finding in found:
        print(finding)
    if found:
        raise typer.Exit(2)
    print(f"{pipeline}: nothing wrong found")
