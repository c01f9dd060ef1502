"""Baseline: fetches the latest pushed model, to compare a candidate with."""

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
    champion: int = 0,
) -> Found:
    """Copies the latest pushed model other than the candidate, so that an evaluator can compare the candidate with it.

    Versions without a SavedModel, and versions whose content differs from their own record, are skipped.

    Args:
        candidate: The model to evaluate; a pushed copy of it is skipped.
        model: The pushed model; if there is none, a file `NO_BASELINE`, and `found` is 0 in the metadata.
        destination: Where models are pushed to, a folder or an fsspec URL.
        champion: The version to copy, such as the one that answers requests; 0: the latest.
        found: Whether there is a baseline.
        version: Its version; empty if there is none.
    """
    from components.baseline.fetch import fetch

    found = fetch(candidate, model, destination, champion)
    return Found(found is not None, found.name if found else "")


STAGE = Stage(function=baseline, image="serve", after="trainer")
