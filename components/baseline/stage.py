"""Baseline: the latest pushed model, to hold a candidate against."""

from __future__ import annotations

from typing import NamedTuple

from components.contract.artifacts import Destination, Input, Model, Output
from components.contract.declaration import Stage


class Found(NamedTuple):
    """Whether there is a baseline, and its version."""

    found: bool
    version: str


def baseline(
    candidate: Input[Model],
    model: Output[Model],
    destination: Destination,
) -> Found:
    """Copies the latest pushed model that is not the candidate itself, so that an evaluator can compare with it.

    A version without a SavedModel, or whose content is not what its own record says, is passed over.

    Args:
        candidate: The model about to be judged; a pushed copy of it is passed over.
        model: The pushed model; where there is none, a file `NO_BASELINE` and the metadata `found` 0.
        destination: Where models are pushed to, a folder or an fsspec URL.
        found: Whether there is a baseline.
        version: Its version; empty where there is none.
    """
    from components.baseline.fetch import fetch

    found = fetch(candidate, model, destination)
    return Found(found is not None, found.name if found else "")


STAGE = Stage(function=baseline, image="serve", after="trainer")
