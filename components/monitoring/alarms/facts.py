"""What the monitor knows of a window when the alarms are brought up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from components.monitoring.summaries import Summary


class Decision(Protocol):
    """What a test says of a column, as calibration/decide.py gives it."""

    @property
    def column(self) -> str:
        """The column; `*` for all together."""

    @property
    def test(self) -> str:
        """What is tested: values, missing, unseen, types, or all columns together."""

    @property
    def effect(self) -> float:
        """The size of the change."""

    @property
    def effect_unit(self) -> str:
        """Its unit."""

    @property
    def p_value(self) -> float:
        """How probable it is if nothing has changed, for this column alone."""

    @property
    def p_adjusted(self) -> float:
        """The same for all that was looked at together."""

    @property
    def signal(self) -> bool:
        """Whether it counts."""

    @property
    def importance(self) -> float | None:
        """How far the change moves the model's answers, in their deviations."""


@dataclass(frozen=True)
class Window:
    """A window of a model's traffic.

    Attributes:
        model: The model's name.
        start: Its start.
        end: Its end, which is not part of it.
        length: Its length, such as 1h.
    """

    model: str
    start: datetime
    end: datetime
    length: str


@dataclass(frozen=True)
class Part:
    """The rows of a version and a slice in a window.

    Attributes:
        rows: Their number.
        decisions: What the tests say of the columns.
        summaries: The columns in the window.
        training: The columns in the training data.
    """

    rows: int
    decisions: Sequence[Decision] = ()
    summaries: Mapping[str, Summary] = field(default_factory=dict)
    training: Mapping[str, Summary] = field(default_factory=dict)


@dataclass(frozen=True)
class Traffic:
    """The requests to a version in a window, as recorded: not scaled by the share that is recorded.

    Attributes:
        requests: Their number.
        errors: Those that failed.
        latency: Their number by latency; see `traffic.by_latency`.
    """

    requests: int
    errors: int = 0
    latency: Sequence[int] = ()


@dataclass(frozen=True)
class Facts:
    """All that is known of a window.

    Attributes:
        parts: By version and slice; the slice is empty for all rows.
        traffic: By version; None for requests that no version answered.
        quality: Rows of the quality table (pa.Table); None if there are none.
        schema: By version, what is different from the schema of the version before; see `schema_changes`.
    """

    parts: Mapping[tuple[int | None, str], Part] = field(default_factory=dict)
    traffic: Mapping[int | None, Traffic] = field(default_factory=dict)
    quality: object = None
    schema: Mapping[int | None, Mapping[str, str]] = field(default_factory=dict)
