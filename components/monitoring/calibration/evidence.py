"""Evidence over time: an e-detector, so that an alarm is rare however long a model is watched.

Sources: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection" (2023); Vovk
and Wang, "E-values: calibration, combination and applications" (2021), for the e-value of a p-value.
"""

from __future__ import annotations

from components.monitoring.calibration.settings import DEFAULTS, Settings

POWER = 0.2
"""The e-value of p is POWER * p ** (POWER - 1): a bet on small p-values that costs a factor of 5 when p is 1."""
_LEAST_P, _MOST = 1e-300, 1e300


def update(
    evidence: float, p_value: float, settings: Settings = DEFAULTS, *, shared: float = 0.0, tests: float = 1.0
) -> float:
    """The evidence for a change after one more window; it is an alarm from `settings.windows_between_false_alarms` on.

    Either the adjusted p-value is given, or the plain one and the number of tests. The second also finds a change that
    is too small for any single window, where adjusted p-values are mostly 1.

    Args:
        evidence: That before the window; 0 at the beginning.
        p_value: The window's p-value.
        settings: What is asked of alarms.
        shared: The part of the variance that all windows have in common, because all are compared with the same
            reference: rows / (rows + reference rows). The same accident is not counted again in each window.
        tests: The number of tests in the window, if the p-value is not adjusted for it.
    """
    e_value = POWER * max(p_value, _LEAST_P) ** (POWER - 1)
    grown: float = max(evidence * tests, 1.0) ** (1 - shared) * e_value / tests
    return min(grown, max(_MOST, settings.windows_between_false_alarms))


def is_open(evidence: float, settings: Settings = DEFAULTS) -> bool:
    """Whether the evidence is enough for an alarm."""
    return evidence >= settings.windows_between_false_alarms
