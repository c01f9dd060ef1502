"""The end of the demo: the time line, why this version serves, and where to look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from components.monitoring.alarms.alarm import Alarm
from taxiway.lineage import chain, tree
from taxiway.lineage.loop import timeline
from taxiway.lineage.loop.cycle import Cycle, State
from taxiway.lineage.loop.timeline import Moment
from taxiway.loop.demo import servers
from taxiway.loop.demo.ground import Ground
from taxiway.monitoring.demo import say, shown


def tell(console: Console, ground: Ground, cycle: Cycle, alarms: Sequence[Alarm], seconds: float) -> None:
    """Tells what happened; exits with 1 if no version was promoted."""
    console.print(f"\n[bold]The time line[/] ({seconds:.0f} s in all)")
    _line(console, timeline.timeline(cycle, alarms))
    if cycle.state != State.PROMOTED:
        raise SystemExit(1)
    place = shown(ground.served / str(cycle.facts["version"]))
    console.print(f"\n[bold]Why version {cycle.facts['version']} serves[/]")
    found = chain.trace(place, store=ground.lineage())
    # All steps of the cycle are above.
    origins = {name: lines[:1] if name == "why" else lines for name, lines in tree.origins(found).items()}
    pairs = [(name, number, line) for name, lines in origins.items() for number, line in enumerate(lines)]
    _listed(console, [("" if number else name, line) for name, number, line in pairs])
    console.print("\n[bold]Where to look[/]")
    commands = {
        "pages": servers.by_hand(ground, "taxiway ui"),
        "cycles": servers.by_hand(ground, "taxiway loop history"),
        "lineage": servers.by_hand(ground, "taxiway lineage", place),
    }
    _listed(console, commands.items())


_COLOURS = {timeline.RAISED: "red", timeline.CLOSED: "green", timeline.ASKS: "yellow", "promoted": "green"}


def _line(console: Console, moments: Sequence[Moment]) -> None:
    """The time line: a table in a terminal; piped, a line each."""
    rows = [(f"{each.time:%H:%M:%S}", each) for each in moments]
    if not console.is_terminal:
        for when, each in rows:
            say(console, Text(f"{when}  {each.title:<18}  {each.words}{_by(each)}"))
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(no_wrap=True)
    table.add_column()
    for when, each in rows:
        table.add_row(when, Text(each.title, _COLOURS.get(each.title, "bold")), Text(each.words + _by(each)))
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _by(moment: Moment) -> str:
    return f" (by {moment.by})" if moment.by else ""


def _listed(console: Console, pairs: Iterable[tuple[str, str]]) -> None:
    """Names with lines; a line that does not fit goes on below itself."""
    if not console.is_terminal:
        for name, line in pairs:
            say(console, Text(f"{name:<9}{line}"))
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, line in pairs:
        table.add_row(name, Text(line))
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
