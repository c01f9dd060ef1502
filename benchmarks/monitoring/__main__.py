"""The monitor's alarms: how often they are false, what they find, how soon, and how fast; beside Evidently and NannyML.

    make bench-monitor                                                 # everything: 1,000 clean windows a size
    make bench-monitor ARGS="--parts speed"                            # one part; the figures of the others stay
    make bench-monitor ARGS="--windows 20 --speed 100000x17 --beside 100000x17"

Prints tables and writes `benchmarks/out/monitoring/report.json`, a list of objects, as each part ends. A part that
fails is said, leaves its last figures, and ends no other; the exit status is then 1. Parts:

    clean     windows of 50 to 100,000 rows in which nothing has changed, against 10,000 rows of training data
    power     a change of one column in a window of 1,000 rows, beside the best that any test can do
    streams   evidence over time: clean taxi trips, shifts, and river's SEA, AGRAWAL and hyperplane
    peers     the same windows under the default thresholds of Evidently and NannyML, in environments of their own
    speed     files are profiled and compared with training data; some of them by Evidently too. Needs an idle machine,
              and 4 GB on the disk for a while; 14 GB with `--speed 3000000x1000`
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.monitoring import levels, peers, power, speed, streams
from benchmarks.tables import show

PARTS = ("clean", "power", "streams", "peers", "speed")
Figure = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures the parts, and prints and writes the figures."""
    given = _parser().parse_args(arguments)
    console, report, failed = _console(), peers.OUT / "report.json", list[str]()
    for name in given.parts:
        try:
            found = list(_with_circumstances(_parts(given)[name]()))
        except Exception:
            failed.append(name)
            console.print(f"{name} failed: its last figures stay.\n{traceback.format_exc()}", markup=False)
            continue
        keep(report, name, found)
        show(console, found)
    return 1 if failed else 0


def _console() -> Console:
    """In a file, tables are as wide as they have to be."""
    console = Console()
    return console if console.is_terminal else Console(width=180)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000, help="clean windows of each size; others follow from it")
    parser.add_argument("--parts", type=_names, default=PARTS, help=f"some of {','.join(PARTS)}")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--sizes", type=_numbers, default=levels.SIZES, help="rows of clean windows")
    parser.add_argument("--seed", type=int, default=0, help="of the clean windows: another one draws others")
    parser.add_argument("--peers", type=_numbers, default=peers.SIZES, help="rows of the windows of all systems")
    parser.add_argument("--speed", type=_sizes, default="10000000x17,300000x1000", help="ROWSxCOLUMNS,...")
    parser.add_argument("--beside", type=_sizes, default="100000x17,1000000x17", help="the same, for Evidently too")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = set(names) - set(PARTS)
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    return names


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _sizes(text: str) -> tuple[speed.Size, ...]:
    return tuple(map(speed.size_of, filter(None, text.split(","))))


def _parts(given: argparse.Namespace) -> dict[str, Callable[[], Iterator[Figure]]]:
    windows: int = given.windows
    return {
        "clean": lambda: levels.measured(windows, given.workers, given.sizes, given.seed),
        "power": lambda: power.measured(max(windows // 4, 2), given.workers),
        "streams": lambda: streams.measured(max(windows // 50, 2), windows * 10),
        "peers": lambda: peers.measured(max(windows // 20, 2), given.peers),
        "speed": lambda: speed.measured(given.speed, given.beside),
    }


def _with_circumstances(figures: Iterator[Figure]) -> Iterator[Figure]:
    """Adds to each figure the load of the machine when it was there; the last one is about the whole part."""
    began = time.perf_counter()
    name = "?"
    for figure in figures:
        name = figure["part"]
        yield {**figure, "load": round(os.getloadavg()[0], 1)}
    yield {
        "part": name,
        "system": "machine",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "day": time.strftime("%Y-%m-%d"),
        "minutes": round((time.perf_counter() - began) / 60, 1),
    }


def _processor() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.machine()


def keep(report: Path, part: str, found: Sequence[Figure]) -> None:
    """Writes a part's figures in the place of those that the report has of it."""
    report.parent.mkdir(parents=True, exist_ok=True)
    before: list[Figure] = json.loads(report.read_text()) if report.is_file() else []
    figures = [*(each for each in before if each["part"] != part), *found]
    figures.sort(key=lambda each: PARTS.index(each["part"]) if each["part"] in PARTS else len(PARTS))
    partial = report.with_suffix(".partial")
    partial.write_text(json.dumps(figures, indent=1, default=float))
    partial.replace(report)


if __name__ == "__main__":
    sys.exit(main())
