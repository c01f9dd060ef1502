"""What a monitor prints: a line a window, the alarms, and what could not be done."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from components.contract.commands import typed
from components.contract.errors import ServiceError
from components.monitoring.alarms.alarm import OPEN, Change
from components.monitoring.passes.compute import Computed
from components.monitoring.store import Store
from taxiway.monitoring.monitor import Passed

_STYLES = {"opened": "bold red", "closed": "green", "acknowledged": "yellow"}


class Teller:
    """Prints what a monitor does."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self._told = set[str]()
        self._failure = ""

    def window(self, computed: Computed) -> None:
        """Prints a window that has rows, or news."""
        if not computed.rows and not _news(computed):
            return
        start = computed.window.start.astimezone(UTC)
        rows = "1 row" if computed.rows == 1 else f"{computed.rows:,} rows"
        line = Text.assemble((f"{start:%Y-%m-%d %H:%M:%S}Z", "dim"), f"  {computed.window.length}  {rows}")
        if computed.signals:
            line.append(f"  {computed.signals} signal{'s' * (computed.signals != 1)}", "yellow")
        self._console.print(line)
        for doubt in computed.doubts:
            self._console.print(Text(f"  {doubt}", "yellow"))
        for change in _news(computed):
            self._change(change)

    def _change(self, change: Change) -> None:
        self._console.print(Text(f"  {change.event}: {change.alarm.sentence}", _STYLES[change.event]))

    def passed(self, passed: Passed | ServiceError) -> None:
        """Prints the end of a pass."""
        if isinstance(passed, ServiceError):
            self._failed(str(passed))
            return
        if self._failure:
            self._timed("the monitor goes on", "green")
        self._failure = ""
        for version, reason in sorted(passed.unknown.items()):
            self._once(f"version {version} is not compared with its training data: {reason}", "yellow")
        for outcome in passed.outcomes:
            if outcome.error:
                self._once(f"{outcome.way} was not told: {outcome.error}", "red")
        if not passed.has_table:
            serve = typed("taxiway serve FOLDER --inference-tables ROOT")
            self._once(f"no request has been recorded yet; record them with `{serve}`", "yellow")
        elif not passed.computed:
            self._once("no window with new rows is over", "dim")

    def _failed(self, text: str) -> None:
        """Prints why passes fail, once until they succeed again."""
        if not self._failure:
            self._timed(f"{text}\n  the monitor tries again; no row is lost meanwhile", "red")
        self._failure = text

    def _timed(self, text: str, style: str) -> None:
        self._console.print(Text(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z  {text}", style))

    def _once(self, text: str, style: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._console.print(Text(text, style))


def _news(computed: Computed) -> list[Change]:
    """What people are told: nothing of what was only suspected."""
    return [each for each in computed.changes if each.event in _STYLES and each.alarm.opened]


def is_alarming(store: Store) -> bool:
    """Whether an alarm is open and not acknowledged."""
    return bool(store.read("alarms", [("state", "=", OPEN)]).num_rows)
