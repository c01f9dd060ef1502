"""The summary at the end of a run."""

import json
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from rich.console import Console

import taxiway
from components.contract.artifacts import Artifact, Examples, ModelBlessing, ModelEvaluation, PushedModel
from taxiway.dsl import ExampleGen
from taxiway.runner.call import State
from taxiway.runs import stages
from taxiway.runs.progress import Lines, LiveTable, Observer, summary
from taxiway.runs.record import Run, Task

OUTPUT_FILE = "{{$.outputs.output_file}}"


@pytest.mark.parametrize(
    ("destination", "shown"),
    [
        ("s3://models/taxi/7", "s3://models/taxi/7"),
        ("{here}/served/taxi/7", "served/taxi/7"),
        ("/models/taxi/7", "/models/taxi/7"),
    ],
)
def test_the_destination_of_a_push_is_shown(
    destination: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pushed, place = PushedModel(tmp_path), destination.format(here=tmp_path)
    pushed.summarize("pushed", place)
    pushed.propose("lineage", place)
    summary = shown_of(tmp_path, pusher={"pushed_model": pushed})
    assert f"  pushed    {shown}\n" in summary
    assert f"taxiway lineage {shown}\n" in summary


def made(folder: Path, **tasks: dict[str, Artifact]) -> Run:
    done = {name: Task(State.SUCCEEDED, outputs) for name, outputs in tasks.items()}
    return Run("taxi-1", "taxi", folder, tasks=done)


def shown_of(folder: Path, **tasks: dict[str, Artifact]) -> str:
    """The summary of a run whose tasks left these artifacts."""
    console = Console(width=1000)
    with console.capture() as captured:
        console.print(summary(made(folder, **tasks)))
    return captured.get()


def judged(folder: Path, metrics: dict[str, Any], verdict: str) -> dict[str, Artifact]:
    blessing = ModelBlessing(folder)
    blessing.summarize("blessing", verdict)
    return {"evaluation": ModelEvaluation(folder, metrics), "blessing": blessing}


def test_a_single_evaluation_is_shown_without_its_name(tmp_path: Path) -> None:
    tasks = {"evaluator": judged(tmp_path, {"auc": 0.75, "tfx_version": "1", "whole": True}, "blessed")}
    assert made(tmp_path, **tasks).metrics == {"auc": 0.75}
    summary = shown_of(tmp_path, **tasks)
    assert "  metrics   auc 0.75\n  blessing  blessed\n" in summary


def test_two_evaluations_are_shown_with_their_names(tmp_path: Path) -> None:
    tasks = {
        "by-day": judged(tmp_path, {"auc": 0.75, "recall": 0.25}, "blessed"),
        "by-city": judged(tmp_path, {"auc": 0.5}, "not blessed: auc 0.5 is low"),
    }
    assert made(tmp_path, **tasks).metrics == {"by-day.auc": 0.75, "recall": 0.25, "by-city.auc": 0.5}
    summary = shown_of(tmp_path, **tasks)
    assert "  metrics   by-day: auc 0.75, recall 0.25\n  metrics   by-city: auc 0.5\n" in summary
    assert "  blessing  by-day: blessed\n  blessing  by-city: not blessed: auc 0.5 is low\n" in summary


def test_metadata_of_other_components_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubeflow's own metrics, and a summary and a next step in the metadata of an artifact."""

    @dsl.container_component
    def judge(metrics: dsl.Output[dsl.Metrics], report: dsl.Output[dsl.Artifact]):
        output = {
            "artifacts": {
                "metrics": {"artifacts": [{"name": "metrics", "metadata": {"rmse": 0.5}}]},
                "report": {
                    "artifacts": [
                        {
                            "name": "report",
                            "metadata": {
                                "summary": json.dumps([["report", str(tmp_path / "report.html")], ["rows", "17"]]),
                                "next_step": json.dumps(["lineage", str(tmp_path / "a b")]),
                            },
                        }
                    ]
                },
            }
        }
        return dsl.ContainerSpec(
            image="judge", command=["sh", "-c", 'printf %s "$0" > $1'], args=[json.dumps(output), OUTPUT_FILE]
        )

    @dsl.pipeline(name="strange")
    def strange():
        judge()

    monkeypatch.chdir(tmp_path)
    run = taxiway.run(strange, home=tmp_path / "home", observer=Observer())
    assert run.metrics == {"rmse": 0.5}
    console = Console(width=1000)
    with console.capture() as captured:
        console.print(summary(run))
    assert captured.get().splitlines()[2:] == [
        "  metrics   rmse 0.5",
        "  report    report.html",
        "  rows      17",
        "  next      taxiway lineage 'a b'",
    ]


def test_the_last_line_says_how_to_see_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path))
    monkeypatch.setenv("TAXIWAY_COMMAND", "bin/taxiway")
    folder = tmp_path / "runs" / "taxi-1"
    folder.mkdir(parents=True)
    run = made(folder)
    run.write({})
    console = Console(width=1000)
    for state in (State.SUCCEEDED, State.FAILED, State.CANCELED):
        run.state = state
        with console.capture() as captured:
            console.print(summary(run))
        assert captured.get().splitlines()[-1] == "  page      bin/taxiway ui taxi-1"
    # A run in another home has no page that this command would find.
    assert "page" not in shown_of(tmp_path / "elsewhere" / "runs" / "taxi-1")


