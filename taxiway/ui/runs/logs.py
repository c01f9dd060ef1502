"""The ends of logs, as text that a page can show: without colours and progress bars, and never endless."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.reports.figures import cut
from components.reports.markup import visible

MOST_BYTES = 256 << 10
_MOST_LETTERS = 4000


@dataclass(frozen=True)
class Tail:
    """The end of a log.

    Attributes:
        text: Its lines, with whatever could hide something made visible.
        size: The bytes of the whole log; 0 if there is none.
        is_whole: Whether nothing is left out before.
    """

    text: str = ""
    size: int = 0
    is_whole: bool = True


def tail(log: Path, most: int = MOST_BYTES, lines: int | None = None) -> Tail:
    """The last bytes of a log, from the beginning of a line on, and of them the last lines."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - most))
            read = file.read(most)
    except OSError:
        return Tail()
    is_whole = size <= most
    found = (read if is_whole else read.partition(b"\n")[2] or read).decode(errors="replace").split("\n")
    shown = found if lines is None else found[-lines - 1 :]
    return Tail("\n".join(map(_line, shown)), size, is_whole and len(shown) == len(found))


def _line(line: str) -> str:
    """A line as a terminal leaves it: what comes after a carriage return replaces what was before."""
    last = line.removesuffix("\r").rpartition("\r")[2].rpartition("\b")[2]
    return cut(visible(last), _MOST_LETTERS)
