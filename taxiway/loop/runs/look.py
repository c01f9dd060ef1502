"""What a cycle's run does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MISSING, RUNNING, ENDED = "missing", "running", "ended"


@dataclass(frozen=True)
class Look:
    """What a cycle's run does.

    Attributes:
        state: `missing` (it has to be started), `running` or `ended`.
        run: Its id.
        reason: Why it failed, if it has ended; empty if it did not. Which attempt it is, if it is missing.
        facts: What else is known of it, such as its page.
    """

    state: str
    run: str
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
