"""The registry of stages: what they declare, and what is derived from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.contract.errors import UserError
from components.execution import stages

FOLDER = Path(stages.__file__).parents[1]
USUAL = ("example_gen", "statistics_gen", "schema_gen", "example_validator", "transform", "trainer", "baseline")
USUAL += ("evaluator", "infra_validator", "pusher")


def test_stages_are_found_by_their_folders() -> None:
    assert set(USUAL) <= set(stages.names())
    assert list(stages.names()) == sorted(path.parent.name for path in FOLDER.glob("*/stage.py"))
    assert [stages.load(name).name for name in stages.names()] == list(stages.names())


def test_stages_are_listed_in_pipeline_order() -> None:
    listed = [stage.name for stage in stages.in_order()]
    assert sorted(listed) == list(stages.names())
    assert [name for name in listed if name in USUAL] == list(USUAL)


def test_component_names_follow_kubeflow() -> None:
    assert stages.load("example_gen").component == "ExampleGen"


def test_unknown_stages_are_refused() -> None:
    with pytest.raises(UserError, match=r"^there is no stage 'example-gen'\n  fix: did you mean 'example_gen'\?$"):
        stages.load("example-gen")


def test_names_need_no_stage_import_and_declarations_no_library() -> None:
    code = (
        "import json, sys; from components.execution import stages; stages.names()\n"
        "imported = [name for name in sys.modules if name.endswith('.stage')]; stages.in_order()\n"
        "libraries = {'tensorflow', 'pandas', 'pyarrow', 'apache_beam', 'kfp', 'numpy', 'fsspec', 'dvc', 'yaml'}\n"
        "print(json.dumps([imported, sorted(libraries & set(sys.modules))]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == [[], []]
