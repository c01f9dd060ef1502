"""One run of the taxi pipeline that many tests share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipelines.project import Done, Project, make_project

STEPS = 200


@dataclass(frozen=True)
class Taxi:
    """A project in which the taxi pipeline ran, and that run."""

    project: Project
    run: Done

    @property
    def pushed(self) -> Path:
        """The version that was pushed."""
        (version,) = (self.project.folder / "served/chicago_taxi").glob("[0-9]*")
        return version


@pytest.fixture(scope="session")
def taxi(tmp_path_factory: pytest.TempPathFactory, taxi_csv: Path) -> Taxi:
    """The taxi pipeline, run once without a cache; tests that change something use a copy of the project."""
    project = make_project(tmp_path_factory.mktemp("taxi"), taxi_csv)
    return Taxi(project, project.run(train_steps=STEPS))


@pytest.fixture
def copy(taxi: Taxi, tmp_path: Path) -> Project:
    """A copy of the project that shares its cache and forks processes that have loaded their libraries."""
    return taxi.project.copy(tmp_path / "project").warm()
