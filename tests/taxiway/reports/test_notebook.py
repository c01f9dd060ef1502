"""Runs in notebooks: what displays itself, complete, escaped, small, and with a style that stays inside."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import taxiway
from components.contract.artifacts import Artifact, ExampleStatistics
from components.contract.errors import UserError
from components.reports.markup import visible
from components.reports.notebooks.piece import style
from taxiway.runner.call import State
from taxiway.runs.record import Run
from taxiway.storage.home import Home
from tests.components.reports.parsed import HOSTILE, Page
from tests.taxiway.reports.homes import MadeTask, make_run, record

FIRST, SECOND = "taxi-20260101-100000-0000aaaa", "taxi-20260102-100000-1111bbbb"
SCOPE = ".taxiway-report"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "home"))
    home = Home.default()
    for run_id, auc in ((FIRST, 0.75), (SECOND, 0.5)):
        judged = {"tfx_type": "ModelEvaluation", "auc": auc, "provenance": record("1" * 40)}
        tasks = {"judge": MadeTask({"evaluation": judged}, title="system.Metrics"), "last": MadeTask(after=["judge"])}
        make_run(home, run_id, tasks, {"steps": int(100 * auc), "same": "x"}, known={"metrics": {"auc": auc}})
    return home


def _piece(shown: Any, most_bytes: int = 60_000) -> Page:
    """What a notebook puts into its output: one element, well-formed, that reaches nothing outside of it."""
    html = shown._repr_html_()
    assert html.startswith('<div class="taxiway-report"><style>')
    assert len(html.encode()) < most_bytes
    page = Page(html)
    assert page.wrong == []
    assert not {name for name, _ in page.tags} & {"html", "body", "script", "link", "iframe", "form", "img", "meta"}
    for name, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("id", "style", "src", "href")], name
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\ud800-\udfff]", html)
    return page


def test_the_style_reaches_only_what_is_in_the_piece() -> None:
    plain = re.sub(r"@media[^{]*", "", str(style()))
    selectors = [each for rule in re.findall(r"([^{}]+)\{[^{}]*\}", plain) for each in rule.split(",")]
    assert len(selectors) > 100
    assert [each for each in selectors if not each.startswith(SCOPE)] == []
    assert f"{SCOPE} .badge" in selectors
    assert "prefers-color-scheme: dark" in style()
    assert style().count("{") == style().count("}")
    assert "@page" not in style()


def test_a_run_that_was_made_earlier(home: Home) -> None:
    run = taxiway.open_run("latest")
    assert (run.id, run.state, run.metrics) == (SECOND, State.SUCCEEDED, {"auc": 0.5})
    page = _piece(run)
    assert "taxi, done" in page.text
    assert page.tables["Metrics (1)"].row("auc")["Change"] == "−0.25"
    assert len(page.tables["Tasks (2)"].rows) == 2
    assert taxiway.open_run(FIRST, home=home.root).id == FIRST
    with pytest.raises(UserError, match="there is no run 'nothing'"):
        taxiway.open_run("nothing")


def test_a_run_that_left_no_record_has_no_picture(tmp_path: Path) -> None:
    assert Run("any-1", "any", tmp_path / "runs/any-1")._repr_html_() is None


def test_the_list_of_runs(home: Home) -> None:
    runs = taxiway.list_runs()
    assert [run.id for run in runs] == [SECOND, FIRST]
    assert _piece(runs).tables["Runs (2)"].row(SECOND)["auc"] == "0.5"
    assert [run.id for run in taxiway.list_runs("taxi", limit=1)] == [SECOND]
    assert taxiway.list_runs("other") == []
    assert "There are no runs." in _piece(taxiway.list_runs(home=home.root / "empty")).text


def test_runs_beside_each_other(home: Home) -> None:
    for pair in ((FIRST, SECOND), (taxiway.open_run(FIRST), taxiway.list_runs()[0]), (FIRST, "latest")):
        found = taxiway.compare(*pair)
        assert found.runs == [FIRST, SECOND]
        assert found.metrics == {"auc": [0.75, 0.5]}
        assert found.parameters == {"steps": [75, 50], "same": ["x", "x"]}
        assert found.tasks == {"judge": ["SUCCEEDED", "SUCCEEDED"], "last": ["SUCCEEDED", "SUCCEEDED"]}
    page = _piece(found)
    assert f"A is {FIRST} ." in page.text
    auc = page.tables["Metrics of both runs"].row("auc")
    assert auc == {"Metric": "auc", "A": "0.75", "B": "0.5", "Difference": "−0.25"}
    assert "Each line is a run" in page.text
    three = _piece(taxiway.compare(FIRST, SECOND, FIRST))
    assert three.tables["Metrics of 3 runs"].row("auc")["Spread"] == "0.25"
    assert three.tables["Parameters of 3 runs"].rows == [["steps", "75", "50", "75"]]
    assert three.tables["Parameters that all of the 3 runs share"].rows == [["same", "x"]]
    with pytest.raises(UserError, match="1 runs cannot be compared"):
        taxiway.compare(FIRST)


def test_an_artifact_shows_its_report_or_what_is_known_of_it(home: Home, tmp_path: Path) -> None:
    page = _piece(taxiway.open_run("latest").artifacts["evaluation"])
    assert "The metrics cannot be shown: " in page.text
    (tmp_path / "plain").write_text("x")
    plain = _piece(Artifact(tmp_path / "plain", {"digest": "sha256:" + "a" * 64, "rows": 7}))
    assert "aaaaaaaaaaaa rows 7" in plain.text
    assert "does not exist any more" in _piece(ExampleStatistics(tmp_path / "gone")).text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_strangers_stay_text(home: Home, name: str, tmp_path: Path) -> None:
    name = name.encode(errors="replace").decode()
    tasks = {"task": MadeTask({"out": {"tfx_type": name, name: 0.5}}, title="system.Metrics", error=name)}
    for run_id in ("bad-20260103-100000-2222aaaa", "bad-20260104-100000-2222aaaa"):
        make_run(home, run_id, tasks, {name: name + run_id}, log=name, known={"metrics": {name: 1.0}})
    run = taxiway.open_run("bad-20260104")
    for each in (run, run.artifacts["out"], taxiway.list_runs(), taxiway.compare(run, "bad-20260103")):
        assert " ".join(visible(name).split()) in _piece(each).text


def test_nothing_heavy_is_imported(home: Home) -> None:
    """Neither by the package, nor by lists and comparisons."""
    code = (
        "import sys, taxiway\n"
        "print([name for name in ('jinja2', 'kfp', 'numpy', 'components.reports', 'asyncio') if name in sys.modules])\n"
        "taxiway.list_runs()._repr_html_()\n"
        "taxiway.open_run('latest')._repr_html_()\n"
        "print([name for name in ('tensorflow', 'kfp', 'pandas', 'apache_beam') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"
