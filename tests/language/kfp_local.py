"""Runs the shared pipelines with kfp's local runner in a separate process, because it logs and starts threads."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kfp import local

from tests.language import shared, shared_flow
from tests.language.cases import Case

CASES = [*shared.CASES, *shared_flow.CASES]


def outcome(run: Callable[[], Mapping[str, Any]], failure: type[Exception]) -> dict[str, Any]:
    """Runs in an empty folder: the outputs, the notes that tasks wrote to a file, and whether the run failed."""
    Path("imported").write_text("here")
    try:
        found = {name: _plain(value) for name, value in run().items()}
    except failure:
        found = {"failed": True}
    return found | ({"notes": Path("notes").read_text()} if Path("notes").exists() else {})


def _plain(value: Any) -> Any:
    """The text of a file and the metadata from its task; each runner adds its own metadata."""
    if hasattr(value, "path"):
        return {"text": Path(value.path).read_text(), "note": value.metadata["note"]}
    return value


def _run(case: Case, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    os.chdir(folder)
    local.init(
        local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "root"), workspace_root=str(folder / "space")
    )
    return outcome(lambda: case.pipeline(**case.given).outputs, Exception)


def main(folder: Path) -> None:
    """Prints the outcomes by case; logs go to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        found = {case.name: _run(case, folder / str(n)) for n, case in enumerate(CASES)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
