"""Evidence over time: how long until an alarm, with and without a change.

Streams of windows have one reference each. In river's streams the features keep their distribution, and only what they
mean for the label changes. So a model of least squares is trained on the rows before the reference, and the columns are
the features, its prediction, and whether it was wrong, as labels that come with the window would say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.monitoring import peers
from benchmarks.monitoring.populations import Population, mixed, taxi
from components.monitoring.calibration.decide import decide
from components.monitoring.calibration.evidence import is_open, update
from components.monitoring.calibration.settings import DEFAULTS
from components.monitoring.decision import Decision
from components.monitoring.summaries import Summary

ROWS = 1_000
REFERENCE_ROWS = 10_000
BEFORE, AFTER = 10, 30
"""Windows before and after a change; those of river have more before it, since its false alarms are rare."""
_TRAINED = 2_000
"""Rows on which a stream's model is trained, and which are not compared: on them it is better than on any others."""
Key = tuple[str, str]
Figure = dict[str, Any]


def measured(streams: int, windows: int) -> Iterator[Figure]:
    """Figures of clean streams with so many windows together, of shifts, and of river's streams."""
    for rows in (ROWS, REFERENCE_ROWS):
        yield _clean(streams, windows, rows)
    for shift in (0.05, 0.1, 0.15, 0.3, 1.0):
        yield _shifted(streams, shift)
    yield from _of_river(streams, max(windows // (5 * streams), BEFORE))


def alarms(windows: Iterable[list[Decision]]) -> Iterator[list[Key]]:
    """The alarms that open in each window; their evidence then begins again."""
    evidence: dict[Key, float] = {}
    for decisions in windows:
        opened = []
        for each in decisions:
            key = each.column, each.test
            grown = update(evidence.get(key, 0.0), each.p_value, shared=each.shared, tests=each.tests)
            evidence[key] = grown
            if is_open(grown) and each.signal:
                opened.append(key)
                evidence[key] = 0.0
        yield opened


def _clean(streams: int, windows: int, rows: int) -> Figure:
    chance, population, count = np.random.default_rng(rows), taxi(), 0
    for _ in range(streams):
        reference = population.reference(chance, REFERENCE_ROWS)
        drawn = (population.window(chance.integers(population.rows, size=rows)) for _ in range(windows // streams))
        count += sum(bool(opened) for opened in alarms(decide(reference, window) for window in drawn))
    return {
        "part": "streams",
        "change": "none: taxi trips",
        "rows": rows,
        "streams": streams,
        **_false(windows // streams * streams, count),
        "wanted": DEFAULTS.windows_between_false_alarms,
    }


def _shifted(streams: int, shift: float) -> Figure:
    """One column of 17 moves; alarms of the others are false discoveries."""
    chance = np.random.default_rng(int(shift * 100))
    population, delays, right, wrong = mixed(chance, 17), [], 0, 0
    for _ in range(streams):
        reference = population.reference(chance, REFERENCE_ROWS)
        opened = list(alarms(decide(reference, each) for each in _moving(population, chance, shift)))
        delays.append(_delay(opened[BEFORE:], "number_1"))
        found = {column for keys in opened for column, _ in keys}
        right, wrong = right + ("number_1" in found), wrong + len(found - {"number_1"})
    name = f"one of 17 columns shifted by {shift:g} sd"
    return {**_delays(name, delays), "false_discoveries": round(wrong / max(right + wrong, 1), 3)}


def _moving(population: Population, chance: np.random.Generator, shift: float) -> Iterator[Mapping[str, Summary]]:
    for number in range(BEFORE + AFTER):
        chosen = chance.integers(population.rows, size=ROWS)
        window = population.window(chosen)
        if number >= BEFORE:
            values = population.columns["number_1"][1][chosen] + shift
            window["number_1"] = population.changed("number_1", values)
        yield window


def _of_river(streams: int, before: int) -> Iterator[Figure]:
    path = peers.OUT / "river.npz"
    rows = _TRAINED + REFERENCE_ROWS + ROWS * before
    lack = peers.run("river", "river_streams.py", str(rows), str(ROWS * AFTER), str(streams), str(path))
    if lack:
        yield {"part": "streams", "system": "river", "skipped": lack}
        return
    with np.load(path) as found:
        for name in found.files:
            yield _of_kind(name, found[name], before)
    path.unlink()


def _of_kind(name: str, rows: np.ndarray, before: int) -> Figure:
    delays, false = [], 0
    for stream in rows:
        opened = list(alarms(_watched(stream)))
        false += sum(bool(keys) for keys in opened[:before])
        delays.append(_delay(opened[before:]))
    return {**_delays(f"river: {name}", delays), **_false(len(rows) * before, false)}


def _false(windows: int, count: int) -> Figure:
    """Windows without a change in which an alarm opened."""
    between = round(windows / count) if count else f"more than {windows}"
    return {"clean_windows": windows, "false_alarms": count, "windows_between_false_alarms": between}


def _watched(stream: np.ndarray) -> Iterator[list[Decision]]:
    population = _predicted(stream)
    first = _TRAINED + REFERENCE_ROWS
    reference = population.trained(np.arange(_TRAINED, first), np.random.default_rng(1))
    for begin in range(first, len(stream), ROWS):
        yield decide(reference, population.window(np.arange(begin, begin + ROWS)))


def _predicted(stream: np.ndarray) -> Population:
    """The columns of a stream, and those of a model that was trained on its first rows."""
    features, label = stream[:, :-1], stream[:, -1]
    scaled = (features - features.mean(0)) / np.maximum(features.std(0), 1e-9)
    terms = np.column_stack([np.ones(len(scaled)), scaled, scaled**2, np.abs(scaled)])
    weights = np.linalg.lstsq(terms[:_TRAINED], label[:_TRAINED], rcond=None)[0]
    prediction = terms @ weights
    wrong = ((prediction > 0.5) != (label > 0.5)).astype(int)
    columns = {f"feature_{index}": ("number", values) for index, values in enumerate(features.T)}
    return Population({**columns, "prediction": ("number", prediction), "wrong": ("category", wrong)})


def _delay(opened: list[list[Key]], column: str | None = None) -> int | None:
    """Windows until the first alarm."""
    found = next((number for number, keys in enumerate(opened) if _has(keys, column)), None)
    return None if found is None else found + 1


def _has(keys: list[Key], column: str | None) -> bool:
    return any(column in (None, name) for name, _ in keys)


def _delays(name: str, delays: list[int | None]) -> Figure:
    found = [delay for delay in delays if delay is not None]
    return {
        "part": "streams",
        "change": name,
        "rows": ROWS,
        "streams": len(delays),
        "found": round(len(found) / len(delays), 3),
        "mean_windows": round(float(np.mean(found)), 2) if found else None,
    }
