"""Pusher: a blessed model goes to where it is served from."""

from __future__ import annotations

from components.contract.artifacts import Destination, InfraBlessing, Input, Model, ModelBlessing, Output, PushedModel
from components.contract.declaration import Stage


def pusher(
    model: Input[Model],
    pushed_model: Output[PushedModel],
    destination: Destination,
    blessing: Input[ModelBlessing] | None = None,
    infra_blessing: Input[InfraBlessing] | None = None,
    version: int = 0,
) -> None:
    """Pushes a blessed model whole or not at all to `<destination>/<version>/`, with its provenance beside it.

    A model that was not blessed is not pushed, which is no error: `pushed` is 0 then, and `not_pushed` says why, as
    does the file `NOT_PUSHED`. Where infra_validator has stamped the model with warm-up requests, that copy is pushed.
    A version that is there is never written over. One that holds this very model already is left as it is and counts
    as pushed; so does the latest one where no version is named.

    In a folder, a version appears by one rename. Object stores have none: there `saved_model.pb` is uploaded last,
    and until then a server that looks finds no SavedModel in the version.

    Args:
        model: The model.
        pushed_model: The SavedModel as pushed; `pushed`, `pushed_destination`, `pushed_version`, `pushed_digest`.
        destination: A folder or an fsspec URL (`s3://`, `gs://`).
        blessing: The evaluator's blessing; without one the model is pushed unjudged, and the lineage says so.
        infra_blessing: Infra_validator's blessing, perhaps with the stamped model.
        version: The version number; by default the time in seconds, or one above the latest where that is higher.
    """
    from components.pusher.push import push

    push(
        model,
        blessing=blessing,
        infra_blessing=infra_blessing,
        pushed_model=pushed_model,
        destination_url=destination,
        version=version,
    )


STAGE = Stage(function=pusher, image="serve", after="infra_validator")
