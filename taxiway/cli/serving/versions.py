"""`taxiway versions` and `taxiway rollback`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from components.contract.errors import UserError

DestinationUrl = Annotated[
    str, typer.Argument(metavar="DESTINATION", help="Where models are pushed: a folder, or an s3:// or gs:// URL.")
]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TF Serving's models.config, to read and move labels.")
]


def versions_command(
    destination: DestinationUrl,
    config: Config = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the pushed versions with state, labels, metrics, data and commit."""
    from taxiway.lineage.store import LineageStore
    from taxiway.storage.home import Home
    from taxiway.versions import listing

    found = listing.versions_at(destination, config, LineageStore.open_existing(Home.default().lineage))
    if json_output:
        print(listing.to_json(found))
    else:
        listing.show(found, Console())


def rollback_command(
    destination: DestinationUrl,
    to: Annotated[
        int | None, typer.Option(metavar="VERSION", help="Default: the last blessed version before the current one.")
    ] = None,
    config: Config = None,
    reason: Annotated[str, typer.Option(help="The reason; recorded in the lineage.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Serve another version: move the label `stable`, or retire the later versions. Nothing is deleted."""
    from taxiway.lineage.store import LineageStore
    from taxiway.storage.home import Home
    from taxiway.versions import rollback

    planned = rollback.plan(destination, to, config)
    print(planned)
    if not yes:
        _ask()
    rollback.roll_back(planned, reason, LineageStore.open(Home.default().lineage))
    print("done")


def _ask() -> None:
    if not sys.stdin.isatty():
        raise UserError("nothing was changed: there is no terminal to ask for confirmation", fix="give --yes")
    typer.confirm("Continue?", abort=True)
