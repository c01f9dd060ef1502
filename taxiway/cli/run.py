"""`taxiway run`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from taxiway.cli.options import Parameters, PipelineName, parsed_parameters

if TYPE_CHECKING:
    from taxiway.runs.session import LauncherFactory


def run_command(
    pipeline: PipelineName,
    param: Parameters = [],  # noqa: B006 (typer reads it)
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run every task, even if its outputs exist.")] = False,
    jobs: Annotated[int, typer.Option(help="Maximum number of parallel tasks; default: the number of CPUs.")] = 0,
    runner: Annotated[
        Literal["local", "docker"],
        typer.Option(help="Run stages as processes, or in their images with Docker or Podman."),
    ] = "local",
    run_id: Annotated[
        str, typer.Option(metavar="ID", help="The run's id, which is used only once; default: a new one.")
    ] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print the run's record, run.json.")] = False,
) -> None:
    """Run a pipeline on this machine: stages in parallel, cached by content."""
    from taxiway.runs import progress, session
    from taxiway.runs.record import RunFailedError

    command = shlex.join([progress.command_name(), *sys.argv[1:]])
    try:
        run = session.run(
            pipeline,
            use_cache=not no_cache,
            jobs=jobs or None,
            launcher=_launcher(runner),
            command=command,
            run_id=run_id,
            **parsed_parameters(param),
        )
    except RunFailedError as error:
        # The summary has already shown the reason.
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
