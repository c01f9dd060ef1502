"""`taxiway rollout`: start, show, approve and abort."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from components.contract.commands import typed
from components.contract.errors import UserError

if TYPE_CHECKING:
    from taxiway.delivery.deliver import Session
    from taxiway.delivery.keeper import Keeper
    from taxiway.delivery.rollout import Rollout

TAKEN_BACK = 3
"""The exit status of `start` if the challenger was taken back."""

rollout_app = typer.Typer(no_args_is_help=True, help="Give a version more and more of the traffic, by its guardrails.")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]
By = Annotated[str, typer.Option(metavar="NAME", help="Who says so.", show_default="you")]
Reason = Annotated[str, typer.Option(help="Why.")]


@rollout_app.command("start")
def start_command(
    model: Model,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A loop.yaml, or a file with its section delivery.")
    ] = None,
    challenger: Annotated[
        int, typer.Option(metavar="VERSION", help="The version to try.", show_default="the latest one")
    ] = 0,
    champion: Annotated[
        int, typer.Option(metavar="VERSION", help="The version that serves.", show_default="the one labelled stable")
    ] = 0,
) -> None:
    """Roll a version out, to its end; or go on with a rollout that was interrupted."""
    keeper = _keeper(model)
    with keeper.alone():
        last = keeper.load()
        if last and not (last.is_over and last.settled) and challenger in (0, last.challenger):
            session = _going_on(keeper)
        else:
            session = _started(keeper, config, champion, challenger)
        _tell(session.rollout)
        try:
            ended = session.run()
        except KeyboardInterrupt:
            print(f"the weights stay as they are; {_next_commands(model)}")
            raise
    if ended.state != "promoted":
        raise typer.Exit(TAKEN_BACK)


@rollout_app.command("show")
def show_command(
    model: Model, json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show the latest rollout: its state, why, and what each guardrail says."""
    keeper = _keeper(model)
    rollout = keeper.require()
    if json_output:
        print(rollout.to_json())
        return
    _tell(rollout)
    for each in rollout.readings:
        print(f"  {each.verdict:<12} {each.sentence}")
    for approval in rollout.approvals:
        print(f"  approved by {approval.by} at {approval.time}: {approval.reason or 'no reason given'}")
    if not rollout.is_over and not keeper.is_running:
        print(f"nobody runs it; {_next_commands(model)}")


@rollout_app.command("approve")
def approve_command(model: Model, by: By = "", reason: Reason = "") -> None:
    """Let a rollout that waits for a person, or pauses, go on to its next step."""
    from taxiway.delivery.keeper import APPROVE

    keeper = _keeper(model)
    keeper.say(APPROVE, by or _user(), reason, datetime.now(UTC))
    print("approved" if keeper.is_running else f"approved, but nobody runs the rollout; {_next_commands(model)}")


@rollout_app.command("abort")
def abort_command(model: Model, by: By = "", reason: Reason = "") -> None:
    """Give the champion all traffic again, and end the rollout."""
    from taxiway.delivery.keeper import ABORT

    keeper = _keeper(model)
    keeper.say(ABORT, by or _user(), reason, datetime.now(UTC))
    if keeper.is_running:
        print(f"the rollout ends within a second; see: {typed('taxiway rollout show', model)}")
        return
    with keeper.alone():
        _going_on(keeper).run()


def _keeper(model: str) -> Keeper:
    from taxiway.delivery.keeper import Keeper
    from taxiway.storage.home import Home

    if not model or "/" in model or model.startswith("."):
        raise UserError(f"{model!r} is no model's name", fix="give the name that the server and the proxy know")
    return Keeper(Home.default().rollouts / model)


def _going_on(keeper: Keeper) -> Session:
    from taxiway.delivery import deliver

    return deliver.going_on(keeper, _tell)


def _started(keeper: Keeper, config: Path | None, champion: int, challenger: int) -> Session:
    from taxiway.delivery import deliver

    given = _given(config)
    champion, challenger = _versions(keeper.model, given, champion, challenger)
    return deliver.started(keeper, champion, challenger, given, told=_tell)


def _given(config: Path | None) -> Any:
    from taxiway.delivery import settings

    if config is None:
        raise UserError("there is nothing to go on with", fix="give the settings of a new rollout: --config loop.yaml")
    return settings.read(config)


def _versions(model: str, given: Any, champion: int, challenger: int) -> tuple[int, int]:
    """The versions; those that are not given come from the destination."""
    from taxiway.delivery import settings
    from taxiway.delivery.labels import versions_at

    parsed = settings.parsed(given)
    if not (champion and challenger):
        if not parsed.destination:
            raise UserError(
                "the versions are not known", fix="give --champion and --challenger, or delivery.destination"
            )
        stable, latest = versions_at(parsed.destination, parsed.config)
        champion, challenger = champion or stable, challenger or latest
    if champion == challenger:
        raise UserError(
            f"version {champion} of {model!r} serves already", fix="push a new one, or give --challenger VERSION"
        )
    return champion, challenger


def _tell(rollout: Rollout) -> None:
    trouble = f"; trouble: {rollout.trouble}" if rollout.trouble else ""
    line = f"{rollout.model} {rollout.champion} -> {rollout.challenger}  {rollout.state}  {rollout.reason}{trouble}"
    Console().print(f"{datetime.now(UTC):%H:%M:%S}  {line}", markup=False, highlight=False, soft_wrap=True)


def _next_commands(model: str) -> str:
    return f"go on: {typed('taxiway rollout start', model)}, or take it back: {typed('taxiway rollout abort', model)}"


def _user() -> str:
    try:
        return getpass.getuser()
    except OSError:  # a container's user may have no name
        return "unknown"
