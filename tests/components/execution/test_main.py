from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components import __main__ as entrypoint
from components.execution import stages
from tests.components.models import make_model, pusher_command, pusher_input


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "components", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_a_stage_runs_from_the_command_line(tmp_path: Path) -> None:
    command = pusher_command(make_model(tmp_path / "model"), str(tmp_path / "served"), tmp_path / "push", 3)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"pushed to {tmp_path}/served/3" in result.stdout
    output = json.loads((tmp_path / "push" / "executor_output.json").read_text())
    assert output["artifacts"]["pushed_model"]["artifacts"][0]["metadata"]["pushed_version"] == "3"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["psher", "--executor-input", "{}"], "error: there is no stage 'psher'\n  fix: did you mean 'pusher'?\n"),
        (
            ["x", "--executor-input", "{}"],
            f"error: there is no stage 'x'\n  fix: the stages are {', '.join(stages.names())}\n",
        ),
        (["pusher", "--executor-input", "{"], "error: --executor-input is not JSON: "),
        (["pusher", "--executor-input", "[]"], "error: --executor-input is not a JSON object: []"),
        (["pusher", "--executor-input", "{}"], "error: the input 'model' is missing from the ExecutorInput\n"),
        (["pusher"], "the following arguments are required: --executor-input"),
    ],
)
def test_user_errors_exit_with_status_2_and_no_traceback(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_bugs_exit_with_status_1_and_a_traceback(tmp_path: Path) -> None:
    document = pusher_input(make_model(tmp_path / "model"), str(tmp_path / "served"), tmp_path / "push")
    del document["outputs"]["outputFile"]
    done = run("pusher", "--executor-input", json.dumps(document))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("error: KeyError: 'outputFile'\n")


def test_user_modules_are_imported_from_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("found = True")
    code = (
        "import sys; from components.__main__ import main; main(['x', '--executor-input', '{}'])\n"
        "sys.path.remove(''); import mine; print(mine.found)"
    )
    checkout = str(Path(entrypoint.__file__).parent.parent)
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": checkout},
    )
    assert result.stdout == "True\n"


def test_inlined_modules_take_precedence_over_those_of_the_image(tmp_path: Path) -> None:
    for name in ("image", "image/mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "image/mine/__init__.py").write_text("")
    (tmp_path / "image/mine/model.py").write_text("found = 'in the image'")
    inlined = {"mine/__init__.py": "", "mine/model.py": "found = 'in the pipeline'"}
    code = (
        "import sys; from components.__main__ import main\n"
        "main(['x', '--executor-input', '{}', '--modules', sys.argv[1]])\n"
        "from mine import model; print(model.found)"
    )
    checkout = str(Path(entrypoint.__file__).parent.parent)
    result = subprocess.run(
        [sys.executable, "-c", code, json.dumps(inlined)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path / "image",
        env={**os.environ, "PYTHONPATH": checkout, "TMPDIR": str(tmp_path)},
    )
    assert result.stdout == "in the pipeline\n"
    assert list(tmp_path.glob("taxiway-modules-*")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the inlined modules are not a JSON object: "),
        ("[1]", "the inlined modules are not a JSON object: "),
        *(
            (json.dumps({name: ""}), f"the inlined modules have the invalid entry {name!r}")
            for name in ("../mine.py", "/etc/mine.py", "mine/../../mine.py", "mine.sh", "")
        ),
        ('{"mine.py": 1}', "the inlined modules have the invalid entry 'mine.py'"),
    ],
)
def test_invalid_inlined_modules_are_refused(text: str, message: str, tmp_path: Path) -> None:
    done = run("pusher", "--executor-input", "{}", "--modules", text, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 2
    assert f"error: {message}" in done.stderr
    assert "  fix: compile the pipeline again with --inline-modules\n" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_error_is_written_to_the_termination_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(entrypoint, "TERMINATION_LOG", tmp_path / "log")
    assert entrypoint.main(["pusher", "--executor-input", "{}"]) == 2
    assert not (tmp_path / "log").exists(), "written only if Kubernetes created it"
    (tmp_path / "log").touch()
    assert entrypoint.main(["pusher", "--executor-input", "{}"]) == 2
    assert (tmp_path / "log").read_text() == "the input 'model' is missing from the ExecutorInput"
    assert "error: the input 'model' is missing" in capsys.readouterr().err


@pytest.mark.parametrize("stage", stages.names())
def test_no_stage_loads_a_heavy_library_before_it_works(stage: str) -> None:
    code = f"import sys; from components.execution import stages; stages.load({stage!r})\n"
    code += "heavy = {'tensorflow', 'pandas', 'pyarrow', 'apache_beam', 'kfp', 'numpy', 'fsspec', 'dvc'}\n"
    code += "print(sorted(heavy & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
