"""What a blessing says of the model to push."""

from __future__ import annotations

from components import provenance
from components.artifacts import Model, ModelBlessing
from components.errors import UserError


def is_blessed(blessing: ModelBlessing) -> bool:
    """Whether the metadata and the files both say so; Kubeflow hands every number over as a double."""
    says = blessing.metadata.get("blessed", (blessing.path / "BLESSED").is_file())
    return int(says) == 1 and not (blessing.path / "NOT_BLESSED").exists()


def require_same_model(blessing: ModelBlessing, model: Model) -> None:
    """Refuses a blessing whose record names another model than this one.

    Raises:
        UserError: It does.
    """
    records = provenance.chain(blessing)
    judged = records[0]["inputs"].get("model") if records else None
    digest = model.metadata.get("digest")
    if judged and digest and judged != digest:
        raise UserError(
            f"the blessing is of the model {judged}, not of the one to push, {digest}",
            mend="pass the pusher the model that the evaluator judged",
        )
