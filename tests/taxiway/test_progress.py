"""What is shown at the end of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from components.artifacts import PushedModel
from taxiway.progress import summary
from taxiway.runner.graph import State
from taxiway.session import Run, Task


@pytest.mark.parametrize(
    ("destination", "shown"),
    [
        ("s3://models/taxi/7", "s3://models/taxi/7"),
        ("{here}/served/taxi/7", "served/taxi/7"),
        ("/models/taxi/7", "/models/taxi/7"),
    ],
)
def test_where_a_model_was_pushed_to(
    destination: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pushed = PushedModel(tmp_path, {"pushed": 1, "pushed_destination": destination.format(here=tmp_path)})
    run = Run("taxi-1", "taxi", tmp_path, tasks={"pusher": Task(State.SUCCEEDED, {"pushed_model": pushed})})
    console = Console(width=100)
    with console.capture() as captured:
        console.print(summary(run))
    assert f"  pushed    {shown}\n" in captured.get()
    assert f"taxiway lineage {shown}\n" in captured.get()
