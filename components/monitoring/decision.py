"""What a test found."""

from __future__ import annotations

from dataclasses import dataclass

DEVIATIONS, SHARE = "standard deviations", "share of rows"
"""The units of effects."""


@dataclass(frozen=True)
class Decision:
    """What a test of a column in a window found.

    Attributes:
        column: The column.
        test: `values`, `missing`, `unseen` or `types`.
        effect: The size of the change; negative for less.
        effect_unit: `standard deviations` or `share of rows`.
        p_value: How probable a difference like this is if nothing has changed, for this test alone.
        p_adjusted: The same, for all that was looked at together.
        signal: Whether `p_adjusted` is within the level, and the effect at least its floor.
        importance: How far the column's change moves the model's answers, in their standard deviations.
        tests: The number of tests that were made together; with a part of the level, as if they were more.
        shared: The part of the variance that is the reference's: rows / (rows + reference rows).
        floor: The least effect that counts, in its unit.
        level: The greatest `p_adjusted` of a signal.
    """

    column: str
    test: str
    effect: float
    effect_unit: str
    p_value: float
    p_adjusted: float
    signal: bool
    importance: float
    tests: float = 1.0
    shared: float = 0.0
    floor: float | None = None
    level: float | None = None
