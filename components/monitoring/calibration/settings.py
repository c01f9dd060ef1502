"""When a change is a signal, and when signals are an alarm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What is asked of alarms.

    Attributes:
        level: The share of windows without a change in which anything at all may be a signal.
        shift: The least shift of a number's distribution that matters, in standard deviations.
        ks: The least largest difference between the cumulative shares of numbers that matters.
        variation: The least total variation between the shares of categories that matters.
        share: The least change of the share of missing, unseen or wrong values that matters.
        windows_between_false_alarms: The mean number of windows between two alarms when nothing changes.
    """

    level: float = 0.05
    shift: float = 0.05
    ks: float = 0.02
    variation: float = 0.01
    share: float = 0.002
    windows_between_false_alarms: float = 1000.0


DEFAULTS = Settings()
"""Settings for those who give none."""
