"""The sections about artifacts of one type from several runs, by type, in the order of a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from components.contract.artifacts import Artifact
from components.reports.compared import curves, slices, statistics
from components.reports.page import Section

Named = tuple[str, Artifact]
"""The name of a run, and what it made."""

Comparer = Callable[[Sequence[Named]], Section | None]
"""Makes the section about artifacts beside each other; None if they have nothing to compare. It may raise anything."""

COMPARERS: Sequence[tuple[str, str, Comparer]] = (
    ("ModelRun", curves.TITLE, curves.section),
    ("ModelEvaluation", slices.TITLE, slices.section),
    ("ExampleStatistics", statistics.TITLE, statistics.section),
)
"""By the name of the artifact's type, with the section's title."""