def test_notes_of_any_artifact_are_shown(tmp_path: Path) -> None:
    examples, custom = Examples(tmp_path), Artifact(tmp_path)
    examples.note("column 'a' is bytes\nsince row 1")
    examples.note("a space is part of 'b '")
    custom.note("mine")
    summary = shown_of(tmp_path, gen={"examples": examples}, own={"out": custom})
    assert "  note      gen: column 'a' is bytes since row 1\n  note      gen: a space is part of 'b '\n" in summary
    assert "  note      own: mine\n" in summary


def test_notes_are_few_and_short() -> None:
    artifact = Artifact(Path())
    for number in range(50):
        artifact.note(f"{number}" * 1000)
    assert len(artifact.notes) == 20
    assert max(map(len, artifact.notes)) == 500
    assert artifact.notes[-1] == "more notes were left out; the log has all of them"


def test_rows_are_in_execution_order(tmp_path: Path) -> None:
    console = Console(width=100, force_terminal=True, color_system=None)
    table, run = LiveTable(console), made(tmp_path)
    with console.capture():
        table.run_started(run, ["a", "b", "loop", "c", "d"])
        for name in ("c", "loop[1]", "a", "loop[0]", "c"):
            table.task_started(name)
        for name in ("c", "loop[0]", "loop[1]"):
            table.task_finished(name, Task(State.SUCCEEDED))
        table.run_finished(run)
    with console.capture() as captured:
        console.print(table._render())
    rows = [line.split()[1] for line in captured.get().splitlines()]
    assert rows == ["c", "loop[1]", "a", "loop[0]", "b", "d"]


