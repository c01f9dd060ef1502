"""Whether a change of a metric is for the better."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

_NEUTRAL = re.compile(
    r"(weighted_)?example_count|mean_(label|prediction)|.*(positives|negatives)(_at.*)?|attributions.*"
)
_LESS_IS_BETTER = re.compile(
    r".*(loss|error|cross_?entropy|divergence|hinge|poisson|log_?cosh|mse|mae|mape|rmse|fall_?out|miss_rate"
    r"|false_(positive|negative|discovery|omission)_rate|prevalence_threshold).*"
)
_AIMS_AT_ONE = re.compile(r"calibration")


def is_better(base: str, candidate: float, baseline: float, known: Mapping[str, bool]) -> bool | None:
    """Whether the candidate's value is better than the baseline's.

    Args:
        base: The metric's own name.
        candidate: The candidate's value.
        baseline: The baseline's value.
        known: For metrics whose threshold says so: whether more is better.

    Returns:
        None if they are equal, or if the metric says nothing about how good a model is.
    """
    if not (math.isfinite(candidate) and math.isfinite(baseline)) or candidate == baseline:
        return None
    if base in known:
        return (candidate > baseline) == known[base]
    if says_nothing(base):
        return None
    if _AIMS_AT_ONE.fullmatch(base):
        return abs(candidate - 1) < abs(baseline - 1)
    return (candidate < baseline) == less_is_better(base)


def says_nothing(base: str) -> bool:
    """Whether a metric is only a count or a mean, which says nothing about how good a model is."""
    return bool(_NEUTRAL.fullmatch(base))


def less_is_better(base: str) -> bool:
    """Whether a metric is an error or a loss."""
    return bool(_LESS_IS_BETTER.fullmatch(base))
