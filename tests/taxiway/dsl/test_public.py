"""`taxiway.dsl`, the only module that users import from."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.execution import stages
from taxiway import dsl
from taxiway.dsl.definitions import StageComponent

ROOT = Path(__file__).parents[3]
NAMES = ["DataAccessor", "FnArgs", "Resources", "Secret", "Toleration", "Volume", "image", "resources"]
"""Names that are not stages."""
IMPORT = re.compile(r"^(?:from|import) ((?:components|taxiway)[\w.]*)", re.MULTILINE)


def test_the_public_names_are_listed() -> None:
    of_stages = [stage.component for stage in stages.in_order()]
    assert dsl.__all__ == sorted([*NAMES, *of_stages])
    assert dir(dsl) == dsl.__all__
    assert [getattr(dsl, name).__name__ for name in NAMES] == NAMES
    assert {type(getattr(dsl, name)) for name in of_stages} == {StageComponent}
    assert dsl.ExampleGen is dsl.ExampleGen


def test_all_of_them_can_be_imported_by_a_star() -> None:
    namespace: dict[str, object] = {}
    exec("from taxiway.dsl import *", namespace)
    assert set(dsl.__all__) <= namespace.keys()


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'taxiway\.dsl' has no attribute 'ExampelGen'"):
        _ = dsl.ExampelGen
    with pytest.raises(ImportError, match=r"^cannot import name 'ExampelGen'"):
        exec("from taxiway.dsl import ExampelGen")


@pytest.mark.parametrize(
    ("name", "may"), [("FnArgs", set()), ("DataAccessor", set()), ("ExampleGen", {"kfp"}), ("resources", {"kfp"})]
)
def test_importing_a_name_loads_only_what_it_needs(name: str, may: set[str]) -> None:
    heavy = ["tensorflow", "pandas", "pyarrow", "apache_beam", "kfp", "numpy"]
    code = f"import sys, json; from taxiway.dsl import {name}\n"
    code += f"print(json.dumps([each for each in {heavy} if each in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(json.loads(result.stdout.splitlines()[-1])) <= may


@pytest.mark.slow
def test_mypy_accepts_a_users_pipeline(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from taxiway.dsl import ExampleGen, FnArgs, Resources, image, resources\n\n\n"
        "def run_fn(fn_args: FnArgs) -> None:\n    reveal_type(fn_args.train_files)\n\n\n"
        "reveal_type(Resources().cpu)\nreveal_type(image('train'))\nExampleGen(input_path='data')\n"
    )
    libraries = "[mypy-kfp.*,pyarrow.*,tensorflow.*,tensorflow_metadata.*,tfx_bsl.*]\n"
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = true\n{libraries}follow_imports = skip\n")
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "mine.py"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    revealed = re.findall(r'Revealed type is "(.+)"', result.stdout.replace("builtins.", ""))
    assert revealed == ["list[str]", "str", "str"]


def test_examples_for_users_import_only_from_taxiway_dsl() -> None:
    # A tool of this checkout that puts the example data where DVC expects them; no pipeline imports it.
    tool = ROOT / "pipelines/chicago_taxi/data.py"
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "pipelines").rglob("*.py")]
    found = {(file.name, name) for file in files if file != tool for name in IMPORT.findall(file.read_text())}
    assert ("pipeline.py", "taxiway.dsl") in found
    assert {name for _, name in found} == {"taxiway", "taxiway.dsl"}
