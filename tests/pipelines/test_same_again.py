"""The same data, code and parameters give the same artifacts in two runs without a cache, each in its own home."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.conftest import Taxi
from tests.pipelines.project import Done, Project

TFX_MODULE = "tfx.examples.chicago_taxi_pipeline.taxi_utils_native_keras"


def digests(done: Done) -> dict[str, str]:
    return done.digests(*done.states)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["pipelines.chicago_taxi.model", TFX_MODULE], ids=["ours", "TFX's"])
def test_two_uncached_runs_give_the_same_artifacts(taxi: Taxi, tmp_path: Path, module: str) -> None:
    one, other = (
        _run(taxi.project.copy(tmp_path / name / "project", home=tmp_path / f"home_of_{name}"), module)
        for name in ("one", "another")
    )
    assert digests(one) == digests(other)
    assert digests(one).keys() >= {"trainer.model", "trainer.model_run", "evaluator.evaluation", "pusher.pushed_model"}


def _run(project: Project, module: str) -> Done:
    return project.taxiway(
        "run", "--no-cache", "--json", "chicago_taxi", "--param=train_steps=100", f"--param=module={module}"
    )


def test_the_lineage_records_deterministic_training(taxi: Taxi) -> None:
    shown = taxi.project.taxiway("lineage", str(taxi.pushed)).printed
    assert "made deterministically, seed 0" in shown
