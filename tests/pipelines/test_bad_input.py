"""Errors in a user's data, settings or code, through the command line on the taxi pipeline.

Each ends with exit status 2 and a text that names the place and how to fix it, and leaves nothing half-written.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pipelines.chicago_taxi.eval_config import EVAL_CONFIG
from taxiway.storage.home import Home
from tests.pipelines.conftest import STEPS, Taxi
from tests.pipelines.project import DATA_STAGES, EARLY, Done, Project

MODEL = "pipelines/chicago_taxi/model.py"
TRIPS = "data/chicago_taxi/data.csv"
CACHED = f"train_steps={STEPS}"
QUICK = "train_steps=5"


def refused(project: Project, *arguments: str) -> Done:
    """Runs a command that fails because of the user's input and leaves nothing half-written."""
    pushed = set(project.folder.glob("served/*/*"))
    result = project.taxiway(*arguments, status=2)
    assert project.half_written() == []
    assert set(project.folder.glob("served/*/*")) == pushed
    assert "Traceback" not in result.shown
    return result


def run(project: Project, *parameters: str, pipeline: str = "chicago_taxi") -> Done:
    """A failing run, with the cache of the taxi run."""
    options = [f"--param={parameter}" for parameter in parameters]
    done = refused(project, "run", "--json", pipeline, *options)
    assert f"resume    taxiway run --json {pipeline}" in done.shown
    return done


def failed(done: Done) -> str:
    """The only task that failed."""
    (task,) = (name for name, state in done.states.items() if state == "FAILED")
    assert f"\n{task} failed\n" in done.shown
    assert f"log: .taxiway/runs/{done.record['run']}/logs/{task}.log" in done.shown or "log: /" in done.shown
    return task


# Before anything runs


def test_an_unknown_pipeline_suggests_a_similar_name(copy: Project) -> None:
    shown = refused(copy, "run", "chicago_taxy").shown
    assert (
        f"there is no pipeline 'chicago_taxy' in {copy.folder}/pipelines\n  fix: did you mean 'chicago_taxi'?" in shown
    )


def test_an_unknown_parameter_suggests_a_similar_name(copy: Project) -> None:
    shown = refused(copy, "run", "chicago_taxi", "--param=train_step=5").shown
    assert "chicago-taxi has no parameter 'train_step'\n  fix: did you mean 'train_steps'?" in shown


def test_a_parameter_of_the_wrong_type_is_refused(copy: Project) -> None:
    shown = refused(copy, "run", "chicago_taxi", "--param=train_steps=many").shown
    assert "the parameter 'train_steps' takes a number_integer, not 'many'" in shown


def test_a_damaged_lineage_store_is_refused(taxi: Taxi, tmp_path: Path) -> None:
    project = taxi.project.copy(tmp_path / "project", home=tmp_path / "home")
    project.home.mkdir()
    (project.home / "lineage.db").write_text("not a database, and long enough to have a header\n" * 100)
    shown = refused(project, "run", "chicago_taxi").shown
    store = Home(project.home).lineage
    assert f"the lineage store {store} is damaged or not an SQLite file" in shown
    assert f"fix: move it away: mv {store} {store}.damaged" in shown
    assert not list(project.home.glob("artifacts/*/*/*"))


# Data


def test_data_that_differ_from_their_dvc_file_are_refused(copy: Project) -> None:
    copy.edit(TRIPS, "Cash", "Crash")
    done = run(copy)
    assert failed(done) == "example-gen"
    assert re.search(
        r"data differs from data\.dvc: expected 30df3fd1676e2609cb19a36213cbc1d7\.dir, found [0-9a-f]{32}\.dir "
        r"\(data/chicago_taxi/data\.csv is changed\)\n"
        r" +fix: `dvc checkout --force data/chicago_taxi/data\.csv` restores the tracked data; "
        r"`dvc add data/chicago_taxi/data\.csv` accepts the current data; "
        r"or accept the data unversioned: --param allow_unversioned=true",
        done.shown,
    )
    assert list(done.states) == ["example-gen"]


def test_other_files_beside_the_trips_are_ignored(copy: Project) -> None:
    (copy.folder / "data/mine.csv").write_text("fare\n1\n")
    assert copy.taxiway("check", "chicago_taxi").printed == "chicago_taxi: nothing wrong found\n"
    assert copy.run(train_steps=STEPS).states["example-gen"] == "CACHED"


