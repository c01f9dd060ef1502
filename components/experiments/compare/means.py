"""Two means, such as watch time per user."""

from __future__ import annotations

from components.experiments.arms import Arm, require
from components.experiments.compare.comparison import Comparison, of_means
from components.experiments.joint import Joint, ratio
from components.experiments.numbers import share


def welch(control: Arm, treatment: Arm, level: float = 0.05) -> Comparison:
    """Welch's t test (Biometrika 1947): arms may differ in variance.

    Raises:
        DataError: An arm has less than two units, or no unit differs from another one.
    """
    _require(control, treatment, level)
    return of_means("Welch's t", control, treatment, level)


def delta(control: Joint, treatment: Joint, level: float = 0.05) -> Comparison:
    """Two ratios of sums, such as clicks per view, where users are assigned: the delta method, and Welch's t.

    Source: Deng, Knoblich and Lu, "Applying the delta method in metric analytics" (KDD 2018).

    Args:
        control: The control's columns: above and below the ratio, one value each a user.
        treatment: The treatment's.
        level: One minus the intervals' coverage.
    """
    arms = ratio(control), ratio(treatment)
    _require(*arms, level)
    return of_means("ratio by the delta method", *arms, level)


def _require(control: Arm, treatment: Arm, level: float) -> None:
    share(level, "the level")
    require(control, "the control")
    require(treatment, "the treatment")
