"""`taxiway runs`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console


def runs_command(
    limit: Annotated[int, typer.Option(help="Maximum number of runs to list.")] = 20,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the latest runs."""
    from taxiway.lineage import listing
    from taxiway.lineage.store import LineageStore
    from taxiway.storage.home import Home

    store = LineageStore.open_existing(Home.default().lineage)
    runs = store.runs(limit) if store else []
    if json_output:
        print(json.dumps([listing.to_json(run) for run in runs], indent=1))
    else:
        listing.show(runs, Console())
