"""The report of a run: its content, comparisons with other runs, and sections that fail."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from components.reports.markup import visible
from taxiway import cli
from taxiway.reports import changes, graph, report, run
from taxiway.storage.home import Home
from tests.components.reports.parsed import HOSTILE, Page, require_safe
from tests.taxiway.reports.homes import PACKAGES, MadeTask, make_run, parts, record

FIRST, SECOND = "taxi-20260101-100000-0000aaaa", "taxi-20260102-100000-1111bbbb"
UPRIGHT = re.compile(r" ([0-9.]+) [0-9.]+V")
"""Where an edge goes straight down beside a row."""
METRICS = {"tfx_type": "ModelEvaluation", "auc": 0.9, "example_count": 5000.0, "provenance": record("1" * 40)}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Home.default()


def _tasks(auc: float = 0.9, commit: str = "1" * 40, **changed: Any) -> dict[str, MadeTask]:
    metrics = {**METRICS, "auc": auc, "provenance": record(commit)}
    pushed = {"pushed": 1, "pushed_destination": "served/taxi/17", "pushed_version": "17"}
    return {
        "train": MadeTask({"model": {"tfx_type": "Model", "digest": "sha256:abcdef0123456789"}}, parts(**changed)),
        "judge": MadeTask(
            {"evaluation": metrics, "blessing": {"blessed": 1, "notes": "a note"}},
            parts(),
            state="CACHED",
            after=["train"],
        ),
        "push": MadeTask({"pushed_model": pushed}, parts(), after=["judge"]),
    }


def _report(home: Home, name: str = "latest", other: str = "") -> Page:
    warnings: list[str] = []
    page = report.page(run.find(name, home), home, warnings.append, run.find(other, home) if other else None)
    assert warnings == []
    return require_safe(page)


def test_the_state_of_a_run_is_shown(home: Home) -> None:
    make_run(home, FIRST, _tasks(), {"steps": 10, "name": "default"})
    page = _report(home)
    assert f"Run of taxi {FIRST} · 2026-01-01 10:00:00 UTC · done, 12.5 s" in page.text
    assert "State ✓ done Time 12.5 s Tasks 3 1 from the cache" in page.text
    assert "Blessing of judge ✓ blessed" in page.text
    assert "Pushed version 17 served/taxi/17" in page.text
    assert "Commit 111111111111" in page.text
    assert "judge a note" in page.text
    assert page.tables["Metrics (2)"].row("auc") == {"Metric": "auc", "This run": "0.9"}
    assert page.tables["Parameters"].rows == [["steps", "10", "given"], ["name", "default", "default"]]
    assert page.tables["Tasks (3)"].row("judge")["State"] == "↺ cached"
    assert page.tables["Artifacts (4)"].row("model")["Digest"] == "abcdef012345"
    assert "This is the first run of the pipeline here" in page.text


def test_metrics_are_compared_with_the_last_five_runs(home: Home) -> None:
    for day in range(1, 9):
        make_run(home, f"taxi-202601{day:02}-100000-0000aaaa", _tasks(auc=day / 10, marker=day))
    make_run(home, "taxi-more-20260109-100000-0000aaaa", _tasks())
    table = _report(home, "taxi-20260108").tables["Metrics (2)"]
    past = [f"01-{day:02} 10:00" for day in (7, 6, 5, 4, 3)]
    assert table.heads == ["Metric", "This run", "Change", "Trend", *past]
    row = table.row("auc")
    assert (row["This run"], row["Change"], *(row[name] for name in past)) == (
        "0.8",
        "+0.1",
        "0.7",
        "0.6",
        "0.5",
        "0.4",
        "0.3",
    )


def test_changes_since_the_last_run_are_shown(home: Home) -> None:
    make_run(home, FIRST, _tasks(), {"steps": 10, "same": "x"})
    data = {"data": {"path": "data/taxi", "content": "sha256:" + "d" * 64}}
    tasks = _tasks(
        commit="2" * 40, code="sha256:" + "e" * 64, named=data, packages=[*PACKAGES[:2], "tensorflow==2.22.0"]
    )
    del tasks["push"]
    make_run(home, SECOND, tasks, {"steps": 20, "same": "x"})
    page = _report(home)
    rows = page.tables["Changes (6)"].rows
    assert ["Parameter", "steps", "10", "20", "all"] in rows
    assert ["Task", "push", "succeeded", "did not run", "push"] in rows
    assert ["Code", "commit", "1" * 12, "2" * 12, "all"] in rows
    assert ["Code", "the stage's code", "a" * 12, "e" * 12, "train"] in rows
    assert ["Packages", "tensorflow", "2.21.0", "2.22.0", "train"] in rows
    [data_row] = [row for row in rows if row[0] == "Data"]
    assert "d" * 12 in data_row[3]
    assert f"Compared with {FIRST}." in page.text


def test_an_unchanged_run_is_reported(home: Home) -> None:
    make_run(home, FIRST, _tasks())
    make_run(home, SECOND, _tasks())
    assert "Nothing: the same parameters, code, data and packages." in _report(home).text
    assert changes.between(run.find(FIRST, home), run.find(SECOND, home)) == []


def test_two_runs_are_shown_side_by_side(home: Home) -> None:
    make_run(home, FIRST, _tasks(auc=0.75), {"steps": 10, "same": "x"})
    make_run(home, SECOND, _tasks(auc=0.5, marker=2), {"same": "x", "steps": 20, "more": "y"})
    page = _report(home, FIRST, SECOND)
    assert f"{FIRST} beside {SECOND}." in page.text
    auc = page.tables["Metrics of both runs"].row("auc")
    assert auc == {"Metric": "auc", "This run": "0.75", "Other run": "0.5", "Difference": "+0.25"}
    assert page.tables["Parameters of both runs"].rows == [
        ["steps", "20", "10"],
        ["more", "y", "–"],
        ["same", "x", "x"],
    ]
    assert [str(each.get("class")) for each in page.all("td")].count("changed") == 2
    assert page.tables["Tasks of both runs"].row("judge")["This run"] == "cached"


def test_a_failed_run_shows_the_error_and_the_end_of_the_log(home: Home) -> None:
    failed = MadeTask(state="FAILED", error="no column 'fare'\n  fix: add <it>")
    log = "\n".join(f"line {number}" for number in range(1000)) + "\n\x1b[31m<script>boom\x1b[0m\n"
    make_run(home, FIRST, {"train": failed}, state="FAILED", log=log)
    page = _report(home)
    assert "train failed. no column 'fare' fix: add <it>" in page.text
    assert "line 999 <script>boom" in page.text
    assert "line 900" not in page.text
    assert page.tables["Tasks (1)"].row("train")["State"] == "✗ failed"


def test_the_stages_of_a_fused_task_are_in_the_graph_and_the_table(home: Home) -> None:
    stages = [
        {"name": "gen", "state": "SUCCEEDED", "seconds": 1.0},
        {"name": "stats", "state": "CACHED", "seconds": 0.1},
    ]
    make_run(home, FIRST, {"fused": MadeTask(stages=stages), "train": MadeTask(after=["fused"])})
    page = _report(home)
    assert page.tables["Tasks (2)"].row("fused: stats")["State"] == "↺ cached"
    picture = str(graph.picture(run.find(FIRST, home)))
    assert "gen 1.0 s" in picture
    assert "stats cached" in picture


def test_the_graph_leaves_out_redundant_edges(home: Home) -> None:
    tasks = {"a": MadeTask(), "b": MadeTask(after=["a"]), "c": MadeTask(after=["a", "b"]), "d": MadeTask(after=["a"])}
    make_run(home, FIRST, tasks)
    pipeline = run.find(FIRST, home).pipeline
    assert pipeline
    assert graph.edges(pipeline) == {"a": set(), "b": {"a"}, "c": {"b"}, "d": {"a"}}
    assert "c after b" in str(graph.picture(run.find(FIRST, home)))


def test_an_edge_goes_around_the_tasks_that_it_passes(home: Home) -> None:
    """From `short` to `last`, beside `second`, which lies in the row between."""
    tasks = {
        "begin": MadeTask(),
        "first": MadeTask(after=["begin"]),
        "short": MadeTask(after=["begin"]),
        "second": MadeTask(after=["first"]),
        "last": MadeTask(after=["second", "short"]),
    }
    make_run(home, FIRST, tasks)
    picture = ET.fromstring(str(graph.picture(run.find(FIRST, home))))
    boxes = [(float(each.get("x", 0)), float(each.get("width", 0))) for each in picture.iter("rect")]
    passing = [float(found[1]) for path in picture.iter("path") if (found := UPRIGHT.search(path.get("d", "")))]
    names = [each.text for each in picture.iter("text") if each.get("class") == "ink strong"]
    left, width = boxes[names.index("second")]
    assert len(passing) == 1
    assert not left < passing[0] < left + width


def test_a_run_without_artifacts_has_a_report(home: Home) -> None:
    make_run(home, FIRST, _tasks(), {"steps": 10})
    shutil.rmtree(home.artifacts)
    page = _report(home)
    assert "None of the run's artifacts is on this machine any more" in page.text
    assert page.tables["Artifacts (4)"].row("model")["Size"] == "gone"
    assert page.tables["Parameters"].row("steps")["Value"] == "10"


def test_a_run_without_a_compiled_pipeline_has_a_report(home: Home) -> None:
    folder = make_run(home, FIRST, _tasks(), {"steps": 10})
    (folder / "pipeline.yaml").unlink()
    assert len(_report(home).tables["Tasks (3)"].rows) == 3


@pytest.mark.parametrize("name", HOSTILE)
def test_untrusted_names_are_escaped(home: Home, name: str) -> None:
    name = name.encode(errors="replace").decode()
    metadata = {"tfx_type": name, name: 0.5, "digest": name, "notes": name, "blessed": 0, "not_blessed": name}
    pushed = {"pushed": 1, "pushed_destination": name, "pushed_version": name, "provenance": record(name)}
    for run_id, value in ((FIRST, name), (SECOND, "other")):
        tasks = {
            "judge": MadeTask(
                {name.replace("/", ""): metadata}, parts(code=value, named={name: value}), title="system.Metrics"
            ),
            "push": MadeTask(
                {"pushed": pushed}, parts(parameters={name: value}), error=name, state="FAILED", after=["judge"]
            ),
        }
        make_run(home, run_id, tasks, {name: value, "long": [name] * 20}, state="FAILED", log=name)
    page = _report(home, SECOND, FIRST)
    shown = " ".join(visible(name).split())
    assert page.tables["Parameters of both runs"].row(shown)["Other run"] == shown
    assert page.text.count(shown) > 15
    assert len(page.all("script")) == 1


def test_a_section_that_fails_is_a_warning(home: Home) -> None:
    make_run(
        home,
        FIRST,
        {"stats": MadeTask({"statistics": {"tfx_type": "ExampleStatistics", "split_names": '["<train>"]'}})},
    )
    warnings: list[str] = []
    page = require_safe(report.page(run.find(FIRST, home), home, warnings.append))
    assert len(warnings) == 1
    assert warnings[0].startswith("statistics of stats cannot be shown: DataError: ")
    assert "This section cannot be shown. DataError: " in page.text
    assert "<train>" in page.text
    assert "Tasks (1)" in page.tables


def test_each_artifact_of_a_type_has_its_own_section(home: Home) -> None:
    schema = {"tfx_type": "Schema"}
    make_run(home, FIRST, {name: MadeTask({"schema": schema}, parts(marker=name)) for name in ("one", "two")})
    for file in home.artifacts.glob("*/*/*/schema"):
        (file / "schema.pbtxt").write_text('feature { name: "fare" type: FLOAT }')
    page = _report(home)
    assert [link["href"] for link in page.all("a") if "schema" in str(link["href"])] == ["#schema", "#schema-2"]
    assert "Schema: one" in page.text
    assert "Schema: two" in page.text


# The command


def _taxiway(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["report", *arguments])


def test_the_command_writes_a_file(home: Home) -> None:
    make_run(home, FIRST, _tasks())
    result = _taxiway("latest", "-o", "out.html")
    assert (result.exit_code, result.stdout) == (0, f"out.html: {FIRST}\n")
    require_safe(Path("out.html").read_text())
    assert sorted(path.name for path in Path().iterdir()) == ["home", "out.html"]
    assert _taxiway(FIRST[:10]).stdout == f"report.html: {FIRST}\n"


def test_a_warning_goes_to_standard_error_and_the_command_succeeds(home: Home) -> None:
    make_run(
        home, FIRST, {"stats": MadeTask({"statistics": {"tfx_type": "ExampleStatistics", "split_names": '["x"]'}})}
    )
    result = _taxiway()
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: statistics of stats cannot be shown")
    assert Path("report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (["nope"], "there is no run 'nope'", "taxiway runs"),
        (["latest", "--compare", "nope"], "there is no run 'nope'", "taxiway runs"),
        (["latest", "-o", "home"], "home is a folder", "-o home/report.html"),
        (["latest", "-o", "no/where.html"], "there is no folder no", "mkdir -p no"),
        (["latest", "-o", "/proc/report.html"], "cannot be written", "-o FILE"),
    ],
)
def test_invalid_arguments_are_refused(home: Home, arguments: list[str], what: str, fix: str) -> None:
    make_run(home, FIRST, _tasks())
    error = _taxiway(*arguments).exception
    assert what in str(error)
    assert fix in str(error).split("fix:")[1]
    assert getattr(error, "exit_status", None) == 2
    assert [path.name for path in Path().iterdir()] == ["home"]


def test_run_ids_are_completed_in_a_shell(home: Home) -> None:
    from taxiway.cli.report import run_ids

    make_run(home, FIRST, {})
    make_run(home, SECOND, {})
    assert run_ids("taxi-") == [SECOND, FIRST]
    assert run_ids("l") == ["latest"]


def test_the_record_that_the_runner_writes_can_be_read(home: Home) -> None:
    """Both sides of `run.json`: a field that one of them renames fails here."""
    from taxiway.runner.call import State
    from taxiway.runs.record import Run, Task
    from taxiway.runs.stages import Stage

    folder = home.runs / FIRST
    folder.mkdir(parents=True)
    task = Task(State.SUCCEEDED, seconds=2, cpu_seconds=1, peak_mb=3, stages=[Stage("one", State.CACHED, 0.5)])
    Run(FIRST, "taxi", folder, tasks={"fused": task}, seconds=5).write({"steps": 1})
    recorded = run.find(FIRST, home)
    assert (recorded.parameters, recorded.state) == ({"steps": 1}, "SUCCEEDED")
    assert recorded.run.tasks["fused"].stages == task.stages
    assert json.loads((folder / "run.json").read_text())["tasks"]["fused"]["seconds"] == 2
