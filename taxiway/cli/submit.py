"""`taxiway submit`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.contract.errors import UserError
from taxiway.cli.options import CookieFile, Fuse, Header, InlineModules, Profiles, TokenFile, parsed_parameters

if TYPE_CHECKING:
    from taxiway.kubeflow.host import Host
    from taxiway.kubeflow.submission import Submission
    from taxiway.language.spec import Pipeline


def submit_command(
    pipeline: Annotated[
        str, typer.Argument(metavar="PIPELINE", help="A folder in pipelines/, a Python file, or a compiled YAML file.")
    ],
    host: Annotated[
        str,
        typer.Option(
            metavar="URL", envvar="KF_PIPELINES_ENDPOINT", help="URL of Kubeflow Pipelines, preferably of its UI."
        ),
    ],
    param: Annotated[
        list[str],
        typer.Option("--param", "-p", metavar="NAME=VALUE", help="A pipeline parameter; lists and dicts as JSON."),
    ] = [],  # noqa: B006 (typer reads it)
    profile: Profiles = [],  # noqa: B006
    inline_modules: InlineModules = False,
    fuse: Fuse = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every task, even if its outputs exist.")] = False,
    namespace: Annotated[str, typer.Option(help="Your namespace, on a multi-user Kubeflow.")] = "",
    experiment: Annotated[str, typer.Option(help="Experiment of the run; default: the pipeline's name.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the run to end, and show its progress.")] = False,
    follow: Annotated[str, typer.Option(metavar="RUN", help="Follow a run that was started earlier.")] = "",
    schedule: Annotated[
        str, typer.Option(metavar="CRON", help="Create a recurring run: '0 3 * * *' is every day at 3:00.")
    ] = "",
    token_file: TokenFile = None,
    cookie_file: CookieFile = None,
    header: Header = "",
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="CA certificate for the server.")] = None,
) -> None:
    """Run a pipeline on Kubeflow: upload a version, start a run, and follow it."""
    from taxiway.kubeflow import compilation, submission
    from taxiway.kubeflow.host import Host
    from taxiway.network.login import Login
    from taxiway.runs.progress import command_name

    if sum((wait, bool(follow), bool(schedule))) > 1:
        raise UserError("only one of --wait, --follow and --schedule can be used", fix="give one of them")
    login = Login(token_file, cookie_file, header)
    identity = {"--token-file": token_file, "--cookie-file": cookie_file, "--header": header}
    again = _command(pipeline, host, {"--namespace": namespace, **identity, "--ca": ca})
    if follow:
        at = Host(host, namespace, login, ca)
        known, started = submission.started(at, follow)
        _follow(at, known, started, again, f"Retry at {started.page}")
        return
    if schedule:
        submission.cron_with_seconds(schedule)
    given = parsed_parameters(param)
    compiled = compilation.compiled(pipeline, profile, inline_modules, given, fuse)
    compiled = compilation.without_cache(compiled) if no_cache else compiled
    at = Host(host, namespace, login, ca)
    experiment = experiment or compiled.name
    if schedule:
        print(_told("recurring run", submission.schedule(at, compiled, given, experiment, schedule)))
        return
    started = submission.submit(at, compiled, given, experiment)
    if wait:
        _follow(at, compiled, started, again, shlex.join([command_name(), *sys.argv[1:]]))
    else:
        print(_told("run", started), f"  follow  {again} {started.id}", sep="\n")


def _told(what: str, made: Submission) -> str:
    return f"{what} {made.name}\n  id      {made.id}\n  page    {made.page}"


def _follow(at: Host, compiled: Pipeline, started: Submission, again: str, resume: str) -> None:
    from taxiway.kubeflow import following
    from taxiway.runs.progress import observer_for

    print(f"page {started.page}", flush=True)
    again = f"{again} {started.id}"
    try:
        run = following.follow(at, compiled, started.id, started.name, observer_for(), again=again, resume=resume)
    except following.InterruptedWaitError as left:
        typer.echo(str(left), err=True)
        raise typer.Exit(left.exit_status) from left
    raise typer.Exit(run.exit_status)


def _command(pipeline: str, host: str, options: dict[str, object]) -> str:
    """The command that follows a run, without the run's id, which goes at the end."""
    from taxiway.runs.progress import command_name

    given = [word for option, value in options.items() if value for word in (option, str(value))]
    return shlex.join([command_name(), "submit", pipeline, "--host", host, *given, "--follow"])
