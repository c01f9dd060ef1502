"""`taxiway experiment`: init, design, look, report, bandit and assign."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.contract.commands import typed
from taxiway.cli.monitoring.tables import Model, Tables, folder
from taxiway.cli.options import require_new, stopped

if TYPE_CHECKING:
    from components.monitoring.store import Store
    from taxiway.experiments.settings import Experiment

experiments_app = typer.Typer(no_args_is_help=True, help="Compare arms of a served model, and decide by statistics.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The experiment's settings; see `init`.")]
Until = Annotated[
    str, typer.Option(metavar="TIME", help="Count rows up to this time, such as 2026-02-01T08:00; default: now.")
]


@experiments_app.command("init")
def init_command(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")] = Path(
        "experiment.yaml"
    ),
    tables: Tables = "",
) -> None:
    """Write an experiment's settings with what is found of a model: arms, inputs, outcomes."""
    from components.contract.files import write
    from components.monitoring.store import Store
    from taxiway.experiments import init

    require_new(output)
    write(output, init.settings_file(model, Store(folder(tables, model))))
    print(f"wrote {output}; then: {typed('taxiway experiment design', output)}")


@experiments_app.command("design")
def design_command(
    file: File,
    tables: Tables = "",
    days: Annotated[int, typer.Option(min=1, help="How many days of traffic to look back.")] = 14,
    power: Annotated[float, typer.Option(min=0.01, max=0.999, help="The probability of finding the effect.")] = 0.8,
    until: Until = "",
) -> None:
    """Say how many units are needed, how long that takes by the traffic so far, and what it is worth."""
    from taxiway.experiments import planning

    experiment, store = _opened(file, tables)
    traffic, planned = planning.plans(experiment, store, days, power, _moment(until) or datetime.now(UTC))
    for line in planning.lines(experiment, traffic, planned, power):
        print(line)


@experiments_app.command("look")
def look_command(
    file: File,
    tables: Tables = "",
    until: Until = "",
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Exit with 0 to ship, 3 to wait, 4 if nothing matters, 5 to stop, 6 if it is not valid."
        ),
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at an experiment once: the verdict in words, and every check. Each look is logged."""
    from taxiway.experiments.decide import STATUS
    from taxiway.experiments.look import as_json, lines, look

    experiment, store = _opened(file, tables)
    found = look(experiment, store, _moment(until))
    if json_output:
        print(json.dumps(as_json(found), indent=1))
    else:
        print("\n".join(lines(found)))
    if check and (status := STATUS[found.decision.kind]):
        raise typer.Exit(status)


@experiments_app.command("report")
def report_command(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The HTML file to write.")],
    tables: Tables = "",
    until: Until = "",
) -> None:
    """Write the result as one HTML file; it is a look as well."""
    from components.contract.files import write
    from taxiway.experiments.look import look
    from taxiway.experiments.page.page import page

    experiment, store = _opened(file, tables)
    write(output, page(look(experiment, store, _moment(until), by="report")))
    print(f"wrote {output}")


@experiments_app.command("bandit")
def bandit_command(
    file: File,
    tables: Tables = "",
    admin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="The proxy's admin API; repeatable. Default: http://127.0.0.1:8602."),
    ] = None,
    policy: Annotated[str, typer.Option(help="thompson, ucb or epsilon-greedy.")] = "thompson",
    floor: Annotated[float, typer.Option(help="The least share of each arm; above 0.")] = 0.05,
    epsilon: Annotated[float, typer.Option(help="Of epsilon-greedy: the share that is spread over all arms.")] = 0.1,
    every: Annotated[str, typer.Option(metavar="TIME", help="Do it again and again, such as every 5m.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the next weights.")] = False,
) -> None:
    """Move the proxy's weights to the arms with the best rewards so far; units count once their window is over."""
    from components.contract.times import duration
    from taxiway.experiments.bandits import bandit

    experiment, store = _opened(file, tables)
    given, urls = bandit.Policy(policy, floor, epsilon), admin or ["http://127.0.0.1:8602"]
    if dry_run:
        print(bandit.turn(experiment, store, given, datetime.now(UTC)).words)
    elif every:
        bandit.require(experiment, given)
        step = functools.partial(bandit.step, experiment, store, given, urls)
        bandit.run(lambda: step(datetime.now(UTC)), duration(every, "--every"), _told, stopped())
    else:
        print(bandit.step(experiment, store, given, urls, datetime.now(UTC)).words)


def _told(words: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {words}", flush=True)


@experiments_app.command("assign")
def assign_command(
    file: File, key: Annotated[str, typer.Argument(metavar="KEY", help="The unit's key, such as a user's id.")]
) -> None:
    """Print the arm that a key gets, by the weights of the settings and its layer."""
    from taxiway.experiments.checks import expected_arm
    from taxiway.experiments.settings import load

    arm = expected_arm(load(file), key)
    print(arm if arm else "no arm: another experiment of the layer has this key, or none")


def _opened(file: Path, tables: str) -> tuple[Experiment, Store]:
    from components.monitoring.store import Store
    from taxiway.experiments.settings import load

    experiment = load(file)
    return experiment, Store(folder(tables, experiment.model))


def _moment(text: str) -> datetime | None:
    from components.contract.times import moment

    return moment(text, "--until") if text else None
