"""What the monitor knows of a window when the alarms are brought up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.monitoring.decision import Decision
from components.monitoring.summaries import Summary


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
