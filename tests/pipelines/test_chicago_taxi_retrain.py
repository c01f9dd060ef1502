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


def test_a_model_that_is_better_on_recent_trips_is_pushed(project: Project, taxi_csv: Path) -> None:
    project.run(train_steps=STEPS)
    [champion] = (project.folder / "served/chicago_taxi").glob("[0-9]*")
    recorded = Recorded(project.folder / "tables")
    recorded.trips(drifted(read_trips(taxi_csv)[:3000]))
    done = retrain(project, recorded)
    comparison = json.loads((done.path("judge", "comparison") / "comparison.json").read_text())
    assert comparison["verdict"] == "better", comparison["reason"]
    versions = {path.name for path in (project.folder / "served/chicago_taxi").glob("[0-9]*")}
    assert len(versions - {champion.name}) == 1
