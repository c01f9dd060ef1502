"""Kubeflow's language, construct by construct: the results of local runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import taxiway
from components.contract.errors import UserError
from taxiway import loading
from taxiway.checks import check
from taxiway.runner.call import DONE
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, RunFailedError
from tests.language import conditions, loops, parameters, refused, tasks
from tests.language.cases import Case

CASES = [case for module in (parameters, conditions, loops, tasks, refused) for case in module.CASES]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_local_run_has_the_expected_results(case: Case, home: Path) -> None:
    if case.refused:
        assert case.refused in _refusal(case, home)
    elif case.fails:
        with pytest.raises(RunFailedError, match=re.escape(case.fails)):
            _run(case, home)
    else:
        run = _run(case, home)
        assert _matches(_output(run.outputs), case.gives)
        if case.ran is not None:
            assert " ".join(sorted(name for name, task in run.tasks.items() if task.state in DONE)) == case.ran


def _run(case: Case, home: Path) -> Run:
    return taxiway.run(case.pipeline, home=home, observer=Observer(), **case.given)


def _refusal(case: Case, home: Path) -> str:
    """The reason why a run is refused; `check` reports the same."""
    with pytest.raises(UserError) as refused:
        _run(case, home)
    assert not isinstance(refused.value, RunFailedError)
    try:
        findings = check.findings(loading.compiled(case.pipeline), case.given)
    except UserError as error:
        findings = [str(error)]
    assert all(finding in str(refused.value) for finding in findings)
    assert findings
    return str(refused.value)


def _output(value: Any) -> Any:
    """A pipeline's single output, with files as their text."""
    if isinstance(value, dict):
        return _output(value["Output"]) if value.keys() == {"Output"} else {k: _output(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_output(each) for each in value]
    return Path(value.path).read_text() if hasattr(value, "path") else value


def _matches(value: Any, expected: Any) -> bool:
    if isinstance(expected, re.Pattern):
        return expected.fullmatch(value) is not None
    return value == ({} if expected is None else expected)
