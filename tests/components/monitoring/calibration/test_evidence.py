"""Alarms over time are as rare as asked for, and come soon."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import scipy.stats as st

from components.monitoring.calibration.evidence import POWER, is_open, update
from components.monitoring.calibration.settings import Settings


def test_the_e_value_of_a_uniform_p_value_has_mean_one() -> None:
    mean = scipy.integrate.quad(lambda x: update(0, x ** (1 / POWER)) * x ** (1 / POWER - 1) / POWER, 0, 1)[0]
    assert mean == pytest.approx(1)


@pytest.mark.parametrize("tests", [1, 40])
def test_false_alarms_are_as_rare_as_asked_for(tests: int) -> None:
    chance, settings = np.random.default_rng(1), Settings(windows_between_false_alarms=100)
    windows, alarms = 10_000, 0
    evidence = [0.0] * tests
    for p_values in chance.random((windows, tests)):
        evidence = [update(each, p, tests=tests) for each, p in zip(evidence, p_values, strict=True)]
        if any(is_open(each, settings) for each in evidence):
            alarms, evidence = alarms + 1, [0.0] * tests
    assert alarms <= windows / 100


def _delay(shift: float, *, adjusted: bool, tests: int = 40) -> float:
    chance, delays = np.random.default_rng(2), []
    for _ in range(200):
        evidence, windows = 0.0, 0
        while not is_open(evidence) and windows < 300:
            windows += 1
            p = float(2 * st.norm.sf(abs(chance.normal(shift))))
            evidence = update(evidence, min(1, p * tests)) if adjusted else update(evidence, p, tests=tests)
        delays.append(windows)
    return float(np.mean(delays))


def test_large_changes_are_found_at_once_and_small_ones_soon() -> None:
    assert _delay(6, adjusted=True) < 1.5
    assert _delay(6, adjusted=False) < 1.5
    assert _delay(4, adjusted=True) < 4
    assert _delay(2, adjusted=False) < 14 < _delay(2, adjusted=True)


def test_what_windows_share_is_not_counted_again() -> None:
    """The training data differ from all windows by the same accident."""
    evidence = alone = 0.0
    for _ in range(1000):
        evidence, alone = update(evidence, 0.01, shared=0.9), update(alone, 0.01)
    assert not is_open(evidence)
    assert is_open(alone)
