"""`taxiway inference`: the tables of what models were asked and answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from components.contract.errors import UserError
from taxiway.cli.monitoring.forget import forget_command
from taxiway.cli.monitoring.tables import Model, Tables, folder, root
from taxiway.cli.options import PrivacyFile

inference_app = typer.Typer(
    help="Take logs into inference tables, compact them, and show what they hold.", no_args_is_help=True
)

inference_app.command("forget")(forget_command)


@inference_app.command("import")
def import_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="PredictionLog TFRecord files, or folders of them.")
    ],
    tables: Tables = "",
    privacy: PrivacyFile = None,
) -> None:
    """Take the request logs of TF Serving into the tables of their models; files taken before add nothing."""
    from components.inference import logs
    from taxiway.recording import settings

    taken = logs.take(root(tables), files, settings.load_privacy(privacy))
    print(f"files: {taken.files} new, {taken.known} known")
    for model, requests in sorted(taken.requests.items()):
        print(f"{model}: {requests} requests")
    for what, count in sorted(taken.left_out.items()):
        print(f"left out: {count} ({what})")


@inference_app.command("compact")
def compact_command(
    model: Model,
    tables: Tables = "",
    days: Annotated[
        int | None, typer.Option(help="Delete the days before the last so many days, today included.", min=1)
    ] = None,
) -> None:
    """Join small files of a table, and delete what is too old; servers and readers go on meanwhile."""
    from components.inference import table

    root = _existing(tables, model)
    if days is not None:
        print(f"deleted days: {table.retain(root, days)}")
    done = table.compact(root)
    print(f"joined {done['files_removed']} files into {done['files_added']}, deleted {done['files_deleted']} old files")


@inference_app.command("show")
def show_command(model: Model, tables: Tables = "") -> None:
    """Show a table's path, rows, versions, time range and size, and a command that reads it."""
    from taxiway.recording import facts

    facts.show(facts.of(_existing(tables, model)), Console(soft_wrap=True, highlight=False))


def _existing(tables: str, model: str) -> str:
    """The model's folder, if it has a table."""
    from components.inference import table

    root = folder(tables, model)
    if table.opened(root) is None:
        raise UserError(
            f"there is no inference table {table.path(root)}",
            fix="start the server with --inference-tables, or name the folder with --tables",
        )
    return root