def test_check_reports_data_that_differ(copy: Project) -> None:
    copy.edit(TRIPS, "Cash", "Crash")
    output = refused(copy, "check", "chicago_taxi").printed
    assert output.startswith("example-gen: data differs from data.dvc: expected 30df3fd")


def test_a_ragged_row_is_reported_with_file_and_line(copy: Project) -> None:
    lines = (copy.folder / TRIPS).read_text().splitlines()
    (copy.folder / TRIPS).unlink()
    (copy.folder / TRIPS).write_text("\n".join([*lines[:7], lines[7] + ",1", *lines[8:]]))
    done = run(copy, "allow_unversioned=true")
    assert failed(done) == "example-gen"
    assert re.search(rf"{TRIPS}\D+line 8\D", done.shown)


def test_an_anomaly_is_reported_with_feature_reason_and_value(taxi: Taxi, copy: Project) -> None:
    text = (taxi.run.path("schema-gen", "schema") / "schema.pbtxt").read_text()
    assert 'value: "Cash"' in text
    (copy.folder / "schema.pbtxt").write_text(re.sub(r' *value: "Cash"\n', "", text))
    done = run(copy, "schema_file=schema.pbtxt", pipeline=EARLY)
    assert failed(done) == "example-validator"
    for split in ("train", "eval"):
        assert re.search(rf"{split}: payment_type: Unexpected string values: .* schema: Cash \(~\d\d%\)", done.shown)
    assert "fix: correct the data, or widen the schema" in done.shown
    assert "anomalies" not in json.dumps(done.record["tasks"]["example-validator"]["outputs"])


# Modules


def test_a_module_without_run_fn_is_refused(copy: Project) -> None:
    copy.edit(MODEL, "def run_fn", "def run_function")
    output = refused(copy, "check", "chicago_taxi").printed
    assert output == f"trainer: {copy.folder / MODEL} defines no run_fn; did you mean run_function?\n"
    done = run(copy, QUICK)
    assert failed(done) == "trainer"
    assert f"{copy.folder / MODEL} defines no run_fn\n" in done.shown
    assert "fix: define run_fn there (it has " in done.shown
    # Tasks that do not depend on run_fn are cache hits.
    assert {done.states[task] for task in DATA_STAGES} == {"CACHED"}


def test_the_error_of_a_module_ends_in_the_users_line(copy: Project) -> None:
    line = '    raise KeyError("no such column: tip")'
    copy.edit(MODEL, "    settings = SETTINGS |", f"{line}\n    settings = SETTINGS |")
    number = (copy.folder / MODEL).read_text().splitlines().index(line) + 1
    done = run(copy, QUICK)
    assert failed(done) == "trainer"
    assert (
        "  model.py raised KeyError: 'no such column: tip'\n"
        f'    File "{copy.folder / MODEL}", line {number}, in run_fn\n'
        f"      {line.strip()}\n"
        "  log: "
    ) in done.shown


def test_a_loss_that_becomes_nan_is_reported(copy: Project) -> None:
    copy.edit(MODEL, '"learning_rate": 0.002', '"learning_rate": float("nan")')
    done = run(copy, QUICK)
    assert failed(done) == "trainer"
    assert re.search(r"the loss became NaN: \d+ of the trained model's variables hold NaN", done.shown)
    assert "fix: lower the learning rate" in done.shown


def test_a_label_that_is_missing_in_the_evaluation_is_reported(copy: Project) -> None:
    config = json.dumps(EVAL_CONFIG).replace('"tips_xf"', '"big_tip"')
    done = run(copy, CACHED, f"eval_config={config}")
    assert failed(done) == "evaluator"
    assert re.search(r"label.*'big_tip'", done.shown)
    assert "fix: " in done.shown


# The destination


@pytest.mark.parametrize("destination", ["notes.txt/models", "/proc/models"])
def test_a_destination_that_cannot_be_written_is_refused(copy: Project, destination: str) -> None:
    (copy.folder / "notes.txt").write_text("a file\n")
    done = run(copy, CACHED, f"destination={destination}")
    assert failed(done) in {"baseline", "pusher"}
    assert destination in done.shown
    assert "fix: " in done.shown
    assert (copy.folder / "notes.txt").read_text() == "a file\n"
