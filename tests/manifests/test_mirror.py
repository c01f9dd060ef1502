"""The copier of the s3 overlay, with a real S3 API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from components.contract.digests import tree_digest
from components.contract.errors import DataError
from components.execution.pushed_models import open_destination, versions
from taxiway.versions.retirement import retire
from tests import scripts
from tests.components.models import make_history
from tests.conftest import run_stage_in
from tests.manifests.objects import MANIFESTS

MIRROR = MANIFESTS / "components/s3/mirror.py"
MODEL = "chicago_taxi"


@pytest.fixture(scope="module")
def copier() -> ModuleType:
    return scripts.load(MIRROR)


@pytest.fixture
def bucket(aws: Any) -> Any:
    return aws.create_bucket(Bucket=f"models-{time.monotonic_ns()}")


@pytest.fixture
def push(bucket: Any, tmp_path: Path) -> Callable[[int], str]:
    """`push(version)`: pushes a new model to the bucket with the real stage, and returns its digest."""

    def run(version: int) -> str:
        folder = tmp_path / "pushes" / str(version)
        model, blessing = make_history(folder / "history", seed=version)
        parameters = {"destination": _store(bucket), "version": version}
        pushed = run_stage_in("pusher", folder / "push", {"model": model, "blessing": blessing}, parameters)
        return str(pushed["pushed_model"].metadata["pushed_digest"])

    return run


def _store(bucket: Any) -> str:
    return f"s3://{bucket.name}/served/{MODEL}"


def _served(folder: Path) -> list[str]:
    """The versions that a model server would consider."""
    return sorted(path.name for path in folder.iterdir() if path.name.isdigit())


def _leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.isdigit()]


def test_versions_appear_atomically_and_unchanged(
    copier: ModuleType, bucket: Any, push: Callable[[int], str], tmp_path: Path
) -> None:
    digests = {str(version): push(version) for version in (1, 2)}
    copier.mirror(_store(bucket), tmp_path / MODEL, 3)
    assert {name: tree_digest(tmp_path / MODEL / name) for name in _served(tmp_path / MODEL)} == digests
    assert not _leftovers(tmp_path / MODEL)


def test_only_the_latest_versions_are_kept(
    copier: ModuleType, bucket: Any, push: Callable[[int], str], tmp_path: Path
) -> None:
    push(1)
    copier.mirror(_store(bucket), tmp_path / MODEL, 2)
    push(2)
    push(3)
    copier.mirror(_store(bucket), tmp_path / MODEL, 2)
    assert _served(tmp_path / MODEL) == ["2", "3"]
    assert not _leftovers(tmp_path / MODEL)


def test_a_retired_version_is_removed_and_the_previous_one_served(
    copier: ModuleType, bucket: Any, push: Callable[[int], str], tmp_path: Path
) -> None:
    push(1)
    push(2)
    copier.mirror(_store(bucket), tmp_path / MODEL, 1)
    assert _served(tmp_path / MODEL) == ["2"]
    [latest, _] = versions(open_destination(_store(bucket)))
    retire(latest)
    copier.mirror(_store(bucket), tmp_path / MODEL, 1)
    assert _served(tmp_path / MODEL) == ["1"]


def test_a_version_that_was_changed_is_not_served(
    copier: ModuleType, bucket: Any, push: Callable[[int], str], tmp_path: Path
) -> None:
    push(1)
    push(2)
    bucket.put_object(Key=f"served/{MODEL}/2/saved_model.pb", Body=b"something else")
    with pytest.raises(DataError, match=r"served/chicago_taxi/2 is not what was pushed: its digest differs"):
        copier.mirror(_store(bucket), tmp_path / MODEL, 3)
    assert _served(tmp_path / MODEL) == ["1"]
    assert not _leftovers(tmp_path / MODEL)


def test_an_incomplete_version_is_not_served(
    copier: ModuleType, bucket: Any, push: Callable[[int], str], tmp_path: Path
) -> None:
    push(1)
    bucket.put_object(Key=f"served/{MODEL}/2/variables/variables.data", Body=b"half of it")
    copier.mirror(_store(bucket), tmp_path / MODEL, 3)
    assert _served(tmp_path / MODEL) == ["1"]


def test_an_empty_store_removes_nothing_from_the_mirror(
    copier: ModuleType, bucket: Any, push: Callable[[int], str], tmp_path: Path
) -> None:
    push(1)
    copier.mirror(_store(bucket), tmp_path / MODEL, 3)
    bucket.objects.delete()
    copier.mirror(_store(bucket), tmp_path / MODEL, 3)
    assert _served(tmp_path / MODEL) == ["1"]


def test_files_of_a_killed_copier_are_cleaned_up(
    copier: ModuleType, bucket: Any, push: Callable[[int], str], tmp_path: Path
) -> None:
    digest = push(1)
    left = tmp_path / MODEL / ".mirroring-1/variables"
    left.mkdir(parents=True)
    (left / "other").write_bytes(b"of another version")
    copier.mirror(_store(bucket), tmp_path / MODEL, 3)
    assert tree_digest(tmp_path / MODEL / "1") == digest
    assert not _leftovers(tmp_path / MODEL)


def test_the_models_are_read_from_the_models_config(copier: ModuleType) -> None:
    assert copier.models((MANIFESTS / "base/config/models.config").read_text()) == [MODEL]
    two = "config { \n base_path: '/models/a'\n}\n# base_path: '/models/c'\nconfig {\n  base_path: \"/models/b/\"\n}"
    assert copier.models(two) == ["a", "b"]


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_container_continues_after_errors_and_ends_on_sigterm(
    bucket: Any, push: Callable[[int], str], tmp_path: Path
) -> None:
    """Runs the command from the overlay."""
    push(1)
    config = tmp_path / "models.config"
    config.write_text("base_path: '/models/none/nowhere'\n base_path: '/models/chicago_taxi'\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/nowhere").touch()
    command = [sys.executable, "-B", str(MIRROR), f"s3://{bucket.name}/served", str(tmp_path / "models"), str(config)]
    environment = {**os.environ, "MIRROR_SECONDS": "0.2", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            _wait_for(tmp_path / "models/chicago_taxi/1/saved_model.pb", process)
            push(2)
            _wait_for(tmp_path / "models/chicago_taxi/2/saved_model.pb", process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
        assert process.stderr is not None
        assert "nowhere: FileExistsError" in process.stderr.read()
