"""A container with several stages, whose members each write a file."""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.contract.errors import ServiceError, UserError
from components.fused import plan
from components.fused.execution import Execute, run
from components.fused.plan import SKIPPED, Member, Source
from components.processes import preload

Json = dict[str, Any]
# Stages that load nothing; what runs is `_execute`.
FIRST = Member(name="first", stage="baseline")
SECOND = Member(
    name="second-one",
    stage="pusher",
    artifacts={"model": Source("made", "first"), "other": Source("outer__made")},
    parameters={"count": Source("count", "first")},
)
LAST = Member(
    name="last",
    stage="pusher",
    artifacts={"model": Source("made", "second-one")},
    condition="inputs.parameter_values['count'] > 1",
    compared={"count": Source("count", "first")},
)


# Other tests may have left threads, which the forked children do not use.
pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def process_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in preload.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    yield
    gc.unfreeze()


@pytest.fixture
def executor_input(tmp_path: Path) -> Json:
    outputs = {
        f"{prefix}__made": {"artifacts": [{"uri": str(tmp_path / f"{prefix}__made"), "metadata": {}}]}
        for prefix in ("first", "second_one", "last")
    }
    given = {"uri": "s3://bucket/outer", "metadata": {"digest": "outer"}}
    return {
        "inputs": {
            "parameterValues": {"first__count": 2, "first__text": "one", "second_one__text": "two", "last__text": "3"},
            "artifacts": {"outer__made": {"artifacts": [given]}},
        },
        "outputs": {
            "parameters": {"first__count": {"outputFile": str(tmp_path / "count")}},
            "artifacts": outputs,
            "outputFile": str(tmp_path / "output/executor_output.json"),
        },
    }


def _execute(stage: str, executor_input: Json) -> int:
    """Writes its inputs to its output, and an ExecutorOutput."""
    declared = executor_input["outputs"]["artifacts"]["made"]["artifacts"][0]
    Path(declared["uri"]).write_text(json.dumps({"stage": stage, "process": os.getpid(), **executor_input["inputs"]}))
    described = {**declared, "metadata": {"digest": Path(declared["uri"]).name}}
    values = {
        name: executor_input["inputs"]["parameterValues"][name] for name in executor_input["outputs"]["parameters"]
    }
    output = {"parameterValues": values, "artifacts": {"made": {"artifacts": [described]}}}
    Path(executor_input["outputs"]["outputFile"]).write_text(json.dumps(output))
    return 0


def _read(folder: Path, name: str) -> Json:
    return dict(json.loads((folder / name).read_text()))


def test_each_member_gets_only_its_own_inputs_and_outputs(executor_input: Json, tmp_path: Path) -> None:
    assert run([FIRST, SECOND, LAST], executor_input, _execute) == 0
    first, second = _read(tmp_path, "first__made"), _read(tmp_path, "second_one__made")
    assert first["parameterValues"] == {"count": 2, "text": "one"}
    assert first["artifacts"] == {}
    assert second["parameterValues"] == {"count": 2, "text": "two"}
    assert second["artifacts"]["other"] == executor_input["inputs"]["artifacts"]["outer__made"]
    # With the metadata that the first member wrote.
    assert second["artifacts"]["model"]["artifacts"][0]["metadata"] == {"digest": "first__made"}
    assert len({first["process"], second["process"], os.getpid()}) == 3
    output = _read(tmp_path, "output/executor_output.json")
    assert output["parameterValues"] == {"first__count": 2}
    assert {name: found["artifacts"][0]["metadata"] for name, found in output["artifacts"].items()} == {
        name: {"digest": name} for name in ("first__made", "second_one__made", "last__made")
    }


def test_a_false_condition_skips_its_member(
    executor_input: Json, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    executor_input["inputs"]["parameterValues"]["first__count"] = 1
    assert run([FIRST, SECOND, LAST], executor_input, _execute) == 0
    assert not (tmp_path / "last__made").exists()
    [skipped] = _read(tmp_path, "output/executor_output.json")["artifacts"]["last__made"]["artifacts"]
    assert skipped["metadata"] == {SKIPPED: LAST.condition}
    assert f"==> last, 3 of 3\n    skipped: {LAST.condition} is false\n" in capfd.readouterr().out


def _failing_pusher(act: Callable[[], int]) -> Execute:
    return lambda stage, executor_input: act() if stage == "pusher" else _execute(stage, executor_input)


def test_the_first_failure_ends_the_run(
    executor_input: Json, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([FIRST, SECOND, LAST], executor_input, _failing_pusher(lambda: 2)) == 2
    assert capfd.readouterr().out.endswith("==> second-one, 2 of 3\n")
    assert not (tmp_path / "output/executor_output.json").exists()


def test_a_killed_member_is_named(executor_input: Json) -> None:
    def die() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    with pytest.raises(ServiceError, match=r"^second-one was killed by signal 9, as the kernel does when memory runs"):
        run([FIRST, SECOND], executor_input, _failing_pusher(die))


def test_a_written_plan_is_read_back() -> None:
    members = [FIRST, SECOND, LAST]
    assert plan.read(plan.written(members)) == members
    # Argo would expand two opening braces as a template.
    assert "{{" not in plan.written(members)


@pytest.mark.parametrize("text", ["", "{}x", '[{"no": 1}]', '[{"name": "a", "stage": "b", "artifacts": {"c": {}}}]'])
def test_the_plan_of_another_version_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"(?s)--plan is not a plan of this version.*fix: compile the pipeline"):
        plan.read(text)


def test_the_entrypoint_does_not_import_data_libraries() -> None:
    code = "import sys; import components.__main__; print('yaml' in sys.modules, 'fsspec' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False False\n"
