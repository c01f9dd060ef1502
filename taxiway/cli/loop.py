"""`taxiway loop`, and `taxiway loop init|check|run|status|trigger|approve|reject|history`."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from components.contract.commands import typed
from components.contract.errors import UserError
from taxiway.cli.options import require_new, stopped

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

FILE = Path("loop.yaml")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The settings; see `init`.")]
OneModel = Annotated[str, typer.Argument(metavar="MODEL", help="The model; default: the one of loop.yaml.")]
AnyModel = Annotated[str, typer.Argument(metavar="MODEL", help="The model; default: the only one that waits.")]
By = Annotated[str, typer.Option(metavar="NAME", help="Who says so.", show_default="you")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the lineage.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class _Group(TyperGroup):
    """A group that runs the loop if no command is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = ["run", *args]
        return super().parse_args(ctx, args)


loop_app = typer.Typer(
    cls=_Group, help="Retrain a model when something has changed, and deliver it; without a command: `run`."
)


@loop_app.command("run")
def run_command(
    file: File = FILE,
    every: Annotated[str, typer.Option(metavar="TIME", help="How often to look; every second in a rollout.")] = "5s",
    once: Annotated[bool, typer.Option("--once", help="Look once, as in a cron job.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and why not; do nothing.")
    ] = False,
) -> None:
    """Look for triggers, retrain, and roll out, again and again."""
    from components.contract.times import duration
    from taxiway.loop.printing import Printer, show_considered
    from taxiway.loop.run import Running
    from taxiway.loop.settings import load
    from taxiway.storage.home import Home

    pause, running = duration(every, "--every"), Running(file, Home.default(), Printer())
    if dry_run:
        show_considered(running.dry(), load(file), Console(highlight=False))
    elif once:
        with running.alone():
            running.once()
    else:
        running.every(pause, stopped())


@loop_app.command("init")
def init_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")] = FILE,
    pipeline: Annotated[str, typer.Option(help="The pipeline to run.", show_default="MODEL_retrain")] = "",
) -> None:
    """Write a settings file with every setting explained."""
    from components.contract.files import write
    from taxiway.loop import init

    require_new(output)
    write(output, init.text(model, pipeline or f"{model}_retrain"))
    print(f"wrote {output}; check it with: {typed('taxiway loop check', output)}")


@loop_app.command("check")
def check_command(file: File = FILE) -> None:
    """Check a settings file: every setting, the pipeline and its parameters."""
    from taxiway.loop import check
    from taxiway.loop.settings import load

    settings = load(file)
    check.pipeline(settings)
    names = ", ".join(each.name for each in settings.triggers) or "none: only people can trigger"
    print(f"{file} is right\n  model     {settings.model}\n  pipeline  {settings.pipeline}\n  triggers  {names}")


@loop_app.command("status")
def status_command(file: File = FILE, json_output: Json = False) -> None:
    """Show the cycle that is under way, and what each trigger sees."""
    from taxiway.lineage.loop import ledger
    from taxiway.loop import printing
    from taxiway.loop.run import made
    from taxiway.loop.settings import load
    from taxiway.storage.home import Home

    settings = load(file)
    loop = made(settings, Home.default())
    current, considered = ledger.read(loop.lineage, settings.model).current, loop.dry(datetime.now(UTC))
    if json_output:
        cycle = printing.cycle_json(current) if current else None
        print(json.dumps({"cycle": cycle, "triggers": list(map(printing.considered_json, considered))}, indent=1))
        return
    console = Console(highlight=False)
    if current:
        printing.show_cycle(current, console)
    else:
        console.print(f"no cycle of {settings.model} is under way", soft_wrap=True)
    printing.show_considered(considered, settings, console)


@loop_app.command("trigger")
def trigger_command(
    model: OneModel = "",
    reason: Reason = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Start of the window to train on, in UTC.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Its end; default: now.")] = "",
    by: By = "",
) -> None:
    """Ask for a retraining: it begins when no cycle is under way; cool-down and quiet hours do not count."""
    from components.contract.times import moment
    from taxiway.loop import people

    start, end = (moment(text, option) if text else None for text, option in ((since, "--since"), (until, "--until")))
    name, now = model or _model(), datetime.now(UTC)
    asked = people.ask(_store(), name, by=by or _user(), reason=reason, now=now, start=start, end=end)
    print(f"asked for a retraining of {name} ({asked.id}): {typed('taxiway loop run')} does it")


@loop_app.command("approve")
def approve_command(model: AnyModel = "", reason: Reason = "", by: By = "") -> None:
    """Approve the version that waits: before its rollout, or at the step that it is in."""
    _answer(model, approves=True, by=by, reason=reason)


@loop_app.command("reject")
def reject_command(model: AnyModel = "", reason: Reason = "", by: By = "") -> None:
    """Reject the version that waits, or take back the one that is rolled out."""
    _answer(model, approves=False, by=by, reason=reason)


@loop_app.command("history")
def history_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model; default: all.")] = "",
    limit: Annotated[int, typer.Option(help="Maximum number of cycles.")] = 20,
    json_output: Json = False,
) -> None:
    """List the latest cycles; of a single one, all steps."""
    from taxiway.lineage.loop import history
    from taxiway.lineage.store import LineageStore
    from taxiway.loop import printing
    from taxiway.storage.home import Home

    store = LineageStore.open_existing(Home.default().lineage)
    cycles = history(store, model)[:limit] if store else []
    if json_output:
        print(json.dumps([printing.cycle_json(each) for each in cycles], indent=1))
    elif len(cycles) == 1:
        printing.show_cycle(cycles[0], Console(highlight=False))
    else:
        printing.show_cycles(cycles, Console(highlight=False))


def _answer(model: str, *, approves: bool, by: str, reason: str) -> None:
    from taxiway.loop import people

    store, now = _store(), datetime.now(UTC)
    cycle = people.waiting(store, model)
    people.answer(store, cycle, approves=approves, by=by or _user(), reason=reason, now=now)
    said = "approved" if approves else "rejected"
    print(f"version {cycle.facts.get('version')} of {cycle.model} is {said}: the loop acts at its next look")


def _store() -> LineageStore:
    from taxiway.lineage.store import LineageStore
    from taxiway.storage.home import Home

    return LineageStore.open(Home.default().lineage)


def _model() -> str:
    from taxiway.loop.settings import load

    if not FILE.exists():
        raise UserError(f"there is no {FILE} here that names the model", fix="name the model")
    return load(FILE).model


def _user() -> str:
    try:
        return getpass.getuser()
    except OSError:  # a container's user may have no name
        return "unknown"
