"""The taxi pipeline fused into three tasks has the same outputs as with ten."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.conftest import STEPS, Taxi
from tests.pipelines.project import Done, Project

# Paths hold the project's folder, and versions the time.
_SAME = ("stage", "stage_version", "inputs", "output", "type", "digest")


def _records(done: Done) -> dict[str, Any]:
    """The chain of records behind the pushed model, by stage and output."""
    [pushed] = [name for name in done.record["tasks"] if any("pushed_model" in out for out in _outputs(done, name))]
    [output] = [name for name in _outputs(done, pushed) if name.endswith("pushed_model")]
    chain = json.loads((done.path(pushed, output) / "provenance.json").read_text())
    return {f"{record['stage']}.{record['output']}": {key: record[key] for key in _SAME} for record in chain}


def _outputs(done: Done, task: str) -> list[str]:
    return list(done.record["tasks"][task]["outputs"])


@pytest.mark.slow
def test_three_fused_tasks_have_the_outputs_of_ten(taxi: Taxi, tmp_path: Path) -> None:
    project: Project = taxi.project.copy(tmp_path / "project")
    project.taxiway("compile", "chicago_taxi", "--fuse", "-o", "fused.yaml")
    done = project.run(pipeline="fused.yaml", train_steps=STEPS)
    assert done.status == 0, done.shown
    assert set(done.states) == {"example-gen-to-transform", "trainer", "baseline-to-pusher"}
    assert done.record["tasks"]["baseline-to-pusher"]["parameters"]["evaluator__blessed"] is True
    # It has the inputs that it has as a single task.
    assert done.states["trainer"] == "CACHED"
    single, together = _digests(taxi.run), _digests(done)
    assert single.keys() == together.keys()
    # One contains measured latencies.
    assert {name for name in single if single[name] != together[name]} <= {"infra_validator__blessing"}
    assert _records(done) == _records(taxi.run)


def _digests(done: Done) -> dict[str, str]:
    """The digests of all outputs, by the names that a fused task gives them."""
    found = done.digests(*done.record["tasks"]).items()
    return {name.partition(".")[2] if "__" in name else _fused_name(name): digest for name, digest in found}


def _fused_name(name: str) -> str:
    return name.replace("-", "_").replace(".", "__")
