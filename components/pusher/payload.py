"""What is pushed: a model's SavedModel and its provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.contract.artifacts import InfraBlessing, Model, ModelBlessing, ModelEvaluation, PushedModel
from components.contract.digests import BESIDE, MISSING, file_digests, files_digest
from components.contract.errors import DataError
from components.execution import provenance
from components.execution.provenance import Record
from components.execution.pushed_models import SAVED_MODEL, Version
from components.pusher.blessing import model_to_push
from components.pusher.card import settings, writing
from components.pusher.card.settings import Settings


@dataclass(frozen=True)
class Payload:
    """A SavedModel to push.

    Attributes:
        folder: The SavedModel's folder.
        files: The digest of each file, by name.
        digest: The digest of the folder.
        record: The part of the push's record that does not depend on the version.
        older: The records of the model, the blessings, and everything that they were made from.
        card: What only people know about the model.
        evaluation: Its evaluation.
    """

    folder: Path
    files: dict[str, str]
    digest: str
    record: Record
    older: list[Record]
    card: Settings
    evaluation: ModelEvaluation | None = None

    def names(self) -> list[str]:
        """The files in the order in which they are written: `saved_model.pb` last."""
        return sorted(self.files.keys() - BESIDE, key=lambda name: (name == SAVED_MODEL, name))

    def provenance(self, version: Version) -> str:
        """The content of a version's `provenance.json`."""
        return json.dumps(self._records(version), indent=1) + "\n"

    def card_files(self, version: Version) -> dict[str, str]:
        """The files of a version's model card, by name."""
        return writing.files(self.card, self._records(version), self.evaluation)

    def _records(self, version: Version) -> list[Record]:
        record = {**self.record, "pushed_destination": version.url, "pushed_version": version.name, "files": self.files}
        return provenance.distinct([record, *self.older])


def _readable(folder: Path) -> dict[str, str]:
    files = file_digests(folder)
    for name, digest in files.items():
        if digest == MISSING:
            raise DataError(f"{folder / name} is a broken link", fix="remove it, or restore its target")
    return files


def prepare(
    model: Model,
    *,
    blessing: ModelBlessing | None,
    judge_blessing: ModelBlessing | None = None,
    infra_blessing: InfraBlessing | None,
    evaluation: ModelEvaluation | None,
    parameters: Mapping[str, Any],
) -> Payload:
    """Digests the SavedModel to push and collects the provenance of the push.

    Raises:
        DataError: The model has no SavedModel, the stamped one is of another model, or a file cannot be read.
    """
    folder = model_to_push(model, infra_blessing)
    given = {
        "model": model,
        "blessing": blessing,
        "judge_blessing": judge_blessing,
        "infra_blessing": infra_blessing,
        "evaluation": evaluation,
    }
    inputs = {name: artifact for name, artifact in given.items() if artifact}
    made_by = provenance.activity("pusher", parameters, {}, inputs)
    files = _readable(folder)
    digest = files_digest(files)
    record = provenance.record(digest, PushedModel.__name__, "pushed_model", made_by, judged=blessing is not None)
    card = settings.parse(parameters["model_card"])
    return Payload(
        folder=folder,
        files=files,
        digest=digest,
        record=record,
        older=provenance.ancestors(inputs.values()),
        card=card,
        evaluation=evaluation,
    )
