"""The command line: what runs pipelines, tells of them, and serves what they made.

Exit status: 0 done; 1 the machine or a service failed; 2 the input, a setting or the user's code has to change;
130 interrupted.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

from components import __version__
from components.errors import TaxiwayError, UserError
from taxiway.doctor.command import doctor_command
from taxiway.kubeflow.command import InlineModules, Profiles, submit_command
from taxiway.prediction.command import predict_command
from taxiway.routing.command import route_command
from taxiway.serving.command import ServeCommand, serve_command
from taxiway.versions.command import rollback_command, versions_command

if TYPE_CHECKING:
    from taxiway.session import LauncherFactory

app = typer.Typer(
    help="From raw data to a judged, pushed TensorFlow model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"taxiway {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Only options that stand before a command."""


PipelineName = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="A folder of pipelines/, a Python file, or a compiled YAML file.")
]
Parameters = Annotated[
    list[str], typer.Option("--param", "-p", metavar="NAME=VALUE", help="A pipeline parameter; lists and maps as JSON.")
]


@app.command("run")
def run_command(
    pipeline: PipelineName,
    param: Parameters = [],  # noqa: B006 (typer reads it)
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every task, whatever earlier runs made.")] = False,
    jobs: Annotated[int, typer.Option(help="Tasks at once; as many as processors by default.")] = 0,
    runner: Annotated[
        Literal["local", "docker"], typer.Option(help="Stages as processes, or in their images by Docker or Podman.")
    ] = "local",
    json_output: Annotated[bool, typer.Option("--json", help="Print the run's record to standard output.")] = False,
) -> None:
    """Run a pipeline on this machine: stages in parallel, cached by content."""
    from taxiway import progress, session

    command = shlex.join([progress.command_name(), *sys.argv[1:]])
    try:
        run = session.run(
            pipeline,
            use_cache=not no_cache,
            jobs=jobs or None,
            launcher=_launcher(runner),
            command=command,
            **parsed_parameters(param),
        )
    except session.RunFailedError as error:
        # The summary has said why.
        run = error.run
    if json_output:
        print((run.folder / "run.json").read_text())
    raise typer.Exit(run.exit_status)


def _launcher(runner: str) -> LauncherFactory:
    if runner == "docker":
        from taxiway.runner.containers import ContainerLauncher

        return ContainerLauncher
    from taxiway.runner.local import LocalLauncher

    return LocalLauncher


@app.command("compile")
def compile_command(
    pipeline: PipelineName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The YAML file to write.")],
    profile: Profiles = [],  # noqa: B006
    inline_modules: InlineModules = False,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="As custom resources for `kubectl apply`: Pipeline, PipelineVersion.")
    ] = False,
) -> None:
    """Compile a pipeline to the IR that open-source Kubeflow accepts (2.1.0)."""
    from taxiway.kubeflow import compilation

    compiled = compilation.compiled(pipeline, profile, inline_modules)
    compilation.write(compiled, output, kubernetes=kubernetes)
    print(f"wrote {output}")


@app.command("check")
def check_command(
    pipeline: PipelineName,
    param: Parameters = [],  # noqa: B006 (typer reads it)
    runner: Annotated[Literal["local", "docker"], typer.Option(help="What is to run it: see `run`.")] = "local",
) -> None:
    """Look for what would fail later: modules, artifact types, splits, data, what only Kubernetes has. Nothing runs."""
    from taxiway import check, loading

    found = check.findings(loading.load(pipeline), parsed_parameters(param), has_images=runner == "docker")
    for finding in found:
        print(finding)
    if found:
        raise typer.Exit(2)
    print(f"{pipeline}: nothing wrong found")


@app.command("lineage")
def lineage_command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A pushed version, an artifact's path, or a digest.")],
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what an artifact was made from, back to the data's version and the code's commit."""
    from taxiway.home import Home
    from taxiway.lineage import chain
    from taxiway.lineage.store import LineageStore

    found = chain.trace(target, store=LineageStore.open_existing(Home.default().lineage))
    if json_output:
        print(chain.to_json(found))
    else:
        Console().print(chain.render(found))


@app.command("runs")
def runs_command(
    limit: Annotated[int, typer.Option(help="The most runs to list.")] = 20,
    json_output: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the latest runs."""
    from taxiway.home import Home
    from taxiway.lineage import listing
    from taxiway.lineage.store import LineageStore

    store = LineageStore.open_existing(Home.default().lineage)
    runs = store.runs(limit) if store else []
    if json_output:
        print(json.dumps([listing.to_json(run) for run in runs], indent=1))
    else:
        listing.show(runs, Console())


app.command("submit")(submit_command)
app.command("doctor")(doctor_command)
app.command("serve", cls=ServeCommand)(serve_command)
app.command("predict")(predict_command)
app.command("route")(route_command)
app.command("versions")(versions_command)
app.command("rollback")(rollback_command)


def parsed_parameters(given: list[str]) -> dict[str, Any]:
    """`NAME=VALUE` texts as a map.

    Raises:
        UserError: One has no `=`, or a name comes twice.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UserError(f"the parameter {text!r} is no NAME=VALUE", mend=f"write --param {name or 'NAME'}=VALUE")
        if name in found:
            raise UserError(f"the parameter {name!r} is given twice")
        found[name] = value
    return found


def main() -> None:
    """The `taxiway` command."""
    try:
        app()
    except TaxiwayError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        _leave(error.exit_status)
    except KeyboardInterrupt:
        _leave(130)
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        _leave(end.code or 0)


def _leave(status: int) -> NoReturn:
    """Ends the process without taking apart all that was imported, which takes longer than many a cached run."""
    logging.shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
