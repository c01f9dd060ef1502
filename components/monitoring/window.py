"""A window of a model's traffic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Window:
    """A window of a model's traffic.

    Attributes:
        model: The model's name.
        start: Its start.
        end: Its end, which is not part of it.
        length: Its length, such as 1h.
    """

    model: str
    start: datetime
    end: datetime
    length: str

    @property
    def place(self) -> str:
        """The condition on its rows in the monitor's tables, as SQL."""
        return f"window_start = '{self.start.isoformat()}' AND \"window\" = '{self.length}'"
