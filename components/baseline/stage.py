"""Baseline: the latest pushed model, to hold a candidate against."""

from __future__ import annotations

from typing import NamedTuple

from components.artifacts import Destination, Input, Model, Output


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

    Args:
        candidate: The model about to be judged; a pushed copy of it is passed over.
        model: The pushed model, or an empty folder with `found` false where none was pushed yet.
        destination: Where models are pushed to, a folder or an fsspec URL.
    """
    raise NotImplementedError
