"""`taxiway monitor MODEL`, and `taxiway monitor init|report MODEL`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from components.contract.commands import typed
from components.contract.errors import UserError
from taxiway.cli.monitoring.tables import Tables, folder, root
from taxiway.cli.options import require_new, stopped

if TYPE_CHECKING:
    from taxiway.monitoring.monitor import Monitor

OPEN_ALARMS = 3
"""The exit status with `--check` if there is an open alarm."""

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="The model's name, or the folder or URL that it is pushed to.")
]
SettingsFile = Annotated[Path | None, typer.Option("--settings", metavar="FILE", help="The settings; see `init`.")]


class _Group(TyperGroup):
    """A group whose first argument is a model unless it is a command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # An option before the model is one of `run`.
        if args and args[0].startswith("-") and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


monitor_app = typer.Typer(cls=_Group, no_args_is_help=True, help="Watch a served model: `MODEL` alone is `run MODEL`.")


@monitor_app.command("run")
def run_command(
    model: Model,
    tables: Tables = "",
    settings: SettingsFile = None,
    window: Annotated[
        str, typer.Option(metavar="LENGTH", help="Length of a window, such as 10s, 15m, 1h or 1d; default: 1h.")
    ] = "",
    every: Annotated[str, typer.Option(metavar="TIME", help="Do it again and again, such as every 5m.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help=f"Exit with {OPEN_ALARMS} if an alarm is open and not acknowledged.")
    ] = False,
) -> None:
    """Compute the windows with new rows: profile, drift, quality, alarms."""
    from components.monitoring.passes.durations import duration
    from taxiway.monitoring import printing

    # TensorFlow, which answers the training data once, speaks of its build and of missing GPUs.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    monitor = _monitor(model, tables, settings, window)
    told = printing.Teller()
    if every:
        monitor.every(duration(every, "--every"), told.window, told.passed, stopped())
        return
    passed = monitor.once(told.window)
    told.passed(passed)
    if check and printing.is_alarming(monitor.store):
        raise typer.Exit(OPEN_ALARMS)


@monitor_app.command("init")
def init_command(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")] = Path(
        "monitor.yaml"
    ),
    tables: Tables = "",
) -> None:
    """Write a settings file with what is found of a model: columns, label, slices, a length of windows."""
    from taxiway.monitoring import init

    require_new(output)
    monitor = _monitor(model, tables, None, "")
    output.write_text(init.settings_file(monitor))
    print(f"wrote {output}; use it with: {typed('taxiway monitor', model, '--settings', output)}")


@monitor_app.command("report")
def report_command(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The HTML file to write.")],
    tables: Tables = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="First window, such as 2026-02-01T08:00, in UTC.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="End of the last window.")] = "",
) -> None:
    """Write what the tables say of a model as one HTML file."""
    from components.contract.files import write
    from components.contract.times import moment
    from components.monitoring.store import Store
    from components.reports.monitoring.report import report

    name = model.rstrip("/").rpartition("/")[2]
    store = Store(folder(tables, name))
    if store.open("windows") is None:
        raise UserError(f"no windows of {name} are computed in {root(tables)}", fix=typed("taxiway monitor", model))
    first, last = (moment(text, option) if text else None for option, text in (("--since", since), ("--until", until)))
    write(output, report(store, name, first, last))
    print(f"wrote {output}")


def _monitor(model: str, tables: str, settings: Path | None, window: str) -> Monitor:
    from taxiway.lineage.store import LineageStore
    from taxiway.monitoring.monitor import Monitor
    from taxiway.monitoring.settings import load
    from taxiway.storage.home import Home

    home = Home.default()
    return Monitor(model, root(tables), load(settings).with_window(window), LineageStore.open_existing(home.lineage))
