"""`taxiway report`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from components.contract.errors import UserError


def run_ids(incomplete: str) -> list[str]:
    """The ids of runs that begin with what was typed."""
    from taxiway.reports import run
    from taxiway.storage.home import Home

    return [name for name in [*reversed(run.ids(Home.default())), run.LATEST] if name.startswith(incomplete)]


def report_command(
    run_id: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run's id, the beginning of one, or 'latest'.",
            autocompletion=run_ids,
            show_default=True,
        ),
    ] = "latest",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The HTML file to write; default: report.html.")
    ] = Path("report.html"),
    compare: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="A second run to compare it with.", autocompletion=run_ids),
    ] = None,
) -> None:
    """Write a report of a run as one self-contained HTML file: data, metrics, model, changes."""
    from components.contract import files
    from taxiway.reports import report, run
    from taxiway.storage.home import Home

    home = Home.default()
    recorded = run.find(run_id, home)
    other = run.find(compare, home) if compare else None
    _require_writable(output)
    page = report.page(recorded, home, _warn, other)
    try:
        files.write(output, page)
    except OSError as error:
        raise _unwritable(output, error.strerror or str(error)) from error
    print(f"{output}: {recorded.run.id}")


def _require_writable(output: Path) -> None:
    """Fails early: the page may take a while."""
    if output.is_dir():
        raise UserError(f"{output} is a folder", fix=f"give a file: -o {output / 'report.html'}")
    if not output.parent.is_dir():
        raise UserError(f"there is no folder {output.parent}", fix=f"make it with: mkdir -p {output.parent}")
    if not os.access(output.parent, os.W_OK):
        raise _unwritable(output, "permission denied")


def _unwritable(output: Path, reason: str) -> UserError:
    return UserError(f"{output} cannot be written: {reason}", fix="write it elsewhere with -o FILE")


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)
