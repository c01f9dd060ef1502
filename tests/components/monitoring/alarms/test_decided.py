"""Alarms of windows that the calibration itself has decided on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from components.monitoring.alarms.alarm import from_table
from components.monitoring.alarms.facts import Facts, Part, Traffic
from components.monitoring.alarms.update import update
from components.monitoring.calibration.decide import decide
from components.monitoring.store import Store
from components.monitoring.summaries import Reference
from components.monitoring.window import Window
from tests.components.monitoring.alarms.windows import HOUR, START, numbers

RNG = np.random.default_rng(7)
TRAINING = {
    "trip_miles": numbers("trip_miles", RNG.gamma(2, 1.45, 5000)),
    "tips": numbers("tips", RNG.gamma(2, 1, 5000)),
}
CODES = RNG.integers(0, 80, (500, 2)).astype(np.int32)
REFERENCE = Reference(1, "digest", TRAINING, CODES, CODES[:, 0] / 80)


def test_a_column_breaks_and_is_repaired(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "taxi"))
    told = []
    for number in range(16):
        shift = 1.0 if 8 <= number < 11 else 0.0
        window = {
            "trip_miles": numbers("trip_miles", RNG.gamma(2, 1.45, 1000) + shift),
            "tips": numbers("tips", RNG.gamma(2, 1, 1000)),
        }
        part = Part(1000, decide(REFERENCE, window), window, TRAINING)
        start = START + number * HOUR
        facts = Facts({(1, ""): part}, {1: Traffic(1000)})
        changes = update(store, Window("taxi", start, start + HOUR, "1h"), facts, start + HOUR + timedelta(minutes=1))
        told += [(number, each.event, each.alarm.column) for each in changes if each.alarm.opened]
    assert told == [(8, "opened", "trip_miles"), (13, "closed", "trip_miles")]
    [alarm] = [each for each in from_table(store.read("alarms")) if each.opened]
    assert "trip_miles: median 2.5 -> 3.5 (" in alarm.sentence
    assert "standard deviations with it" in alarm.sentence
    # The sentence has the effect that decided, and the alarm what the settings ask for.
    assert f"({alarm.effect:+.2f} standard deviations by rank)" in alarm.sentence
    assert (alarm.floor, alarm.level, alarm.evidence_needed) == (0.05, 0.05, 1000)
