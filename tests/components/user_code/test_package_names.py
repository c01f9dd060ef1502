"""A project's own packages named `components` and `pipelines`, beside Taxiway's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.contract.errors import UserError
from components.user_code import package_names, user_modules

CHECKOUT = package_names.FOLDER.parent
INIT = "print('mine runs')\nfrom components.features import double\nSCALE = 3\n"
FEATURES = "from components import SCALE\n\n\ndef double(number):\n    return 2 * number * SCALE\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)


def python(project: Path, code: str, **variables: str) -> str:
    """The output of a program that runs in a project like a user's script."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=project, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


# Importing


@pytest.mark.parametrize(
    "first", ["import taxiway", "import components.features, taxiway", "from components import double; import taxiway"]
)
def test_both_packages_can_be_imported_in_any_order_and_the_users_runs_once(project: Path, first: str) -> None:
    init = "print('mine runs')\nSCALE = 3\nfrom components.features import double\n"
    write(project, {"components/__init__.py": init, "components/features.py": FEATURES})
    code = (
        f"{first}\nfrom components.contract.errors import UserError\nfrom components import SCALE, __version__, double"
    )
    code += "\nimport components.features\nprint(SCALE, double(1), components.features.double is double, __version__)"
    assert python(project, code) == "mine runs\n3 6 True 0.1.0\n"


def test_an_import_of_a_module_runs_the_package_around_it_first(project: Path) -> None:
    init = "print('mine runs')\nfrom components.features import number\nnumber += 1\n"
    write(project, {"components/__init__.py": init, "components/features.py": "print('features')\nnumber = 1\n"})
    code = "import taxiway, components.features as one\nimport sys\nfrom components import features, number\n"
    code += "print(one is features, one is sys.modules['components.features'], number, one.__spec__.name)"
    assert python(project, code) == "mine runs\nfeatures\nTrue True 2 components.features\n"


def test_an_unused_package_does_not_run(project: Path) -> None:
    write(project, {"components/__init__.py": "raise SystemExit('mine runs')\n"})
    code = "import taxiway.dsl, taxiway.runner.forkserver\nfrom components.trainer.fn_args import FnArgs\nprint(FnArgs)"
    assert "FnArgs" in python(project, code)


@pytest.mark.parametrize(
    ("files", "statement"),
    [
        ({"components/features.py": "double = 2"}, "from components.features import double"),
        ({"components.py": "double = 2"}, "from components import double"),
        ({"components/features/numbers.py": "double = 2"}, "from components.features.numbers import double"),
    ],
)
def test_a_users_namespace_package_or_module_can_be_imported(
    project: Path, files: dict[str, str], statement: str
) -> None:
    write(project, files)
    assert python(project, f"import taxiway\n{statement}\nprint(double)") == "2\n"


def test_a_module_in_neither_package_is_an_error(project: Path) -> None:
    write(project, {"components/__init__.py": ""})
    code = "import taxiway\ntry:\n    from components import nothing\nexcept ImportError as error:\n    print(error)"
    assert "cannot import name 'nothing' from 'components'" in python(project, code)
    code = "import taxiway\ntry:\n    import components.nothing\nexcept ImportError as error:\n    print(error)"
    assert python(project, code) == "No module named 'components.nothing'\n"


@pytest.mark.parametrize("package", [True, False])
def test_the_users_pipelines_take_precedence(project: Path, package: bool) -> None:
    write(project, {"pipelines/mine/model.py": "value = 1", "pipelines/chicago_taxi/eval_config.py": "mine = 2"})
    if package:
        write(project, {"pipelines/__init__.py": "NAME = 'mine'"})
    code = "import taxiway, components, pipelines\nfrom pipelines.mine.model import value\nprint(value)\n"
    code += (
        "print(getattr(pipelines, 'NAME', None))\nimport pipelines.chicago_taxi.resources as ours\nprint(ours.__file__)"
    )
    name = "mine" if package else "None"
    assert python(project, code) == f"1\n{name}\n{CHECKOUT}/pipelines/chicago_taxi/resources.py\n"


# Digests and inlined source


def test_the_users_package_counts_as_user_code(project: Path) -> None:
    write(project, {"components/__init__.py": INIT, "components/features.py": FEATURES})
    write(project, {"mine.py": "from components.features import double\n\ndef run_fn(args): return double(1)\n"})
    found = {str(file.relative_to(project)) for file in user_modules.files("mine")}
    assert found == {"mine.py", "components/__init__.py", "components/features.py"}
    assert set(json.loads(user_modules.packed(["mine"]))) == found
    before = user_modules.describe("mine", "run_fn")["digest"]
    write(project, {"components/features.py": FEATURES.replace("2", "4")})
    assert user_modules.describe("mine", "run_fn")["digest"] != before


def test_taxiways_own_modules_are_not_user_code(project: Path) -> None:
    write(project, {"mine.py": "from components.trainer.fn_args import FnArgs\n\ndef run_fn(args): ...\n"})
    assert user_modules.files("mine") == {project / "mine.py"}


@pytest.mark.parametrize(
    ("source", "file", "taken"),
    [
        ("from components.data import features", "components/data/features.py", "data"),
        ("import components.data.examples", "components/data/examples.py", "data"),
        ("from components.trainer import x", "components/trainer.py", "trainer"),
        ("from components.features import x", "components/data/features.py", "data"),
    ],
)
def test_a_module_with_the_name_of_one_of_ours_is_refused(project: Path, source: str, file: str, taken: str) -> None:
    write(project, {"mine.py": f"{source}\n\ndef run_fn(args): ...\n", file: "x = 1"})
    write(project, {"components/features.py": "from .data.features import x"})
    place = f"components/{taken}.py" if file == f"components/{taken}.py" else f"components/{taken}"
    renamed = place.replace(taken, f"my_{taken}")
    message = f"{project / file} cannot be imported: Taxiway has a module components.{taken}\n"
    with pytest.raises(UserError, match=re.escape(f"{message}  fix: mv {place} {renamed}, and import it by that name")):
        user_modules.describe("mine", "run_fn")


def test_a_named_module_with_the_name_of_one_of_ours_is_refused(project: Path) -> None:
    write(project, {"components/data/model.py": "def run_fn(args): ...\n"})
    with pytest.raises(UserError, match=r"Taxiway has a module components\.data"):
        user_modules.source_file("components.data.model")
    assert user_modules.source_file("components/data/model.py") == project / "components/data/model.py"
