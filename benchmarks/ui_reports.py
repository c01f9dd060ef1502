"""Reports of real runs: their sizes, and when they are painted.

    python -m benchmarks.ui_reports       # part of make bench-ui

Runs the taxi pipeline, and ExampleGen, StatisticsGen and SchemaGen on a table of 300 columns. Painted is the first
contentful paint in headless Chromium, the median of several visits.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from kfp import dsl
from playwright.sync_api import Browser

from benchmarks.data import taxi_csv
from taxiway.dsl import ExampleGen, SchemaGen, StatisticsGen
from tests.browser import chromium

OUT = Path(__file__).parent / "out" / "ui"
_COLUMNS = 300
_ROWS = 5_000
_VISITS = 5
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"

Row = tuple[str, float, float]
"""Page, kB, milliseconds until it is painted."""


@dsl.pipeline(name="wide")
def wide(data: str):
    """A table of many columns."""
    examples = ExampleGen(input_path=data, allow_unversioned=True).outputs["examples"]
    SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"])


def main() -> None:
    """Runs both pipelines, and prints and writes the figures."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as work, chromium.browser() as browser:
        rows = [*_of_taxi(Path(work, "taxi"), browser), *_of_wide(Path(work, "wide"), browser)]
    lines = ["| report | kB | painted, ms |", "| --- | --- | --- |"]
    lines += [f"| {page} | {size:,.0f} | {painted:,.0f} |" for page, size, painted in rows]
    report = "\n".join([*lines, f"\nload average {os.getloadavg()[0]:.1f}\n"])
    (OUT / "reports.md").write_text(report)
    print(report)


def _of_taxi(work: Path, browser: Browser) -> Iterator[Row]:
    parameters = {"data": taxi_csv(), "destination": work / "pushed", "allow_unversioned": "true", "train_steps": 200}
    record = _run(work, "chicago_taxi", {name: str(value) for name, value in parameters.items()})
    for task, recorded in record["tasks"].items():
        if report := recorded["outputs"].get("report"):
            yield _row(f"stage {task}", Path(report), browser)
    yield _row("model card", next(work.glob("pushed/*/model_card.html")), browser)
    yield _row("the whole run", _whole(work), browser)


def _of_wide(work: Path, browser: Browser) -> Iterator[Row]:
    work.mkdir()
    chance = np.random.default_rng(1)
    columns = {f"feature_{number:03}": chance.normal(number, 1 + number, _ROWS) for number in range(_COLUMNS)}
    pd.DataFrame(columns).to_csv(work / "wide.csv", index=False)
    record = _run(work, str(Path(__file__)), {"data": str(work / "wide.csv")})
    report = Path(record["tasks"]["statistics-gen"]["outputs"]["report"])
    yield _row(f"statistics of {_COLUMNS} features", report, browser)
    yield _row(f"the whole run with {_COLUMNS} features", _whole(work), browser)


def _run(work: Path, pipeline: str, parameters: dict[str, str]) -> dict[str, dict[str, dict[str, dict[str, str]]]]:
    options = [word for name, value in parameters.items() for word in ("--param", f"{name}={value}")]
    printed = _taxiway(work, "run", "--json", pipeline, *options)
    return dict(json.loads(printed))


def _whole(work: Path) -> Path:
    _taxiway(work, "report", "latest", "-o", str(work / "report.html"))
    return work / "report.html"


def _taxiway(work: Path, *words: str) -> str:
    environment = {**os.environ, "TAXIWAY_HOME": str(work / "home")}
    command = [sys.executable, "-m", "taxiway", *words]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def _row(page: str, report: Path, browser: Browser) -> Row:
    # A report has no extension in the artifacts, and a browser wants one.
    file = report.with_name("shown.html")
    shutil.copyfile(report, file)
    return page, file.stat().st_size / 1000, statistics.median(_painted(browser, file) for _ in range(_VISITS))


def _painted(browser: Browser, file: Path) -> float:
    with chromium.tab(browser) as tab:
        tab.page.goto(file.as_uri())
        while (painted := tab.page.evaluate(_PAINT)) is None:
            time.sleep(0.01)
        return float(painted)


if __name__ == "__main__":
    main()
