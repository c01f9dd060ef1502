"""A copy of Taxiway's packages with another stage, and a project with a pipeline that uses it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
STAGE = '''"""WordCount: The words of a text, counted."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from components.contract.artifacts import Artifact, FilePath, Output, Role
from components.contract.declaration import Libraries, Stage


class Words(Artifact):
    """`words.json`: how often each word is there."""


class Counted(NamedTuple):
    """How many words there are."""

    total: int


def word_count(
    words: Output[Words],
    text: FilePath,
    module: Annotated[str, Role("Module", "words_of")],
    lower: bool = False,
) -> Counted:
    """Counts the words of a text.

    Args:
        words: The words.
        text: A file.
        module: The module with `words_of`.
        lower: Take capitals for small letters.
        total: How many words there are.
    """
    from components.word_count.work import count

    return Counted(count(text, words, module, lower))


STAGE = Stage(function=word_count, image="data", loads=(Libraries(("wave",)),), after="example_gen", has_report=True)
'''
WORK = '''"""The work."""

import json
import sys
from collections import Counter
from pathlib import Path

from components.user_code import user_modules

ALREADY_LOADED = "wave" in sys.modules


def count(text, words, module, lower):
    found = Path(text).read_text()
    counts = Counter(user_modules.load(module, "words_of")(found.lower() if lower else found))
    words.path.mkdir()
    (words.path / "words.json").write_text(json.dumps({**counts, "already loaded": ALREADY_LOADED}, sort_keys=True))
    return counts.total()
'''
REPORT = '''"""What reports show of words."""

import json

from components.reports.page import Section
from components.reports.parts import paragraph
from components.word_count.stage import Words


def _section(words, ran):
    return Section("words", "Words", paragraph(*sorted(json.loads((words.path / "words.json").read_text()))))


SECTIONS = [(Words, _section)]
'''
PIPELINE = """from kfp import dsl

from taxiway.dsl import WordCount


@dsl.pipeline(name="words")
def words(text: str = "text.txt", module: str = "pipelines.words.model"):
    WordCount(text=text, module=module, lower=True)
"""


MODEL = "def words_of(text):\n    return text.split()\n"


def make_copy(folder: Path) -> None:
    """Copies the packages into a folder, with `components/word_count`."""
    for name in ("components", "taxiway", "pipelines"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    stage = folder / "components/word_count"
    write(stage, {"__init__.py": '"""Words."""\n', "stage.py": STAGE, "work.py": WORK, "report.py": REPORT})


def make_project(folder: Path) -> None:
    """Writes a project whose pipeline has the stage, and a module for it."""
    write(folder, {"text.txt": "The one and the other"})
    write(folder / "pipelines/words", {"pipeline.py": PIPELINE, "model.py": MODEL})


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Writes files below a folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def python(copy: Path, here: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with the packages of a copy, in a working folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", **variables},
        timeout=120,
    )