def test_notes_of_cached_stages_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dsl.pipeline(name="noted")
    def noted(data: str):
        ExampleGen(input_path=data, splits={"train": 1}, allow_unversioned=True)

    (tmp_path / "trips.csv").write_text("fare;tips\n1;2\n")
    monkeypatch.chdir(tmp_path)
    for state in (State.SUCCEEDED, State.CACHED):
        run = taxiway.run(noted, home=tmp_path / "home", observer=Observer(), data="trips.csv")
        assert run.tasks["example-gen"].state == state
        console = Console(width=1000)
        with console.capture() as captured:
            console.print(summary(run))
        proposed = f"{tmp_path}/trips.csv has one column, 'fare;tips'; if ';' separates several, set delimiter=';'"
        assert f"  note      example-gen: {proposed}\n" in captured.get()


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        ({"path": "data/mine.csv"}, "data/mine.csv is not versioned; to version it: bin/dvc add data/mine.csv"),
        ({"path": "data/a b/*.csv"}, "data/a b/*.csv is not versioned; to version it: bin/dvc add 'data/a b'"),
        ({"path": "data/mine.csv", "difference": {"found": "1"}}, "data/mine.csv is not versioned"),
        ({"path": "s3://bucket/a.csv"}, "s3://bucket/a.csv is not versioned"),
        ({"path": "data/mine.csv", "versioned": True}, ""),
    ],
)
def test_unversioned_data_are_reported(
    record: dict[str, object], shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (".dvc", "bin", "data/a b"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("bin/dvc", "data/mine.csv"):
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAXIWAY_COMMAND", "bin/taxiway")
    provenance = {"data": {"versioned": False, **record}}
    examples = Examples(tmp_path, {"provenance": json.dumps(provenance)})
    run = Run("mine-1", "mine", tmp_path, tasks={"example-gen": Task(State.SUCCEEDED, {"examples": examples})})
    console = Console(width=200)
    with console.capture() as captured:
        console.print(summary(run))
    lines = [line for line in captured.get().splitlines() if line.startswith("  data ")]
    assert lines == ([f"  data      {shown}"] if shown else [])


LOG = """==> fetch, 1 of 3
    fetch was cached, 0.1 s
==> judge, 2 of 3
judging
    judge took 2.5 s
==> push, 3 of 3
"""


def test_the_stages_of_a_fused_task_have_rows_below_it(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    console = Console(width=80, force_terminal=True, color_system=None)
    with console.capture() as captured:
        table = LiveTable(console)
        table.run_started(made(tmp_path), ["fetch-to-push", "other"])
        table.task_started("fetch-to-push")
        table.task_launched("fetch-to-push")
        table.task_reported("fetch-to-push", stages.read(tmp_path / "log"))
        table.task_finished("fetch-to-push", _fused(tmp_path))
        table.run_finished(made(tmp_path))
    rows = [" ".join(line.split()) for line in captured.get().splitlines()]
    assert "fetch 0.1 s ✓ cached" in rows
    assert "judge 2.5 s ✓ done" in rows
    assert "push 0.0 s ✗ failed" in rows


def _fused(folder: Path) -> Task:
    log = folder / "log"
    return Task(State.FAILED, seconds=3.0, error="no", log=log, stages=stages.read(log, State.FAILED))


def test_each_stage_of_a_fused_task_has_one_progress_line(tmp_path: Path) -> None:
    console = Console(width=80)
    (tmp_path / "log").write_text(LOG)
    with console.capture() as captured:
        lines = Lines(console)
        for _ in range(2):
            lines.task_reported("fetch-to-push", stages.read(tmp_path / "log"))
    expected = "fetch-to-push: fetch cached in 0.1 s\nfetch-to-push: judge done in 2.5 s\n"
    assert captured.get() == expected


def test_the_summary_counts_stages_and_names_the_one_that_failed(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG)
    tasks = {"trainer": Task(State.SUCCEEDED), "fetch-to-push": _fused(tmp_path)}
    run = Run("taxi-1", "taxi", tmp_path, State.FAILED, tasks=tasks, error="no")
    console = Console(width=200)
    with console.capture() as captured:
        console.print(summary(run))
    assert "(2 done, 1 cached, 1 failed)" in captured.get()
    assert "fetch-to-push failed in push\n" in captured.get()
    run.write({})
    written = json.loads((tmp_path / "run.json").read_text())["tasks"]
    assert written["fetch-to-push"]["stages"] == [
        {"name": "fetch", "state": "CACHED", "seconds": 0.1},
        {"name": "judge", "state": "SUCCEEDED", "seconds": 2.5},
        {"name": "push", "state": "FAILED", "seconds": 0.0},
    ]
    assert "stages" not in written["trainer"]


def test_the_log_of_a_retried_task_shows_its_last_attempt(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(LOG + "error: no\n==> fetch, 1 of 3\n    skipped: it does not hold\n")
    assert stages.read(tmp_path / "log") == [stages.Stage("fetch", State.SKIPPED, 0.0)]


def test_a_log_is_followed_to_its_end(tmp_path: Path) -> None:
    seen: list[list[stages.Stage]] = []
    (tmp_path / "log").write_text("==> fetch, 1 of 3\n")
    watch = stages.Watch(tmp_path / "log", seen.append)
    (tmp_path / "log").write_text(LOG)
    watch.stop()
    assert [each.name for each in seen[-1]] == ["fetch", "judge", "push"]
