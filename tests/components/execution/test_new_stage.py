"""A new stage needs only its own folder; tested in a copy of the packages."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.components.execution import new_stage


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages with one more folder, and a project with a pipeline."""
    folder = tmp_path_factory.mktemp("copy")
    new_stage.make_copy(folder)
    (folder / "docs/reference").mkdir(parents=True)
    shutil.copy(new_stage.ROOT / "docs/reference/stage_pages.py", folder / "docs/reference")
    new_stage.make_project(folder / "project")
    return folder


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return new_stage.python(copy, copy / "project", *arguments)


def test_its_process_has_preloaded_what_it_declares(copy: Path) -> None:
    result = python(copy, "-m", "taxiway", "run", "words", "--json")
    assert result.returncode == 0, result.stderr
    run = json.loads(result.stdout)
    assert {name: task["state"] for name, task in run["tasks"].items()} == {"word-count": "SUCCEEDED"}
    [words] = (copy / "project/.taxiway/artifacts").rglob("words.json")
    assert json.loads(words.read_text()) == {"already loaded": True, "and": 1, "one": 1, "other": 1, "the": 2}


def test_its_report_is_an_output_and_part_of_the_report_of_the_run(copy: Path) -> None:
    assert python(copy, "-m", "taxiway", "run", "words").returncode == 0
    [report] = (copy / "project/.taxiway/artifacts").rglob("word-count/*/report")
    assert "Words" in report.read_text()
    assert python(copy, "-m", "taxiway", "report", "latest", "-o", "run.html").returncode == 0
    for page in (report.read_text(), (copy / "project/run.html").read_text()):
        assert "already loadedandone" in page


def test_check_knows_the_new_stage(copy: Path) -> None:
    assert python(copy, "-m", "taxiway", "check", "words").returncode == 0
    result = python(copy, "-m", "taxiway", "check", "words", "--param", "text=gone.txt")
    assert result.returncode == 2
    assert "word-count: text names gone.txt, which does not exist" in result.stdout + result.stderr


def test_its_component_and_its_page_are_generated(copy: Path) -> None:
    assert python(copy, "-m", "taxiway.dsl.definitions").returncode == 0
    compiled = yaml.safe_load((copy / "components/word_count/component.yaml").read_text())
    [executor] = compiled["deploymentSpec"]["executors"].values()
    assert executor["container"]["command"] == ["python", "-m", "components", "word_count"]
    assert executor["container"]["image"].startswith("taxiway-data:")
    assert python(copy, str(copy / "docs/reference/stage_pages.py")).returncode == 0
    assert "| `text` | str | required | A file. |" in (copy / "docs/reference/stages/word_count.md").read_text()
    rows = (copy / "docs/reference/stages/README.md").read_text().splitlines()
    place = rows.index("| [word_count](word_count.md) | `WordCount` | The words of a text, counted |")
    assert "[statistics_gen]" in rows[place - 1]
    assert "[schema_gen]" in rows[place + 1]
