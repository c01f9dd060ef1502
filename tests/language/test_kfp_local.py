"""The shared pipelines with Taxiway's and kfp's local runner: results are equal, except for known bugs of kfp's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import taxiway
from taxiway.runs.progress import Observer
from taxiway.runs.record import RunFailedError
from tests.language.cases import Case
from tests.language.kfp_local import CASES, outcome

pytestmark = pytest.mark.slow
_CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The outcome of each case with kfp's local runner."""
    command = [sys.executable, "-m", "tests.language.kfp_local", str(tmp_path_factory.mktemp("kfp"))]
    result = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    document: dict[str, dict[str, Any]] = json.loads(result.stdout)
    return document


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_runners_have_equal_results(
    case: Case, theirs: dict[str, dict[str, Any]], home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ours = outcome(lambda: _run(case, home), RunFailedError)
    assert _text(ours) == _text(case.gives if isinstance(case.gives, dict) else {"Output": case.gives})
    assert (_text(theirs[case.name]) == _text(ours)) is not bool(case.differs), theirs[case.name]


def _run(case: Case, home: Path) -> dict[str, Any]:
    """Runs without cache, because tasks that only write notes must run each time."""
    return taxiway.run(case.pipeline, home=home, use_cache=False, observer=Observer(), **case.given).outputs


def _text(found: dict[str, Any]) -> str:
    """JSON distinguishes values that Python considers equal: true and 1, 2 and 2.0."""
    return json.dumps(found, sort_keys=True)
