"""The pipeline that trains the taxi model again on recorded requests, and pushes it only if it is better in use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.components.inference_example_gen.recorded import Recorded, read_trips
from tests.pipelines.conftest import Taxi
from tests.pipelines.project import Done, Project

STEPS = 200


def drifted(trips: pa.Table) -> pa.Table:
    """The trips after the payment types got other names, which the champion has never seen."""
    names = pa.array([f"type {name}" for name in trips["payment_type"].to_pylist()])
    return trips.set_column(trips.column_names.index("payment_type"), "payment_type", names)


@pytest.fixture
def project(taxi: Taxi, tmp_path: Path) -> Project:
    """A project with a champion and its own tables."""
    return taxi.project.copy(tmp_path / "project").warm()


def retrain(project: Project, recorded: Recorded, **parameters: Any) -> Done:
    given = {"tables": str(recorded.tables), "train_steps": STEPS, **recorded.window, **parameters}
    return project.run("chicago_taxi_retrain", **given)


def versions(project: Project) -> list[Path]:
    return sorted((project.folder / "served/chicago_taxi").glob("[0-9]*"))


def test_a_model_that_is_better_on_recent_trips_is_pushed_and_its_lineage_says_why(
    project: Project, taxi_csv: Path
) -> None:
    project.run(train_steps=STEPS)
    [champion] = versions(project)
    trips = drifted(read_trips(taxi_csv))
    recorded = Recorded(project.folder / "tables")
    recorded.trips(trips[:3000])
    window = recorded.window
    done = retrain(project, recorded)
    comparison = json.loads((done.path("judge", "comparison") / "comparison.json").read_text())
    assert comparison["verdict"] == "better", comparison["reason"]
    [_, pushed] = versions(project)
    assert champion in versions(project)
    lineage = project.lineage(pushed)
    [requests] = [each for each in lineage["data"] if each.get("window")]
    assert requests["window"] == list(window.values())
    assert comparison["reason"] in (pushed / "model_card.md").read_text().replace("\\", "")
    verdict = f"better: {comparison['reason']}"
    assert verdict in [each.get("verdict") for each in lineage["records"]]
    # New requests outside of the window change the tables and not the examples: nothing is trained.
    recorded.trips(trips[3000:3100])
    again = retrain(project, recorded, **window)
    assert again.ran == {"inference-example-gen", "baseline"}
    assert versions(project) == [champion, pushed]


@pytest.mark.slow
def test_a_model_that_is_not_better_enough_is_not_pushed_and_the_reason_is_recorded(
    project: Project, taxi_csv: Path
) -> None:
    """Trained on what the champion knows already."""
    project.run(train_steps=STEPS)
    recorded = Recorded(project.folder / "tables")
    recorded.trips(read_trips(taxi_csv)[:600])
    done = retrain(project, recorded, champion=int(versions(project)[0].name), least_gain=0.2)
    assert done.record["state"] == "SUCCEEDED"
    reason = (done.path("pusher", "pushed_model") / "NOT_PUSHED").read_text()
    assert "the judge did not bless the model: undecided: " in reason and "more than 0.2" in reason
    assert len(versions(project)) == 1
