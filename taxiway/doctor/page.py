"""The doctor's report, as a table or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from taxiway.doctor.findings import Line, State

Page = list[tuple[str, Line]]

_MARKS = {
    State.OK: ("✓", "green"),
    State.WARNING: ("!", "yellow"),
    State.ABSENT: ("–", "dim"),
    State.MISSING: ("✗", "bold red"),
    State.UNKNOWN: ("?", "cyan"),
}
_GROUPS = ("this machine", "pipeline", "cluster")


def is_ok(page: Page) -> bool:
    """Whether nothing that the given use needs is missing."""
    return all(line.state is not State.MISSING for _, line in page)


def to_json(page: Page) -> str:
    """`{"ok": bool, "lines": [{"group", "name", "state", "found", "fix"}]}`."""
    lines = [
        {"group": group, "name": line.name, "state": line.state.value, "found": line.found, "fix": line.fix}
        for group, line in _sorted(page)
    ]
    return json.dumps({"ok": is_ok(page), "lines": lines}, indent=1, ensure_ascii=False)


def render(page: Page, more: str) -> RenderableType:
    """The report as one table per group, with a summary.

    Args:
        page: Groups and their lines.
        more: How to check more; empty if everything was checked.
    """
    width = max(len(line.name) for _, line in page)
    parts: list[RenderableType] = []
    for group, members in groupby(_sorted(page), key=lambda pair: pair[0]):
        parts += [Text(group, style="bold"), _table([line for _, line in members], width), Text()]
    parts.append(_sum(page))
    if more:
        parts.append(Text(more, style="dim"))
    return Group(*parts)


def _sorted(page: Page) -> Page:
    return sorted(page, key=lambda pair: _GROUPS.index(pair[0]))


def _table(lines: list[Line], width: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=3, justify="right")
    table.add_column(min_width=width)
    table.add_column(overflow="fold")
    for above, line in zip([None, *lines], lines, strict=False):
        mark, style = _MARKS[line.state]
        dim = "dim" if line.state is State.ABSENT else ""
        table.add_row(Text(mark, style=style), Text(line.name, style=dim), Text(line.found, style=dim))
        if line.fix and line.state is not State.OK:
            fix = "see above" if above and above.fix == line.fix else line.fix
            table.add_row("", "", Text(f"→ {fix}", style="dim" if dim else "cyan"))
    return table


def _sum(page: Page) -> Text:
    counted = Counter(line.state for _, line in page)
    others = ", ".join(f"{counted[state]} {state.value}" for state in State if counted[state])
    if is_ok(page):
        return Text.assemble(("Nothing required is missing", "green"), f" ({others}).")
    missing = ", ".join(line.name for _, line in page if line.state is State.MISSING)
    return Text.assemble(("Missing: ", "bold red"), missing, f" ({others}).")
