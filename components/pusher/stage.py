"""Pusher: a blessed model goes to where it is served from."""

from __future__ import annotations

from components.artifacts import Destination, Input, Model, ModelBlessing, Output, PushedModel


def pusher(
    model: Input[Model],
    pushed_model: Output[PushedModel],
    destination: Destination,
    blessing: Input[ModelBlessing] | None = None,
    version: int = 0,
) -> None:
    """Pushes a blessed model whole or not at all to `<destination>/<version>/`, with its provenance beside it.

    Args:
        model: The model.
        pushed_model: What was pushed and where.
        destination: A folder or an fsspec URL (`s3://`, `gs://`).
        blessing: The evaluator's blessing; without one the model is pushed unjudged, and the lineage says so.
        version: The version number; the time in seconds by default.
    """
    raise NotImplementedError
