"""What is pushed: a model's SavedModel and its provenance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from components.contract.artifacts import InfraBlessing, Model, ModelBlessing, PushedModel
from components.contract.digests import MISSING, file_digests, files_digest
from components.contract.errors import DataError
from components.execution import provenance
from components.execution.provenance import Record
from components.execution.pushed_models import SAVED_MODEL, Version
from components.pusher.blessing import model_to_push


@dataclass(frozen=True)
class Payload:
    """A SavedModel to push.

    Attributes:
        folder: The SavedModel's folder.
        files: The digest of each file, by name.
        digest: The digest of the folder.
        record: The part of the push's record that does not depend on the version.
        older: The records of the model, the blessings, and everything that they were made from.
    """

    folder: Path
    files: dict[str, str]
    digest: str
    record: Record
    older: list[Record]

    def names(self) -> list[str]:
        """The files in the order in which they are written: `saved_model.pb` last."""
        return sorted(self.files, key=lambda name: (name == SAVED_MODEL, name))

    def provenance(self, version: Version) -> str:
        """The content of the version's `provenance.json`."""
        record = {**self.record, "pushed_destination": version.url, "pushed_version": version.name, "files": self.files}
        return json.dumps(provenance.distinct([record, *self.older]), indent=1) + "\n"


def _readable(folder: Path) -> dict[str, str]:
    files = file_digests(folder)
    for name, digest in files.items():
        if digest == MISSING:
            raise DataError(f"{folder / name} is a broken link", fix="remove it, or restore its target")
    return files


def prepare(
    model: Model, blessing: ModelBlessing | None, infra_blessing: InfraBlessing | None, destination: str, version: int
) -> Payload:
    """Digests the SavedModel to push and collects the provenance of the push.

    Raises:
        DataError: The model has no SavedModel, the stamped one is of another model, or a file cannot be read.
    """
    folder = model_to_push(model, infra_blessing)
    given = {"model": model, "blessing": blessing, "infra_blessing": infra_blessing}
    inputs = {name: artifact for name, artifact in given.items() if artifact}
    made_by = provenance.activity("pusher", {"destination": destination, "version": version}, {}, inputs)
    files = _readable(folder)
    digest = files_digest(files)
    record = provenance.record(digest, PushedModel.__name__, "pushed_model", made_by, judged=blessing is not None)
    return Payload(folder, files, digest, record, provenance.ancestors(inputs.values()))
