"""The statistics of experiments: their levels at any number of looks, power, CUPED, A/A runs, bandits; beside peers.

    make bench-experiments                         # everything: 1,000 runs (a few minutes on two cores)
    make bench-experiments ARGS="--runs 100 --parts levels,peers"

Prints tables and writes `benchmarks/out/experiments/report.json`, a list of objects, as each part ends. Parts:

    levels    how often arms without a difference differ, by the number of looks; a plain z test beside
    power     power at a fixed size beside theory, and when sequences stop beside the fixed size
    fixed     the variance that CUPED leaves beside theory, and whether p-values of A/A runs are uniform
    bandits   regret beside a textbook Thompson sampler, and estimates afterwards
    peers     the same data given to statsmodels and tea-tasting, in an environment of their own
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from benchmarks.experiments import bandits, fixed, levels, peers, power
from benchmarks.tables import show

PARTS = ("peers", "fixed", "power", "levels", "bandits")
Figure = dict[str, Any]


def main() -> None:
    """Measures the parts, and prints and writes the figures."""
    given = _parser().parse_args()
    peers.OUT.mkdir(parents=True, exist_ok=True)
    console, report = Console(), list[Figure]()
    for name in given.parts.split(","):
        begin = time.perf_counter()
        found = list(_parts(given)[name]())
        report += found
        show(console, found)
        console.print(f"{name}: {time.perf_counter() - begin:.0f} s\n")
        (peers.OUT / "report.json").write_text(json.dumps(report, indent=1, default=float))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="runs of a sequence; others follow from it")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    return parser


def _parts(given: argparse.Namespace) -> dict[str, Callable[[], Iterator[Figure]]]:
    runs, workers = given.runs, given.workers
    return {
        "peers": peers.measured,
        "fixed": lambda: fixed.measured(2 * runs, workers),
        "power": lambda: power.measured(10 * runs, workers),
        "levels": lambda: levels.measured(runs, workers),
        "bandits": lambda: bandits.measured(2 * runs, workers),
    }


if __name__ == "__main__":
    main()
