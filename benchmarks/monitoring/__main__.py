"""The monitor's alarms: how often they are false, what they find, how soon, and how fast; beside Evidently and NannyML.

    make bench-monitor                        # everything: 1,000 clean windows a size
    make bench-monitor ARGS="--windows 50 --parts clean,power"

Prints tables and writes `benchmarks/out/monitoring/report.json`, a list of objects, as each part ends. Parts:

    clean     windows of 50 to 100,000 rows in which nothing has changed, against 10,000 rows of training data
    power     a change of one column in a window of 1,000 rows
    streams   evidence over time: clean taxi trips, shifts, and river's SEA, AGRAWAL and hyperplane
    peers     the same windows under the default thresholds of Evidently and NannyML, in environments of their own
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from benchmarks.monitoring import levels, peers, power, streams
from benchmarks.tables import show

PARTS = ("clean", "power", "streams", "peers")
Figure = dict[str, Any]


def main() -> None:
    """Measures the parts, and prints and writes the figures."""
    given = _parser().parse_args()
    peers.OUT.mkdir(parents=True, exist_ok=True)
    console, report = Console(), list[Figure]()
    for name in given.parts.split(","):
        load = round(os.getloadavg()[0], 2)
        found = [{**figure, "load": load} for figure in _parts(given)[name]()]
        report += found
        show(console, found)
        (peers.OUT / "report.json").write_text(json.dumps(report, indent=1, default=float))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=1000, help="clean windows of each size; others follow from it")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser


def _parts(given: argparse.Namespace) -> dict[str, Callable[[], Iterator[Figure]]]:
    windows: int = given.windows
    return {
        "clean": lambda: levels.measured(windows, given.workers),
        "power": lambda: power.measured(max(windows // 2, 50), given.workers),
        "streams": lambda: streams.measured(max(windows // 50, 2), windows * 5),
        "peers": lambda: peers.measured(max(windows // 20, 3)),
    }


if __name__ == "__main__":
    main()
