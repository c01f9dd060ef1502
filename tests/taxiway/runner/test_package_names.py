"""Projects with their own packages named `components` and `pipelines` can be run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from tests.components.execution import new_stage
from tests.taxiway.runner.process_engine import image, process_engine

COUNTS = {"already loaded": True, "and": 1, "one": 1, "other": 1, "the": 2}
MODEL = "from components.features import words\nfrom pipelines.shared import trimmed\n\n\n"
MODEL += "def words_of(text):\n    return words(trimmed(text))\n"
FEATURES = "from components import SEPARATOR\n\n\ndef words(text):\n    return text.split(SEPARATOR)\n"
SHARED = {"pipelines/shared.py": "def trimmed(text):\n    return text.strip()\n"}
PROJECTS = {
    "packages": {
        "components/__init__.py": "SEPARATOR = ' '\n",
        "components/features.py": FEATURES,
        "pipelines/__init__.py": "",
        "pipelines/words/__init__.py": "",
        "pipelines/words/model.py": MODEL,
    },
    "folders without init": {
        "components/features.py": FEATURES.replace("from components import SEPARATOR", "SEPARATOR = ' '"),
        "pipelines/words/model.py": MODEL,
    },
    "a file": {
        "components.py": "def words(text):\n    return text.split()\n",
        "pipelines/words/model.py": MODEL.replace("components.features", "components"),
    },
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    new_stage.make_copy(folder)
    return folder


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    new_stage.make_project(folder)
    new_stage.write(folder, {**SHARED, **PROJECTS[getattr(request, "param", "packages")]})
    return folder


def taxiway(copy: Path, here: Path, *words: str, **variables: str) -> str:
    result = new_stage.python(copy, here, "-m", "taxiway", *words, **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def counts(here: Path) -> dict[str, object]:
    [words] = (here / ".taxiway/artifacts").rglob("words.json")
    return json.loads(words.read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("project", PROJECTS, indirect=True)
def test_the_pipeline_is_checked_and_runs_in_processes(copy: Path, project: Path) -> None:
    taxiway(copy, project, "check", "words")
    taxiway(copy, project, "run", "words")
    assert counts(project) == COUNTS


def test_it_runs_in_containers(copy: Path, project: Path) -> None:
    with process_engine() as (containers, url):
        containers.images["taxiway-data:0.1.0"] = image("1")
        containers.variables = {"PYTHONPATH": str(copy), "PYTHONSAFEPATH": "1"}
        taxiway(copy, project, "run", "words", "--runner", "docker", DOCKER_HOST=url)
    assert counts(project) == {**COUNTS, "already loaded": False}


@pytest.mark.parametrize("project", PROJECTS, indirect=True)
def test_its_modules_are_inlined_in_the_compiled_pipeline(copy: Path, project: Path, tmp_path: Path) -> None:
    taxiway(copy, project, "compile", "words", "--inline-modules", "-o", str(tmp_path / "words.yaml"))
    compiled = next(yaml.safe_load_all((tmp_path / "words.yaml").read_text()))
    [executor] = compiled["deploymentSpec"]["executors"].values()
    inlined = json.loads(executor["container"]["args"][-1])
    assert {file for file in inlined if file.startswith("components")} == {
        str(file.relative_to(project)) for file in [*project.glob("components*/*.py"), *project.glob("components.py")]
    }
    (tmp_path / "elsewhere").mkdir()
    os.replace(project / "text.txt", tmp_path / "elsewhere/text.txt")
    taxiway(copy, tmp_path / "elsewhere", "run", str(tmp_path / "words.yaml"))
    assert counts(tmp_path / "elsewhere") == COUNTS


def test_only_changes_of_used_modules_are_cache_misses(copy: Path, project: Path) -> None:
    def states() -> list[str]:
        run = json.loads(taxiway(copy, project, "run", "words", "--json"))
        return [task["state"] for task in run["tasks"].values()]

    assert states() == ["SUCCEEDED"]
    new_stage.write(project, {"components/other.py": "unused = 'imported by no module'\n"})
    assert states() == ["CACHED"]
    new_stage.write(project, {"components/features.py": FEATURES.replace("split", "lower().split")})
    assert states() == ["SUCCEEDED"]


def test_check_reports_a_module_with_the_name_of_one_of_taxiways(copy: Path, project: Path) -> None:
    model = project / "pipelines/words/model.py"
    model.write_text(MODEL.replace("components.features", "components.data.features"))
    new_stage.write(project, {"components/data/features.py": FEATURES})
    result = new_stage.python(copy, project, "-m", "taxiway", "check", "words")
    assert result.returncode == 2
    assert "Taxiway has a module components.data" in result.stdout + result.stderr
    assert "fix: mv components/data components/my_data, and import it by that name" in result.stdout + result.stderr
