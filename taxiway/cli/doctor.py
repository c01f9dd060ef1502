"""`taxiway doctor`."""

from __future__ import annotations

import sys
from contextlib import closing, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from components.contract.commands import typed
from taxiway.cli.options import Profiles, parsed_parameters

if TYPE_CHECKING:
    from rich.console import Console

    from taxiway.doctor.findings import Line, Use


def _examined(use: Use, profiles: list[str], seconds: float, console: Console) -> list[tuple[str, Line]]:
    from taxiway.doctor import cluster, kubeflow, laptop, servers, stores
    from taxiway.doctor.examination import Examination

    with closing(Examination(seconds)) as examination:
        examination.start(laptop.checks(use))
        if use.namespace:
            cluster.preload()
        use, read = _read(use, profiles)
        examination.start([*servers.checks(use), *stores.checks(use), *kubeflow.checks(use), *cluster.checks(use)])
        # Its thread starts after the last fork.
        with console.status("looking"):
            return [*read, *examination.lines()]


def _read(use: Use, profiles: list[str]) -> tuple[Use, list[tuple[str, Line]]]:
    """The use with what its pipeline asks for, and the line of the pipeline itself."""
    if not use.pipeline:
        return use, []
    from taxiway.doctor import requirements
    from taxiway.doctor.findings import Line, State, short
    from taxiway.kubeflow import compilation

    try:
        # What a pipeline's module prints is not part of the page.
        with redirect_stdout(sys.stderr):
            pipeline = compilation.compiled(use.pipeline, profiles)
            tasks = requirements.tasks(pipeline, use.parameters)
    except Exception as error:
        said, fix = getattr(error, "what", f"{type(error).__name__}: {error}"), getattr(error, "fix", "")
        return use, [
            ("pipeline", Line("pipeline", State.MISSING, short(said), fix or typed("taxiway check", use.pipeline)))
        ]
    sdk = str(pipeline.spec.get("sdkVersion", ""))
    found = f"{pipeline.name}: {len(tasks)} tasks, IR {pipeline.spec['schemaVersion']}, {sdk}"
    return replace(use, tasks=tasks, sdk_version=sdk), [("pipeline", Line("pipeline", State.WELL, found))]


def _not_asked(use: Use) -> str:
    options = {
        "--pipeline PIPELINE": use.pipeline,
        "--host URL": use.host,
        "--namespace NAME": use.namespace,
    }
    open_ones = " ".join(option for option, given in options.items() if not given)
    return f"Not asked for: {typed('taxiway doctor')} {open_ones}" if open_ones else ""


def doctor_command(
    pipeline: Annotated[str, typer.Option(metavar="PIPELINE", help="Look at what this pipeline asks for, too.")] = "",
    param: Annotated[list[str], typer.Option("--param", "-p", metavar="NAME=VALUE", help="Its parameters.")] = [],  # noqa: B006 (typer reads it)
    profile: Profiles = [],  # noqa: B006
    host: Annotated[str, typer.Option(metavar="URL", help="Kubeflow's address.")] = "",
    token_file: Annotated[Path | None, typer.Option(metavar="FILE", help="The token for it.")] = None,
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="The authority that it is known by.")] = None,
    namespace: Annotated[str, typer.Option(metavar="NAME", help="Where the pipeline's pods are going to run.")] = "",
    context: Annotated[str, typer.Option(metavar="NAME", help="kubectl's; the current one by default.")] = "",
    runner: Annotated[Literal["local", "docker"], typer.Option(help="What runs pipelines on this machine.")] = "local",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each check.")] = 5,
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what is there and what is not, each with how to fix it. Exit status 1: something needed is missing."""
    from rich.console import Console

    from taxiway.doctor import page
    from taxiway.doctor.findings import Use

    use = Use(
        Path.cwd(),
        pipeline,
        parsed_parameters(param),
        host=host,
        token_file=token_file,
        ca=ca,
        namespace=namespace,
        context=context,
        runner=runner,
    )
    console = Console()
    found = _examined(use, profile, timeout, console)
    if json_output:
        print(page.to_json(found))
    else:
        console.print(page.render(found, _not_asked(use)))
    raise typer.Exit(0 if page.is_well(found) else 1)
