"""What is noted of a request while it is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from components.inference.requests import Request


class Features(Protocol):
    """Knows which features a model parses; hashable, and equal for equal features."""

    def __hash__(self) -> int: ...

    def read(self) -> dict[str, str]:
        """The types by name: INT, FLOAT or BYTES; none if the model parses no tf.Examples."""


@dataclass(slots=True, kw_only=True)
class Note(Request):
    """A sampled request.

    Attributes:
        began: When it arrived, by `time.perf_counter`.
        size: The size of its tensors in bytes, more or less.
        features: The features that the model parses; None if nobody knows.
        fill: Fills in the content, in the recorder's thread; None if it is there.
    """

    began: float
    size: int = 0
    features: Features | None = None
    fill: Callable[[Note], None] | None = None
