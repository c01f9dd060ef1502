"""`taxiway doctor`."""

from __future__ import annotations

import sys
from contextlib import closing, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from components.contract.commands import typed
from taxiway.cli.options import CookieFile, Header, Profiles, TokenFile, parsed_parameters

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
        # The status display starts a thread, so it comes after the last fork.
        with console.status("checking"):
            return [*read, *examination.lines()]


def _read(use: Use, profiles: list[str]) -> tuple[Use, list[tuple[str, Line]]]:
    """Adds the pipeline's requirements to the use; also returns the line for the pipeline itself."""
    if not use.pipeline:
        return use, []
    from taxiway.doctor import requirements
    from taxiway.doctor.findings import Line, State, short
    from taxiway.kubeflow import compilation

    try:
        # Whatever the pipeline's module prints must not end up in the report.
        with redirect_stdout(sys.stderr):
            pipeline = compilation.compiled(use.pipeline, profiles)
            tasks = requirements.tasks(pipeline, use.parameters)
    except Exception as error:
        reason, fix = getattr(error, "what", f"{type(error).__name__}: {error}"), getattr(error, "fix", "")
        return use, [
            ("pipeline", Line("pipeline", State.MISSING, short(reason), fix or typed("taxiway check", use.pipeline)))
        ]
    sdk = str(pipeline.spec.get("sdkVersion", ""))
    found = f"{pipeline.name}: {len(tasks)} tasks, IR {pipeline.spec['schemaVersion']}, {sdk}"
    return replace(use, tasks=tasks, sdk_version=sdk), [("pipeline", Line("pipeline", State.OK, found))]


def _unchecked(use: Use) -> str:
    options = {
        "--pipeline PIPELINE": use.pipeline,
        "--host URL": use.host,
        "--namespace NAME": use.namespace,
    }
    missing = " ".join(option for option, given in options.items() if not given)
    return f"To check more: {typed('taxiway doctor')} {missing}" if missing else ""


def doctor_command(
    pipeline: Annotated[str, typer.Option(metavar="PIPELINE", help="Also check what this pipeline needs.")] = "",
    param: Annotated[
        list[str], typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter of the pipeline.")
    ] = [],  # noqa: B006 (typer reads it)
    profile: Profiles = [],  # noqa: B006
    host: Annotated[str, typer.Option(metavar="URL", help="URL of Kubeflow Pipelines.")] = "",
    token_file: TokenFile = None,
    cookie_file: CookieFile = None,
    header: Header = "",
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="CA certificate for Kubeflow's server.")] = None,
    namespace: Annotated[str, typer.Option(metavar="NAME", help="The namespace that the pipeline's pods run in.")] = "",
    context: Annotated[str, typer.Option(metavar="NAME", help="Context of kubectl; default: the current one.")] = "",
    runner: Annotated[
        Literal["local", "docker"], typer.Option(help="How you run pipelines on this machine.")
    ] = "local",
    timeout: Annotated[float, typer.Option(min=0.1, help="Timeout of each check, in seconds.")] = 5,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the environment, and say how to fix what is missing. Exit status 1: something required is missing."""
    from rich.console import Console

    from taxiway.doctor import page
    from taxiway.doctor.findings import Use
    from taxiway.network.login import Login

    use = Use(
        Path.cwd(),
        pipeline,
        parsed_parameters(param),
        host=host,
        login=Login(token_file, cookie_file, header),
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
        console.print(page.render(found, _unchecked(use)))
    raise typer.Exit(0 if page.is_ok(found) else 1)
