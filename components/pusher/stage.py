"""Pusher: pushes a blessed model to the place that it is served from."""

from __future__ import annotations

from typing import Annotated

from components.contract.artifacts import (
    Destination,
    InfraBlessing,
    Input,
    Model,
    ModelBlessing,
    ModelEvaluation,
    Output,
    PushedModel,
    Role,
)
from components.contract.declaration import Stage
from components.pusher.card import settings

CardSettings = Annotated[dict, Role("ModelCard", check=settings.parse)]


def pusher(
    model: Input[Model],
    pushed_model: Output[PushedModel],
    destination: Destination,
    blessing: Input[ModelBlessing] | None = None,
    judge_blessing: Input[ModelBlessing] | None = None,
    infra_blessing: Input[InfraBlessing] | None = None,
    evaluation: Input[ModelEvaluation] | None = None,
    version: int = 0,
    model_card: CardSettings = {},
) -> None:
    """Pushes a blessed model atomically to `<destination>/<version>/`, with its provenance and its model card.

    A model that was not blessed is not pushed, which is not an error: `pushed` is 0, and `not_pushed` and the file
    `NOT_PUSHED` give the reason. If infra_validator made a copy with warm-up requests, that copy is pushed. An existing
    version is never overwritten. If it already has exactly this model, it stays unchanged and counts as pushed; if no
    version is set, this applies to the latest one.

    In a folder, a version appears by a single rename. Object stores have no rename: there `saved_model.pb` is uploaded
    last, and until then servers find no SavedModel in the version.

    Args:
        model: The model.
        pushed_model: The SavedModel as pushed; `pushed`, `pushed_destination`, `pushed_version`, `pushed_digest`.
        destination: A folder or an fsspec URL (`s3://`, `gs://`).
        blessing: The evaluator's blessing; without one, the model is pushed unevaluated, and the lineage says so.
        judge_blessing: The judge's blessing: whether the model is better than the one in use.
        infra_blessing: Infra_validator's blessing, which may include the stamped model.
        evaluation: The evaluator's evaluation, whose metrics by slice the model card has.
        version: The version number; default: the time in seconds, or the latest version plus one if that is higher.
        model_card: What only people know about the model, such as `owners`, `licence` and `limitations`; by default the
            `model_card.yaml` beside the pipeline, and the pipeline's docstring.
    """
    from components.pusher.push import push

    push(
        model,
        blessing=blessing,
        judge_blessing=judge_blessing,
        infra_blessing=infra_blessing,
        evaluation=evaluation,
        pushed_model=pushed_model,
        destination_url=destination,
        version=version,
        model_card=model_card,
    )


STAGE = Stage(function=pusher, image="serve", after="infra_validator", has_report=True)
