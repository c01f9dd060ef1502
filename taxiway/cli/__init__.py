"""The command line: runs pipelines, shows their results, and serves their models.

Exit status: 0 success; 1 the machine or a service failed; 2 the input, a setting or the user's code has to change;
130 interrupted.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from components import __version__
from components.contract.errors import TaxiwayError
from taxiway.cli.check import check_command
from taxiway.cli.compile import compile_command
from taxiway.cli.doctor import doctor_command
from taxiway.cli.experiments import experiments_app
from taxiway.cli.lineage import lineage_command, runs_command
from taxiway.cli.loop import loop_app
from taxiway.cli.monitoring.alarms import alarms_app
from taxiway.cli.monitoring.inference import inference_app
from taxiway.cli.monitoring.labels import labels_app
from taxiway.cli.monitoring.monitor import monitor_app
from taxiway.cli.report import report_command
from taxiway.cli.reproduce import reproduce_command
from taxiway.cli.run import run_command
from taxiway.cli.serving.predict import predict_command
from taxiway.cli.serving.rollout import rollout_app
from taxiway.cli.serving.route import route_command
from taxiway.cli.serving.serve import ServeCommand, serve_command
from taxiway.cli.serving.versions import rollback_command, versions_command
from taxiway.cli.submit import submit_command
from taxiway.cli.ui import ui_command

app = typer.Typer(
    help="From raw data to an evaluated and pushed TensorFlow model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(is_given: bool) -> None:
    if is_given:
        print(f"taxiway {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that come before the command."""


app.command("run")(run_command)
app.command("compile")(compile_command)
app.command("check")(check_command)
app.command("lineage")(lineage_command)
app.command("runs")(runs_command)
app.command("report")(report_command)
app.command("ui")(ui_command)
app.command("reproduce")(reproduce_command)
app.command("submit")(submit_command)
app.command("doctor")(doctor_command)
app.command("serve", cls=ServeCommand)(serve_command)
app.command("predict")(predict_command)
app.command("route")(route_command)
app.add_typer(rollout_app, name="rollout")
app.add_typer(inference_app, name="inference")
app.command("versions")(versions_command)
app.add_typer(labels_app, name="labels")
app.command("rollback")(rollback_command)
app.add_typer(alarms_app, name="alarms")
app.add_typer(monitor_app, name="monitor")
app.add_typer(experiments_app, name="experiment")
app.add_typer(loop_app, name="loop")


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
    """Ends the process without tearing down the imported modules, which can take longer than a cached run."""
    logging.shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
