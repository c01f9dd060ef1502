"""What is shown at the end of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from components.artifacts import Examples, PushedModel
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


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        ({"path": "data/mine.csv"}, "data/mine.csv is not versioned; this versions it: bin/dvc add data/mine.csv"),
        ({"path": "data/a b/*.csv"}, "data/a b/*.csv is not versioned; this versions it: bin/dvc add 'data/a b'"),
        ({"path": "data/mine.csv", "difference": {"found": "1"}}, "data/mine.csv is not versioned"),
        ({"path": "s3://bucket/a.csv"}, "s3://bucket/a.csv is not versioned"),
        ({"path": "data/mine.csv", "versioned": True}, ""),
    ],
)
def test_data_that_nobody_can_name_later_are_told(
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
