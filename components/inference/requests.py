"""A request and its answer, as they are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

Tensors = Mapping[str, np.ndarray]
"""Tensors by name; strings are `bytes` objects."""


_NONE: Tensors = MappingProxyType({})


class Content(NamedTuple):
    """The tensors of a request and its answer; a tuple, because servers make two for each request.

    Attributes:
        inputs: The inputs.
        outputs: The outputs; none if the request failed.
        are_examples: Whether the only input is known to be serialized tf.Examples.
        is_untyped: Whether the numbers come from JSON, which does not tell their types.
    """

    inputs: Tensors = _NONE
    outputs: Tensors = _NONE
    are_examples: bool = False
    is_untyped: bool = False


NOTHING = Content()


@dataclass(slots=True, kw_only=True)
class Request:
    """What is known of a request; see `columns.REQUEST`.

    Attributes:
        time: When it arrived, in seconds since 1970.
        content: Its tensors.
    """

    request_id: str
    time: float
    model: str
    version: int | None = None
    label: str | None = None
    target: str | None = None
    api: str = ""
    protocol: str = ""
    latency_ms: float | None = None
    status: str = "OK"
    error: str | None = None
    share: float = 1.0
    content: Content = NOTHING
