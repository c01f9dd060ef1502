"""`taxiway lineage` and `taxiway runs`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console


def lineage_command(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A pushed version, an artifact's path, a digest, or an alarm's id.")
    ],
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Trace an artifact, or an alarm, back to the data version and the commit that it was made from."""
    from taxiway.lineage import chain, tree
    from taxiway.lineage.store import LineageStore
    from taxiway.storage.home import Home

    found = chain.trace(target, store=LineageStore.open_existing(Home.default().lineage))
    if json_output:
        print(chain.to_json(found))
    else:
        tree.show(found, Console())


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
