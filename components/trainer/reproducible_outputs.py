"""Rewrites the outputs of a run_fn so that their bytes depend on the model only, and says why if that fails."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from components.contract.artifacts import Artifact
from components.reproducible import event_files, saved_model
from components.reproducible.saved_model import NotUnderstoodError

_SETTLED = ("variables/variables.*", "assets/**/*", "assets.extra/**/*", "keras_metadata.pb")
_MOST_NAMED = 3


def settle(model: Artifact, model_run: Artifact, deterministic: bool) -> None:
    """Makes a model's SavedModels and its logs reproducible, and says in their metadata whether they are.

    `deterministic` is 1 or 0, as TFX marks; if it is 0, `not_deterministic` gives the reason.
    """
    if not deterministic:
        _describe(model, ["deterministic is off"])
        _describe(model_run, ["deterministic is off"])
        return
    general = list(_general_objections())
    _describe(model, [*general, *_settled_models(model.path)])
    left = event_files.make_reproducible(model_run.path)
    _describe(model_run, [*general, *_as_written(left, model_run.path)])


def _describe(artifact: Artifact, objections: list[str]) -> None:
    artifact.metadata["deterministic"] = int(not objections)
    if objections:
        artifact.metadata["not_deterministic"] = "; ".join(objections)


def _general_objections() -> Iterator[str]:
    if sys.flags.hash_randomization:
        yield "Python's sets had a random order (PYTHONHASHSEED is not 0)"


def _settled_models(folder: Path) -> Iterator[str]:
    """Rewrites every SavedModel in a folder; yields what could not be made reproducible, and why."""
    models = [file.parent for file in sorted(folder.rglob("saved_model.pb"))]
    known: set[Path] = set()
    for found in models:
        try:
            saved_model.make_reproducible(found)
            known |= {found / "saved_model.pb", found / "fingerprint.pb", *_known(found)}
        except NotUnderstoodError as error:
            yield f"{found.relative_to(folder)} is as the module wrote it: {error}"
            known |= set(found.rglob("*"))
        yield from _paths_in(found / "saved_model.pb", folder)
    yield from _as_written([path for path in sorted(folder.rglob("*")) if path.is_file() and path not in known], folder)


def _known(saved: Path) -> Iterator[Path]:
    for pattern in _SETTLED:
        yield from saved.glob(pattern)


def _paths_in(file: Path, folder: Path) -> Iterator[str]:
    content = file.read_bytes()
    for place in (folder.parent, Path(tempfile.gettempdir())):
        if str(place).encode() in content:
            yield f"{file.relative_to(folder)} names {place}, a folder of this run"
            return


def _as_written(files: list[Path], folder: Path) -> Iterator[str]:
    names = [str(file.relative_to(folder)) for file in files]
    if names:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        yield f"{', '.join(names[:_MOST_NAMED])}{more}: as the module wrote them"
