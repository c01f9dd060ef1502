"""Evidence over time: an e-detector, so that an alarm is rare however long a model is watched.

Source: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection" (2023); the
calibrator is that of Vovk and Wang, "E-values: calibration, combination and applications" (2021).
"""

from __future__ import annotations

from components.monitoring.calibration.settings import DEFAULTS, Settings

_POWER = 0.1
_LEAST = 1e-300


def update(evidence: float, p_adjusted: float, settings: Settings = DEFAULTS, shared: float = 0.0) -> float:
    """The evidence for a change after another window; it opens an alarm when `is_open`.

    Args:
        evidence: That before the window; 0 at the beginning.
        p_adjusted: The window's adjusted p-value.
        settings: What is asked of alarms.
        shared: The part of the variance that all windows have in common, because all are compared with the same
            reference: window rows / (window rows + reference rows).
    """
    del settings
    e_value = _POWER * max(p_adjusted, _LEAST) ** (_POWER - 1)
    return float(max(evidence, 1.0) ** (1 - shared) * e_value)


def is_open(evidence: float, settings: Settings = DEFAULTS) -> bool:
    """Whether the evidence is an alarm."""
    return evidence >= settings.windows_between_false_alarms
