"""What is read once for all parts of a page about a model: its windows, traffic, versions and alarms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from components.monitoring.alarms.alarm import Alarm
from components.monitoring.store import Store
from components.reports.monitoring import alarms
from components.reports.monitoring.links import NOWHERE, Links
from components.reports.monitoring.scope import Scope, Windows, by, limited, read, seconds
from components.reports.monitoring.timeline import Marks

_TRAFFIC = ("window_start", "version", "rows", "requests", "errors", "latency_quantiles", "cost")


@dataclass(frozen=True)
class Watched:
    """A model's tables in a scope.

    Attributes:
        store: Its tables.
        model: Its name.
        scope: What is shown, with a beginning.
        windows: The windows in it.
        links: Where the parts lead to.
    """

    store: Store
    model: str
    scope: Scope
    windows: Windows
    links: Links = NOWHERE

    @classmethod
    def of(cls, store: Store, model: str, scope: Scope, links: Links = NOWHERE) -> Watched:
        """Reads the windows."""
        found, windows = limited(store, scope)
        return cls(store, model, found, windows, links)

    @cached_property
    def traffic(self) -> pa.Table:
        """The requests by window and version."""
        return read(self.store, "profile", self.scope.filters(("column", "=", "")), _TRAFFIC)

    @cached_property
    def versions(self) -> list[tuple[int, float]]:
        """The versions that answered, each with the start of its first window."""
        found = {version: float(seconds(rows)[0]) for version, rows in by(self.traffic, "version").items()}
        return [(int(str(version)), first) for version, first in found.items()]

    @cached_property
    def alarms(self) -> list[Alarm]:
        """The alarms in the scope."""
        return alarms.read(self.store, self.scope)

    def marks(self, column: str | None = None) -> Marks:
        """What is marked on time lines: all alarms, or those of a column."""
        many = self.windows.seconds * 60 < self.windows.across[1] - self.windows.across[0]
        return Marks(
            self.windows.across,
            self.windows.seconds,
            alarms.spans(self.alarms, self.links, column),
            [(first, f"v{version}") for version, first in self.versions],
            # Of many windows, a click chooses a range of time; of few, one window.
            self.links.during if many else lambda since, until: self.links.window(since),
        )

    def color(self, version: object) -> int:
        """The colour of a version."""
        known = [each for each, _ in self.versions]
        return known.index(version) if isinstance(version, int) and version in known else 7
