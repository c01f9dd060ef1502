"""Turns samples into figures, and figures into tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

Figure = dict[str, Any]
Spans = Sequence[tuple[float, float]]
"""Spans of time: seconds of `time.time()`, the second one not included."""

OK, WRONG = "OK", "WRONG ANSWER"
_COLUMNS = {
    "part": "",
    "system": "",
    "clients": ",.0f",
    "examples_a_request": ",.0f",
    "requests_per_s": ",.0f",
    "rows_per_s": ",.0f",
    "p50_ms": ",.2f",
    "p99_ms": ",.2f",
    "failed": ",.0f",
    "peak_mb": ",.0f",
    "cpu_us": ",.0f",
    "load_cores": ",.2f",
}


@dataclass(frozen=True)
class Samples:
    """The samples of a load: one element per request.

    Attributes:
        at: When it was sent, or was due: seconds of `time.time()`.
        ms: Milliseconds until the response.
        codes: `OK`, `WRONG`, a gRPC status code's name or an HTTP status.
        cores: The number of CPU cores that the load itself kept busy.
    """

    at: np.ndarray
    ms: np.ndarray
    codes: np.ndarray
    cores: float = 0.0

    def save(self, path: Path) -> None:
        """Writes the samples to a `.npz` file."""
        np.savez(path, at=self.at, ms=self.ms, codes=self.codes, cores=self.cores)

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Reads what `save` wrote."""
        with np.load(path) as file:
            return cls(file["at"], file["ms"], file["codes"], float(file["cores"]))

    def where(self, chosen: np.ndarray) -> Samples:
        """The samples selected by a mask."""
        return Samples(self.at[chosen], self.ms[chosen], self.codes[chosen], self.cores)

    @property
    def answered(self) -> Samples:
        """The samples with a correct response."""
        return self.where(self.codes == OK)


def percentile(ms: np.ndarray, percent: float) -> float | None:
    """A percentile; None without values."""
    return round(float(np.percentile(ms, percent)), 3) if len(ms) else None


def inside(at: np.ndarray, spans: Spans) -> np.ndarray:
    """A mask of the times inside any of the spans."""
    found: np.ndarray = np.zeros(len(at), dtype=bool)
    for begin, end in spans:
        found |= (at >= begin) & (at < end)
    return found


def length(spans: Spans) -> float:
    """The total seconds covered by the spans."""
    seconds, until = 0.0, 0.0
    for begin, end in sorted(spans):
        seconds += max(end - max(begin, until), 0)
        until = max(until, end)
    return seconds


def summary(samples: Samples, seconds: float, examples: int) -> Figure:
    """The figures of a load.

    Args:
        samples: Its samples.
        seconds: Its duration.
        examples: The number of examples per request.
    """
    answered = samples.answered
    rate = len(answered.ms) / seconds if seconds else 0.0
    return {
        "examples_a_request": examples,
        "requests_per_s": round(rate, 1),
        "rows_per_s": round(rate * examples, 1),
        "p50_ms": percentile(answered.ms, 50),
        "p99_ms": percentile(answered.ms, 99),
        "failed": len(samples.ms) - len(answered.ms),
        "codes": counts(samples.codes),
        "load_cores": round(samples.cores, 2),
    }


def counts(codes: np.ndarray) -> dict[str, int]:
    """The number of each code, the most frequent first."""
    return dict(Counter(codes.tolist()).most_common())


def p99_by_second(samples: Samples, begin: float, end: float) -> list[float]:
    """The p99 of each whole second; infinity for a second without responses."""
    seconds = [(begin + number, begin + number + 1) for number in range(int(end - begin))]
    found = (percentile(samples.where(inside(samples.at, [second])).ms, 99) for second in seconds)
    return [float("inf") if value is None else value for value in found]


def seconds_until(values: Sequence[float], limit: float) -> int | None:
    """The index of the first value from which on all stay within a limit; None if the last one does not."""
    beyond = [number for number, value in enumerate(values) if value > limit]
    if not values or (beyond and beyond[-1] == len(values) - 1):
        return None
    return beyond[-1] + 1 if beyond else 0


def median_run(runs: Sequence[Figure]) -> Figure:
    """The run with the median requests per second; failures and peaks cover all runs."""
    chosen = sorted(runs, key=lambda run: run["requests_per_s"])[len(runs) // 2]
    peaks = [run["peak_mb"] for run in runs if run.get("peak_mb") is not None]
    failed = sum(run["failed"] for run in runs)
    return {**chosen, "failed": failed, "peak_mb": max(peaks, default=None), "runs": len(runs)}


def median_ratio(runs: Sequence[Figure], beside: Sequence[Figure]) -> float:
    """The median of the ratios of requests per second, round by round: what both see of the machine cancels out."""
    pairs = zip(runs, beside, strict=True)
    return median(one["requests_per_s"] / other["requests_per_s"] for one, other in pairs)


def growth(rss: Sequence[tuple[float, float]], window: float = 60) -> Figure:
    """The growth of a process's memory.

    Args:
        rss: Pairs of time in seconds and MB.
        window: The seconds at the start and at the end whose medians are compared; at most a third of the total.
    """
    times, mb = (np.array(values) for values in zip(*rss, strict=True))
    window = min(window, (times[-1] - times[0]) / 3)
    first = float(np.median(mb[times <= times[0] + window]))
    last = float(np.median(mb[times >= times[-1] - window]))
    return {"first_mb": round(first, 1), "last_mb": round(last, 1), "growth_mb": round(last - first, 1)}


def limit(what: str, measured: float | None, wanted: float, *, at_least: bool) -> Figure:
    """A figure and its limit; None means not measured."""
    met = measured is not None and (measured >= wanted if at_least else measured <= wanted)
    said = f"{'at least' if at_least else 'at most'} {wanted:g}"
    return {"limit": what, "measured": None if measured is None else round(measured, 6), "wanted": said, "met": met}


def _cell(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)


def _measured(figures: Sequence[Figure]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(
            name.replace("_per_s", "/s").replace("_", " "), justify="left" if name == "system" else "right"
        )
    for figure in figures:
        table.add_row(*(_cell(figure.get(name), form) for name, form in _COLUMNS.items()))
    return table


def _limits(figures: Sequence[Figure]) -> Table:
    table = Table("part", "limit", "measured", "wanted", "met", box=None, pad_edge=False)
    for figure in figures:
        measured = _cell(figure["measured"], ",.3f")
        table.add_row(figure["part"], figure["limit"], measured, figure["wanted"], "yes" if figure["met"] else "NO")
    return table


def _refused(figures: Sequence[Figure]) -> Table:
    table = Table("malformed request", "answers", box=None, pad_edge=False)
    for figure in figures:
        table.add_row(figure["malformed"], ", ".join(f"{code}: {count:,}" for code, count in figure["codes"].items()))
    return table


def tables(figures: Sequence[Figure]) -> Group:
    """Tables of the figures, the limits, and the responses to malformed requests."""
    limits = [figure for figure in figures if "limit" in figure]
    malformed = [figure for figure in figures if "malformed" in figure]
    rest = [figure for figure in figures if "requests_per_s" in figure]
    shown = [(rest, _measured), (limits, _limits), (malformed, _refused)]
    return Group(*(part for found, make in shown if found for part in (make(found), "")))
