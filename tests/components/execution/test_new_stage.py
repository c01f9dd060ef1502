"""A new stage needs only a new folder, where everything else finds it; tested in a copy of the packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
STAGE = '''"""WordCount: The words of a text, counted."""

from __future__ import annotations

from typing import NamedTuple

from components.contract.artifacts import Artifact, FilePath, Output
from components.contract.declaration import Libraries, Stage


class Words(Artifact):
    """`words.json`: how often each word is there."""


class Counted(NamedTuple):
    """How many words there are."""

    total: int


def word_count(words: Output[Words], text: FilePath, lower: bool = False) -> Counted:
    """Counts the words of a text.

    Args:
        words: The words.
        text: A file.
        lower: Take capitals for small letters.
        total: How many words there are.
    """
    from components.word_count.work import count

    return Counted(count(text, words, lower))


STAGE = Stage(function=word_count, image="data", loads=(Libraries(("wave",)),), after="example_gen")
'''
WORK = '''"""The work."""

import json
import sys
from collections import Counter
from pathlib import Path

ALREADY_LOADED = "wave" in sys.modules


def count(text, words, lower):
    found = Path(text).read_text()
    counts = Counter((found.lower() if lower else found).split())
    words.path.mkdir()
    (words.path / "words.json").write_text(json.dumps({**counts, "already loaded": ALREADY_LOADED}, sort_keys=True))
    return counts.total()
'''
PIPELINE = """from kfp import dsl

from taxiway.dsl import WordCount


@dsl.pipeline(name="words")
def words(text: str = "text.txt"):
    WordCount(text=text, lower=True)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages with one more folder, and a project with a pipeline."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("components", "taxiway", "pipelines"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "docs/reference").mkdir(parents=True)
    shutil.copy(ROOT / "docs/reference/stage_pages.py", folder / "docs/reference")
    stage = folder / "components/word_count"
    stage.mkdir()
    (stage / "__init__.py").write_text('"""Words."""\n')
    (stage / "stage.py").write_text(STAGE)
    (stage / "work.py").write_text(WORK)
    project = folder / "project/pipelines/words"
    project.mkdir(parents=True)
    (project / "pipeline.py").write_text(PIPELINE)
    (folder / "project/text.txt").write_text("The one and the other")
    return folder


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=copy / "project",
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=120,
    )


def test_it_runs_as_a_process_that_has_loaded_what_it_declares(copy: Path) -> None:
    done = python(copy, "-m", "taxiway", "run", "words", "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert {name: task["state"] for name, task in run["tasks"].items()} == {"word-count": "SUCCEEDED"}
    [words] = (copy / "project/.taxiway/artifacts").rglob("words.json")
    assert json.loads(words.read_text()) == {"already loaded": True, "and": 1, "one": 1, "other": 1, "the": 2}


def test_it_is_known_to_check(copy: Path) -> None:
    assert python(copy, "-m", "taxiway", "check", "words").returncode == 0
    done = python(copy, "-m", "taxiway", "check", "words", "--param", "text=gone.txt")
    assert done.returncode == 2
    assert "word-count: text names gone.txt, which is not there" in done.stdout + done.stderr


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
