"""What the blessings say about the model to push."""

from __future__ import annotations

import json
from pathlib import Path

from components.contract.artifacts import InfraBlessing, Model, ModelBlessing
from components.contract.digests import file_digests
from components.contract.errors import DataError, UserError
from components.execution import provenance
from components.execution.pushed_models import SAVED_MODEL, STAMPED_MODEL, serving_model, unstamped_digest

Blessing = ModelBlessing | InfraBlessing
_MARKERS = {ModelBlessing: ("BLESSED", "NOT_BLESSED"), InfraBlessing: ("INFRA_BLESSED", "INFRA_NOT_BLESSED")}


def is_blessed(blessing: Blessing) -> bool:
    """Whether both the metadata and the files say so; Kubeflow passes every number as a double."""
    marker, other = _MARKERS[type(blessing)]
    value = blessing.metadata.get("blessed", (blessing.path / marker).is_file())
    return int(value) == 1 and not (blessing.path / other).exists()


def refusal(blessing: Blessing) -> str:
    """Why a model was not blessed."""
    if isinstance(blessing, ModelBlessing):
        reasons = str(blessing.metadata.get("not_blessed", "")).splitlines()
        records = provenance.chain(blessing)
        who = f"the {records[0]['stage'] if records else 'evaluator'}"
        return f"{who} did not bless the model" + (f": {reasons[0]}" if reasons else "")
    report = blessing.path / "report.json"
    failure = json.loads(report.read_text()) if report.is_file() else {}
    why = f": {failure['step']}: {failure['message']}" if failure.get("step") else ""
    return f"infra_validator did not bless the model{why}"


def require_same_model(blessing: Blessing, model: Model) -> None:
    """Refuses a blessing of another model.

    Raises:
        UserError: The blessing's record names another model.
    """
    records = provenance.chain(blessing)
    judged = records[0]["inputs"].get("model") if records else None
    digest = model.metadata.get("digest")
    if judged and digest and judged != digest:
        raise UserError(
            f"the blessing is for the model {judged}, not for the one to push, {digest}",
            fix="pass the pusher the model that was evaluated",
        )


def model_to_push(model: Model, infra_blessing: InfraBlessing | None) -> Path:
    """The SavedModel to push: the stamped one if there is one.

    Raises:
        DataError: There is no SavedModel, or the stamped one differs from the model in more than its warm-up requests.
    """
    folder = serving_model(model)
    if infra_blessing is None or not _has_model(infra_blessing):
        return folder
    stamped = infra_blessing.path / STAMPED_MODEL
    if not (stamped / SAVED_MODEL).is_file():
        raise DataError(f"{stamped} has no {SAVED_MODEL}", fix="run infra_validator again")
    if unstamped_digest(file_digests(stamped)) != unstamped_digest(file_digests(folder)):
        raise DataError(f"{stamped} is not a copy of {folder}", fix="run infra_validator on this model")
    return stamped


def _has_model(infra_blessing: InfraBlessing) -> bool:
    return int(infra_blessing.metadata.get("has_model", (infra_blessing.path / STAMPED_MODEL).is_dir())) == 1
