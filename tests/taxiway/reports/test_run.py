"""Runs are found by id, by prefix, or as the latest, and read from their files."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.contract import files
from components.contract.artifacts import ExampleStatistics, ModelEvaluation
from components.contract.errors import UserError
from taxiway.lineage.store import LineageStore
from taxiway.reports import run
from taxiway.storage.home import Home
from tests.taxiway.reports.homes import MadeTask, make_run

OLD, NEW, OTHER = "taxi-20260101-100000-0000aaaa", "taxi-20260102-100000-1111bbbb", "zebra-20251231-235959-2222cccc"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("TAXIWAY_LINEAGE", raising=False)
    found = Home(tmp_path / "home")
    statistics = {"tfx_type": "ExampleStatistics", "digest": "sha256:1"}
    for name in (OLD, NEW, OTHER):
        make_run(found, name, {"stats": MadeTask({"statistics": statistics})}, {"a": "1"})
    return found


def test_a_run_by_id_by_prefix_and_the_latest(home: Home) -> None:
    assert run.find(OLD, home).run.id == OLD
    assert run.find("taxi-20260101", home).run.id == OLD
    assert run.find("z", home).run.id == OTHER
    assert run.find("latest", home).run.id == NEW
    assert run.ids(home) == [OTHER, OLD, NEW]


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("taxi-", rf"beginning of 2 runs:\n  {OLD}\n  {NEW}", "give more of the id"),
        ("taxi-20260102-100000-1111bbbc", "there is no run", f"did you mean {NEW}"),
        ("../runs", "there is no run", "taxiway runs"),
        ("", "there is no run", "taxiway runs"),
    ],
)
def test_an_unknown_run_is_refused(home: Home, name: str, what: str, fix: str) -> None:
    with pytest.raises(UserError, match=what) as raised:
        run.find(name, home)
    assert fix in raised.value.fix


def test_a_home_without_runs_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no runs in"):
        run.find("latest", Home(tmp_path))


def test_a_damaged_record_is_reported_and_skipped(home: Home) -> None:
    for text in ("{", "[]", '{"tasks": {}}', '{"tasks": {"a": 1}}'):
        (home.runs / OLD / "run.json").write_text(text)
        with pytest.raises(UserError, match=r"run.json cannot be read"):
            run.find(OLD, home)
    assert run.earlier(run.find(NEW, home), home, 5) == []


def test_a_run_is_read_with_its_tasks_and_artifacts(home: Home) -> None:
    recorded = run.find(NEW, home)
    assert recorded.started == datetime(2026, 1, 2, 10, tzinfo=UTC)
    assert (recorded.state, recorded.parameters, recorded.run.seconds) == ("SUCCEEDED", {"a": "1"}, 12.5)
    statistics = recorded.run.tasks["stats"].outputs["statistics"]
    assert isinstance(statistics, ExampleStatistics)
    assert recorded.has_artifacts
    assert [each.run.id for each in run.earlier(recorded, home, 5)] == [OLD]
    assert run.earlier(recorded, home, 0) == []


def test_artifacts_are_found_after_the_home_was_moved(home: Home, tmp_path: Path) -> None:
    home.root.rename(tmp_path / "moved")
    recorded = run.find(NEW, Home(tmp_path / "moved"))
    assert recorded.run.tasks["stats"].outputs["statistics"].path.is_relative_to(tmp_path / "moved")
    assert recorded.has_artifacts


def test_deleted_artifacts_are_missing(home: Home) -> None:
    shutil.rmtree(home.artifacts)
    recorded = run.find(NEW, home)
    assert not recorded.has_artifacts
    assert recorded.manifests == {}
    assert list(recorded.run.tasks["stats"].outputs) == ["statistics"]


def test_metrics_of_deleted_artifacts_come_from_the_lineage_store(home: Home) -> None:
    folder = make_run(home, "taxi-20260103-100000-3333dddd", {"judge": MadeTask({"evaluation": {"auc": 0.5}})})
    place = json.loads((folder / "run.json").read_text())["tasks"]["judge"]["outputs"]["evaluation"]
    store = LineageStore.open(home.lineage)
    store.start_run(folder.name, "taxi", {}, datetime.now(UTC))
    store.start_task(folder.name, "judge", "judge", {})
    outputs = {"evaluation": ModelEvaluation(Path(place), {"auc": 0.5, "digest": "sha256:1"})}
    store.finish_task(folder.name, "judge", state="COMPLETE", inputs={}, outputs=outputs)
    shutil.rmtree(home.artifacts)
    assert run.find("latest", home).run.metrics == {"auc": 0.5}


def test_running_and_killed_runs_are_distinguished(home: Home) -> None:
    folder = make_run(home, "taxi-20260103-100000-3333dddd", {}, state="RUNNING")
    assert run.find("latest", home).state == "KILLED"
    with files.locked(folder / "lock"):
        assert run.find("latest", home).state == "RUNNING"
