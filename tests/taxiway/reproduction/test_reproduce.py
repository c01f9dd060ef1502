"""`taxiway reproduce` in a separate project: a commit, its data, and the original and reproduced results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from components.execution.provenance import PROVENANCE_FILE
from tests.pipelines.project import Project

PIPELINE = '''
"""From rows to examples."""

from kfp import dsl

from taxiway.dsl import ExampleGen


@dsl.pipeline(name="rows")
def rows(delimiter: str = ","):
    """Reads rows."""
    ExampleGen(input_path="data/rows.csv", split_hash="values", delimiter=delimiter)
'''


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A Git repository with a pipeline and its data, and a run of it."""
    folder = tmp_path / "project"
    (folder / "pipelines/rows").mkdir(parents=True)
    (folder / "pipelines/rows/pipeline.py").write_text(PIPELINE)
    (folder / "data").mkdir()
    (folder / "data/rows.csv").write_text("a,b\n" + "".join(f"{i},{i * i}\n" for i in range(200)))
    (folder / ".gitignore").write_text(".taxiway/\n")
    created = Project(folder, folder / ".taxiway")
    created.git("init", "--quiet")
    _commit(created)
    return created


def _commit(project: Project) -> str:
    project.git("add", "--all")
    project.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--allow-empty", "-m", "now")
    return project.git("rev-parse", "HEAD").strip()


def _examples(project: Project) -> Path:
    return project.run("rows").path("example-gen", "examples")


def _reproduced(project: Project, target: str | Path, status: int = 0) -> dict[str, object]:
    return dict(json.loads(project.taxiway("reproduce", "--json", str(target), status=status).printed))


@pytest.mark.slow
def test_artifacts_are_reproduced_from_an_earlier_commit(project: Project) -> None:
    examples, first = _examples(project), project.git("rev-parse", "HEAD").strip()
    (project.folder / "pipelines/rows/pipeline.py").write_text("raise SystemExit('another pipeline')\n")
    (project.folder / "data/rows.csv").write_text("a\n1\n")
    _commit(project)
    comparison = _reproduced(project, examples)
    [stage] = comparison["stages"]  # type: ignore[misc]
    assert (comparison["equal"], comparison["commit"], stage["state"]) == (True, first, "equal")
    shown = project.taxiway("reproduce", str(examples)).printed
    assert "example-gen  equal   examples sha256:" in shown
    assert shown.endswith("everything is equal\n")
    # No folder, worktree or branch is left.
    assert list(Path(tempfile.gettempdir()).glob("taxiway-reproduce-*")) == []
    assert project.git("worktree", "list").count("\n") <= 1
    assert project.git("status", "--porcelain") == ""


@pytest.mark.slow
def test_another_checkout_reproduces_from_the_files_alone(project: Project, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", project.folder, tmp_path / "clone"], check=True)
    clone = Project(tmp_path / "clone", tmp_path / "clone/.taxiway")
    assert _reproduced(clone, _examples(project))["equal"] is True
    # A commit that the clone lacks is fetched, and the clone is not changed.
    (project.folder / "data/rows.csv").write_text("a,b\n1,2\n3,4\n5,6\n7,8\n9,0\n")
    later, before = _commit(project), clone.git("rev-parse", "HEAD")
    comparison = _reproduced(clone, _examples(project))
    assert (comparison["equal"], comparison["commit"]) == (True, later)
    assert clone.git("rev-parse", "HEAD") == before
    has = subprocess.run(["git", "-C", clone.folder, "cat-file", "-e", later], capture_output=True, check=False)
    assert has.returncode != 0


def test_the_first_difference_is_reported_with_its_reason(project: Project) -> None:
    examples = _examples(project)
    file = examples / PROVENANCE_FILE
    records = json.loads(file.read_text())
    records[0]["digest"] = "sha256:" + "0" * 64
    records[0]["environment"]["packages"]["pyarrow"] = "1.0"
    elsewhere = project.folder.parent / "pushed"
    elsewhere.mkdir()
    (elsewhere / PROVENANCE_FILE).write_text(json.dumps(records))
    comparison = _reproduced(project, elsewhere, status=1)
    [stage] = comparison["stages"]  # type: ignore[misc]
    assert stage["state"] == "differs"
    assert [reason.split(",")[0] for reason in stage["reasons"]] == ["pyarrow was 1.0"]
    shown = project.taxiway("reproduce", str(elsewhere), status=1).printed
    assert "example-gen is the first stage that differs:\n  pyarrow was 1.0, is now " in shown


def test_missing_data_and_unknown_commits_are_refused(project: Project, tmp_path: Path) -> None:
    examples = _examples(project)
    records = json.loads((examples / PROVENANCE_FILE).read_text())
    for name, change, message in (
        ("data", {"path": "data/gone.csv", "content": "sha256:1"}, "error: the data of example_gen no longer exists: "),
        (
            "code",
            {"commit": "1" * 40},
            f"error: neither {project.folder} nor its remotes contain the commit {'1' * 40}",
        ),
        ("code", {"commit": ""}, "error: the lineage contains no commit"),
    ):
        place = tmp_path / f"{name}{len(change)}{change.get('commit', '')[:1]}"
        place.mkdir()
        changed = [{**records[0], name: {**records[0][name], **change}}]
        (place / PROVENANCE_FILE).write_text(json.dumps(changed))
        assert message in project.taxiway("reproduce", str(place), status=2).shown
    environment = {**os.environ, **project.variables()}
    lost = Project(tmp_path, tmp_path / ".taxiway", environment)
    assert "is not in a Git repository" in lost.taxiway("reproduce", str(examples), status=2).shown


@pytest.mark.slow
def test_data_that_dvc_keeps_are_taken_from_its_cache_at_that_commit(project: Project) -> None:
    project.git("rm", "--quiet", "--cached", "-r", "data")
    project.dvc("init", "--quiet")
    project.dvc("add", "--quiet", "data")
    _commit(project)
    examples = _examples(project)
    (project.folder / "data/rows.csv").write_text("a\n1\n")
    project.dvc("add", "--quiet", "data")
    _commit(project)
    assert _reproduced(project, examples)["equal"] is True
    shutil.rmtree(project.folder / ".dvc/cache")
    assert "the data of example_gen no longer exists" in project.taxiway("reproduce", str(examples), status=2).shown


def test_a_killed_reproduction_leaves_nothing_behind(project: Project, tmp_path: Path) -> None:
    examples, temporary = _examples(project), tmp_path / "temporary"
    temporary.mkdir()
    process = replace(project, environment={"TMPDIR": str(temporary)}).start("reproduce", str(examples))
    _wait_until(lambda: bool(list(temporary.glob("taxiway-reproduce-*/home/runs"))))
    process.kill()
    process.communicate()
    _wait_until(lambda: not list(temporary.glob("taxiway-reproduce-*")))


def _wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
