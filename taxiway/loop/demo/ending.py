"""The end of the demo: the time line, why this version serves, and where to look."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from components.monitoring.alarms.alarm import Alarm
from taxiway.lineage import chain, tree
from taxiway.lineage.loop import timeline
from taxiway.lineage.loop.cycle import Cycle, State
from taxiway.loop.demo import servers
from taxiway.loop.demo.ground import Ground
from taxiway.monitoring.demo import say, shown


def tell(console: Console, ground: Ground, cycle: Cycle, alarms: Sequence[Alarm], seconds: float) -> None:
    """Tells what happened; exits with 1 if no version was promoted."""
    console.print(f"\n[bold]The time line[/] ({seconds:.0f} s in all)")
    for each in timeline.timeline(cycle, alarms):
        say(console, Text(f"{each.time:%H:%M:%S}  {each.title:<16}  {each.words}"))
    if cycle.state != State.PROMOTED:
        raise SystemExit(1)
    place = shown(ground.served / str(cycle.facts["version"]))
    console.print(f"\n[bold]Why version {cycle.facts['version']} serves[/]")
    found = chain.trace(place, store=ground.lineage())
    for name, lines in tree.origins(found).items():
        for number, line in enumerate(lines):
            say(console, Text.assemble((f"{'' if number else name:<9}", "dim"), line))
    console.print("\n[bold]Where to look[/]")
    for words, command in (
        ("pages", servers.by_hand(ground, "taxiway ui")),
        ("cycles", servers.by_hand(ground, "taxiway loop history")),
        ("lineage", servers.by_hand(ground, "taxiway lineage", place)),
    ):
        say(console, Text.assemble((f"{words:<9}", "dim"), command))
