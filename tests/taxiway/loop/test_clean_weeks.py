"""Weeks in which nothing changes retrain nothing: the monitor's own statistics on drawn windows, seed by seed."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from benchmarks.monitoring import populations
from components.monitoring.calibration.decide import decide
from tests.components.monitoring.alarms.windows import START
from tests.taxiway.loop.conftest import Site

HOUR = timedelta(hours=1)
WEEK = 7 * 24


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_three_clean_weeks_retrain_nothing_and_a_change_after_them_does(site: Site) -> None:
    chance = np.random.default_rng(16)
    population = populations.mixed(chance, 20, rows=20_000)
    reference = population.reference(chance, 5_000)
    loop, watch = site.loop(cool_down="0s"), site.watch
    name = next(name for name, (kind, _) in population.columns.items() if kind == "number")
    for number in range(3 * WEEK + 24):
        chosen = chance.integers(population.rows, size=500)
        window = population.window(chosen)
        if number >= 3 * WEEK:
            window[name] = population.changed(name, population.columns[name][1][chosen] + 0.5)
        watch.see(number, *decide(reference, window), rows=500)
        found = loop.dry(START + (number + 1) * HOUR)[0]
        if found.begins:
            break
    assert 3 * WEEK <= number < 3 * WEEK + 24
    assert name in found.begins.facts["columns"]
