"""`taxiway reproduce`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from taxiway.reproduction.reproduce import Reproduction

_STYLES = {"equal": "green", "differs": "bold red", "not made": "yellow"}


def reproduce_command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A pushed version, an artifact's path, or a digest.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rebuild a model from its lineage alone, and compare every stage. Exit status 1: something differs."""
    from taxiway.lineage.store import LineageStore
    from taxiway.reproduction.reproduce import reproduce, to_json
    from taxiway.storage.home import Home

    found = reproduce(target, LineageStore.open_existing(Home.default().lineage))
    if json_output:
        print(to_json(found))
    else:
        _show(found, Console())
    raise typer.Exit(0 if found.is_equal else 1)


def _show(found: Reproduction, console: Console) -> None:
    from rich.text import Text

    from taxiway import tables

    def digests(pair: tuple[str, str]) -> str:
        then, now = (digest[:19] for digest in pair)
        return then if then == now else f"was {then}, is now {now or 'missing'}"

    rows: list[list[str | Text]] = [
        [
            stage.stage,
            Text(stage.state, _STYLES[stage.state]),
            ", ".join(f"{name} {digests(pair)}" for name, pair in stage.outputs.items()),
        ]
        for stage in found.stages
    ]
    console.print(f"{found.target}, rebuilt from commit {found.commit[:12]}", highlight=False, soft_wrap=True)
    tables.show(tables.Table(("stage", "result", "outputs"), rows), console)
    for line in _explained(found):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _explained(found: Reproduction) -> list[str]:
    lines = [f"note: {note}" for note in found.notes]
    if first := found.first_difference:
        lines += ["", f"{first.stage} is the first stage that differs:", *(f"  {reason}" for reason in first.reasons)]
        if not first.reasons:
            lines.append("  it failed (see above)")
    else:
        lines += ["", "everything is equal"]
    for name, (then, now) in found.metrics.items():
        was, now_is = ("unknown" if value is None else f"{value:.6g}" for value in (then, now))
        by = f" ({now - then:+.2g})" if then is not None and now is not None else ""
        lines.append(f"  {name} was {was}, is now {now_is}{by}")
    return lines
