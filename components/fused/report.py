"""The lines about members in a fused pod's log: writes them, and reads them to follow a run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

RUNNING = "RUNNING"
_LINE = re.compile(
    r"==> (?P<started>\S+), (?P<number>\d+) of \d+"
    r"|    (?P<done>\S+) took (?P<seconds>\d+\.\d) s"
    r"|    (?P<cached>\S+) was cached, (?P<cached_seconds>\d+\.\d) s"
    r"|    skipped: (?P<skipped>.+)"
)


@dataclass(frozen=True)
class Progress:
    """How far a member is.

    Attributes:
        name: The member's name.
        state: RUNNING, SUCCEEDED, CACHED or SKIPPED; a member that failed is running to the end.
        seconds: How long it took.
    """

    name: str
    state: str = RUNNING
    seconds: float = 0.0


def started(name: str, number: int, count: int) -> str:
    """The line that a member begins with."""
    return f"==> {name}, {number} of {count}"


def done(name: str, seconds: float) -> str:
    """The last line of a member that ran."""
    return f"    {name} took {seconds:.1f} s"


def cached(name: str, seconds: float) -> str:
    """The line of a member whose outputs were found."""
    return f"    {name} was cached, {seconds:.1f} s"


def skipped(condition: str) -> str:
    """The line of a member that did not run."""
    return f"    skipped: {condition} is false"


def read(lines: Iterable[str]) -> list[Progress]:
    """The members that a log speaks of, in their order; after a retry, those of the last attempt."""
    found: list[Progress] = []
    for match in filter(None, (_LINE.fullmatch(line.rstrip("\n")) for line in lines)):
        if name := match["started"]:
            found = [*(found if match["number"] != "1" else []), Progress(name)]
        elif found and (match["skipped"] or found[-1].name in (match["done"], match["cached"])):
            found[-1] = _ended(found[-1], match)
    return found


def _ended(member: Progress, match: re.Match[str]) -> Progress:
    if match["skipped"]:
        return replace(member, state="SKIPPED")
    state = "SUCCEEDED" if match["done"] else "CACHED"
    return replace(member, state=state, seconds=float(match["seconds"] or match["cached_seconds"]))
