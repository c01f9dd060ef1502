"""`taxiway labels`: what the true outcomes of a served model's requests were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from taxiway.cli.monitoring.tables import Model, Tables, folder

if TYPE_CHECKING:
    from components.monitoring.labels.add import Added
    from components.monitoring.labels.counts import Counts

labels_app = typer.Typer(
    help="Take in the true outcomes of requests, and show how many requests have one.", no_args_is_help=True
)


@labels_app.command("add")
def add_command(
    model: Model,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A CSV or Parquet file, a Delta table, or SQL over files.")
    ],
    tables: Tables = "",
    id_column: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="The column with request ids; `request_id` by default.")
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key", metavar="COLUMN", help="Instead: an input that names the request; repeatable. NAME=COLUMN."
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="COLUMN", help="When the outcome became known; with --key, when it happened."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="COLUMN", help="A column with outcomes; repeatable. NAME=COLUMN. All others."),
    ] = None,
) -> None:
    """Add labels to a model's table; those that are there already are ignored."""
    from components.monitoring.labels.add import add
    from components.monitoring.store import Store

    store = Store(folder(tables, model))
    _print_added(add(store, source, id=id_column, keys=keys or (), time=time, labels=labels or ()))


@labels_app.command("show")
def show_command(model: Model, tables: Tables = "") -> None:
    """Show how many requests have labels, by day, and what does not fit."""
    from components.monitoring.labels.counts import count
    from components.monitoring.store import Store

    _print_counts(count(Store(folder(tables, model))), Console())


def _print_added(added: Added) -> None:
    print(f"{added.added} of {added.rows} labels added")
    for count, what in (
        (added.same, "were there already"),
        (added.changed, "are of requests that had another value; the one that became known later counts"),
        (added.incomplete, "lack an id, a key, a time or an outcome, and were left out"),
        (added.early, "had a time in the future, which was set to now"),
    ):
        if count:
            print(f"{count} {what}")


def _print_counts(counts: Counts, console: Console) -> None:
    table = Table("day", "requests", "labelled", "share")
    for day in counts.days:
        share = f"{day.labelled / day.requests:.1%}" if day.requests else ""
        table.add_row(day.day.isoformat(), str(day.requests), str(day.labelled), share)
    console.print(table)
    print(f"{counts.unknown} labelled request ids are not in the inference table")
    print(f"{counts.conflicting} requests with labels that differ; the one that became known last counts")
