"""`taxiway alarms`: list, ack, mute and unmute."""

from __future__ import annotations

import getpass
import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from components.contract.commands import typed
from components.contract.errors import UserError
from taxiway.cli.monitoring.tables import Model, Tables, folder, root

if TYPE_CHECKING:
    from components.monitoring.alarms.alarm import Alarm
    from components.monitoring.store import Store

OPEN_ALARMS = 3
"""The exit status of `list --check` if there is an open alarm."""

alarms_app = typer.Typer(no_args_is_help=True, help="List, acknowledge and mute the alarms of served models.")

Column = Annotated[str, typer.Option(metavar="NAME", help="The column or metric; `*` stands for any text.")]


@alarms_app.command("list")
def list_command(
    model: Model,
    tables: Tables = "",
    all_alarms: Annotated[bool, typer.Option("--all", help="Also those that are suspected, muted or closed.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help=f"Exit with {OPEN_ALARMS} if an alarm is open and not acknowledged.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the alarms that are open or acknowledged, the most important first.

    Exit status: 0, also if there is none; 3 with --check while one is open; 1 if the tables cannot be read; 2 if the
    monitor has not watched the model.
    """
    from components.monitoring.alarms.alarm import OPEN, by_importance, from_table

    store = _store(model, tables)
    found = by_importance(from_table(store.read("alarms")))
    shown = found if all_alarms else [each for each in found if each.is_on]
    if json_output:
        print(json.dumps([_json(each) for each in shown], indent=1))
    elif shown:
        _show(shown)
    else:
        print(_none(model, store, found))
    if check and any(each.state == OPEN for each in found):
        raise typer.Exit(OPEN_ALARMS)


@alarms_app.command("ack")
def ack_command(
    model: Model,
    alarm: Annotated[str, typer.Argument(metavar="ID", help="The alarm's id, as `list` prints it.")],
    tables: Tables = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="Who takes it over.", show_default="you")] = "",
) -> None:
    """Acknowledge an alarm: it stays so until it closes by itself."""
    from components.monitoring.alarms.acknowledge import acknowledge

    change = acknowledge(_store(model, tables), alarm, by or _user(), datetime.now(UTC))
    print(f"{change.alarm.state}: {change.alarm.sentence}")


@alarms_app.command("mute")
def mute_command(
    model: Model,
    column: Column,
    tables: Tables = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Until when, such as 2026-02-01T08:00, in UTC.")] = "",
    span: Annotated[str, typer.Option("--for", metavar="SPAN", help="For how long, such as 90m, 8h or 3d.")] = "",
    only_slice: Annotated[str, typer.Option("--slice", metavar="SLICE", help="Only in this slice.")] = "",
    kind: Annotated[str, typer.Option(metavar="KIND", help="Only this kind, such as drift or missing.")] = "",
    reason: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Keep alarms of a column quiet for some time, or for good; those that are open are told no more."""
    from components.monitoring.alarms import mutes
    from components.monitoring.alarms.settings import Mute

    now, store = datetime.now(UTC), _store(model, tables)
    end = _end(until, span, now)
    mute = Mute(column, only_slice or None, kind or None, now, end)
    mutes.add(store, model, mute, _user(), reason)
    _refresh(store, model, now)
    print(f"{column} is muted {f'until {end:%Y-%m-%d %H:%M} UTC' if end else 'for good'}")


@alarms_app.command("unmute")
def unmute_command(model: Model, column: Column, tables: Tables = "") -> None:
    """End the mutes of a column; mutes in the settings stay."""
    from components.monitoring.alarms import mutes

    now, store = datetime.now(UTC), _store(model, tables)
    if not mutes.end(store, column, now):
        raise UserError(f"no column {column!r} of {model} is muted by command")
    _refresh(store, model, now)
    print(f"{column} is not muted any more")


def _user() -> str:
    try:
        return getpass.getuser()
    except OSError:  # a container's user may have no name
        return "unknown"


def _store(model: str, tables: str) -> Store:
    from components.monitoring.store import Store

    store = Store(folder(tables, model))
    if store.open("signals") is None:
        raise UserError(
            f"the monitor has not watched {model!r} in {root(tables)}", fix="give its tables by --tables ROOT"
        )
    return store


def _refresh(store: Store, model: str, now: datetime) -> None:
    from components.monitoring.alarms.update import refresh

    refresh(store, model, now)


def _end(until: str, span: str, now: datetime) -> datetime | None:
    """When a mute ends; None for never."""
    from components.contract.times import duration, moment

    if until and span:
        raise UserError("both --until and --for are given", fix="give one of them")
    if span:
        return now + duration(span, "--for")
    if not until:
        return None
    end = moment(until, "--until")
    if end <= now:
        raise UserError(f"--until is {until!r}, which is over", fix="give a later time")
    return end


def _json(alarm: Alarm) -> dict[str, Any]:
    from taxiway.alerts.message import as_json

    return as_json(alarm)


def _show(alarms: list[Alarm]) -> None:
    console = Console()
    for each in alarms:
        state = each.state + (f" by {each.acknowledged_by}" if each.acknowledged_by else "")
        console.print(f"{each.alarm}  {state}  {each.sentence}", markup=False, highlight=False, soft_wrap=True)


def _none(model: str, store: Store, hidden: list[Alarm]) -> str:
    """What was looked at, and what to do if an alarm was expected."""
    root = store.root.rpartition("/")[0]
    states = Counter(each.state for each in hidden)
    lines = [f"no alarm of {model} is open: {_looked_at(store)}"]
    if states:
        counted = ", ".join(f"{count} {state}" for state, count in states.items())
        lines.append(f"  not shown: {counted}; see `{typed('taxiway alarms list', model, '--all', '--tables', root)}`")
    lines.append(
        f"  if you expected one: `{typed('taxiway monitor', model, '--tables', root)}` computes the windows that are "
        "over, and says what is not compared; floors, mutes and ignored columns are in its settings"
    )
    return "\n".join(lines)


def _looked_at(store: Store) -> str:
    found = store.read("windows", columns=["window_start", "window_end", "rows"]).to_pylist()
    if not found:
        return "no window was computed yet"
    first, last = min(each["window_start"] for each in found), max(each["window_end"] for each in found)
    rows = sum(each["rows"] for each in found)
    return f"{len(found):,} windows with {rows:,} rows, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
