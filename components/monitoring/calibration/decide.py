"""What has changed in a window, and which of it is more than chance."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from components.monitoring.calibration import statistics
from components.monitoring.calibration.family import LARGEST, Family, family, values
from components.monitoring.calibration.groups import WIDTH, Counts, Grouping, count, grouping
from components.monitoring.calibration.settings import DEFAULTS, Settings
from components.monitoring.calibration.statistics import Tested
from components.monitoring.decision import DEVIATIONS, SHARE, Decision
from components.monitoring.summaries import Reference, Summary

Array: TypeAlias = NDArray[np.float64]
VALUES, MISSING, UNSEEN, TYPES = "values", "missing", "unseen", "types"


class Calibration:
    """What is known of a reference, a version's training data or a slice of them."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.groupings: dict[str, Grouping] = {name: grouping(column) for name, column in reference.columns.items()}
        self.numbers = np.array([column.bins.kind == "number" for column in reference.columns.values()], dtype=bool)
        codes = self._codes()
        self.moves = self._moves(codes)
        self.sample = _sample(reference, codes, self.numbers)

    def _codes(self) -> NDArray[np.int32]:
        """The groups of the sample of rows."""
        codes = np.full(self.reference.codes.shape, WIDTH, dtype=np.int32)
        for index, groups in enumerate(self.groupings.values()):
            given = self.reference.codes[:, index]
            known = (given >= 0) & (given < len(groups.group))
            codes[known, index] = groups.group[given[known]]
        return codes

    def _moves(self, codes: NDArray[np.int32]) -> Array:
        """How far the mean answer of each group is from that of all, in standard deviations; (columns, WIDTH + 1)."""
        scores = self.reference.scores
        scored = np.isfinite(scores)
        moves = np.zeros((len(self.groupings), WIDTH + 1))
        deviation = scores[scored].std() if scored.any() else 0.0
        if deviation == 0:
            return moves
        relative = (scores[scored] - scores[scored].mean()) / deviation
        for index in range(len(moves)):
            groups = codes[scored, index]
            sums, rows = np.bincount(groups, relative, minlength=WIDTH + 1), np.bincount(groups, minlength=WIDTH + 1)
            moves[index] = np.where(rows > 0, sums / np.maximum(rows, 1), 0.0)
        return moves

    def family_of(self, rows: float, reference_rows: float) -> Family:
        """The family for windows of about this size."""
        return self.sample.family(_rounded(min(rows, LARGEST)), _rounded(min(reference_rows, LARGEST)))


class Sample:
    """A sample of training rows, of which windows of each size are simulated once."""

    def __init__(self, codes: NDArray[np.int32], numbers: NDArray[np.bool_]) -> None:
        self.family: Callable[[int, int], Family] = lru_cache(maxsize=64)(
            lambda rows, reference_rows: family(codes, numbers, rows, reference_rows)
        )


_SAMPLES: WeakValueDictionary[bytes, Sample] = WeakValueDictionary()


def _sample(reference: Reference, codes: NDArray[np.int32], numbers: NDArray[np.bool_]) -> Sample:
    """The sample of a reference, which all slices of a version share: what depends on what is the same in them."""
    names = "\0".join(reference.columns).encode()
    content = (np.ascontiguousarray(reference.codes).tobytes(), numbers.tobytes(), names)
    key = hashlib.sha256(b"".join(map(_digest, content))).digest()
    found = _SAMPLES.get(key)
    if found is None:
        found = _SAMPLES[key] = Sample(codes, numbers)
    return found


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _rounded(rows: float) -> int:
    """A size that stands for those near it: three to each power of ten."""
    return round(10 ** (math.floor(3 * math.log10(max(rows, 1.0)) + 0.5) / 3))


_CALIBRATIONS: dict[int, Calibration] = {}
_KEPT = 256
"""References that are kept: a few versions with all of their slices."""


def calibration(reference: Reference) -> Calibration:
    """What is known of a reference; kept for the last few."""
    found = _CALIBRATIONS.get(id(reference))
    if found is None or found.reference is not reference:
        while len(_CALIBRATIONS) >= _KEPT:
            del _CALIBRATIONS[next(iter(_CALIBRATIONS))]
        found = _CALIBRATIONS[id(reference)] = Calibration(reference)
    return found


def decide(
    reference: Reference,
    window: Mapping[str, Summary],
    settings: Settings = DEFAULTS,
    against: Mapping[str, Summary] | None = None,
) -> list[Decision]:
    """What has changed in a window: four tests a column, by how far they move the model's answers.

    Args:
        reference: The training data of the version that answered.
        window: The window's columns; those that training does not have are left out.
        settings: What is asked of a signal.
        against: What the window is compared with instead of the training data, such as the window before.
    """
    return _decided(reference, window, settings, against, 1.0)


def decide_all(
    references: Reference | Mapping[str, Reference],
    windows: Mapping[str, Mapping[str, Summary]],
    settings: Settings = DEFAULTS,
) -> dict[str, list[Decision]]:
    """What has changed in the slices of a window, which together are one family.

    All rows, the slice "", have half of the level for themselves, so that slices cost them little.

    Args:
        references: The training data of each slice, or of all of them.
        windows: The window's columns by slice.
        settings: What is asked of a signal.
    """
    found = {}
    for name, window in windows.items():
        reference = references if isinstance(references, Reference) else references[name]
        found[name] = _decided(reference, window, settings, None, _part(name, windows))
    return found


def _part(name: str, windows: Mapping[str, object]) -> float:
    """The part of the level that a slice has."""
    if len(windows) == 1:
        return 1.0
    if "" not in windows:
        return 1 / len(windows)
    return 0.5 if name == "" else 0.5 / (len(windows) - 1)


def _decided(
    reference: Reference,
    window: Mapping[str, Summary],
    settings: Settings,
    against: Mapping[str, Summary] | None,
    part: float,
) -> list[Decision]:
    known = calibration(reference)
    compared = reference.columns if against is None else against
    names = [name for name in known.groupings if name in window and name in compared]
    if not names:
        return []
    groupings = {name: known.groupings[name] for name in names}
    now = count(groupings, window, training=against is None)
    then = count(groupings, compared, training=against is None)
    chosen = np.array([index for index, name in enumerate(known.groupings) if name in groupings])
    tests = list(_tests(groupings, known.numbers[chosen], now, then, settings, training=against is None))
    adjust = known.family_of(float(now.rows.max()), float(then.rows.max()))
    looked = _Looked(
        names,
        family=adjust,
        others=sum(test.others for test in tests),
        part=part,
        tests=len(tests) * len(names) / part,
        shared=now.rows / np.maximum(now.rows + then.rows, 1.0),
        importance=_importance(known.moves[chosen], now, then),
    )
    return sorted(
        (each for test in tests for each in _decisions(test, looked, settings)),
        key=lambda each: (not each.signal, -each.importance, each.p_value),
    )


@dataclass(frozen=True)
class _Test:
    name: str
    outcome: Tested
    deviations: NDArray[np.bool_]
    """Where the effect is in standard deviations, not a share."""
    floor: Array
    """The least effect that counts."""
    others: int = 0
    """The number of its tests that the simulation of the family does not have."""


def _tests(
    groupings: Mapping[str, Grouping],
    numbers: NDArray[np.bool_],
    now: Counts,
    then: Counts,
    settings: Settings,
    *,
    training: bool,
) -> Iterator[_Test]:
    yield _values(numbers, now, then, settings)
    nowhere: NDArray[np.bool_] = np.zeros(len(numbers), dtype=bool)
    floor = np.full(len(numbers), settings.share)
    missing = statistics.share(now.missing, now.rows, then.missing, then.rows)
    yield _Test(MISSING, missing, nowhere, floor)
    wrong = statistics.share(now.wrong, now.rows, then.wrong, then.rows)
    yield _Test(TYPES, wrong, nowhere, floor, int((then.wrong > 0).sum()))
    unseen = _unseen(groupings, now, then, training=training)
    once = np.array([each.once > 0 for each in groupings.values()])
    unseen = Tested(unseen.effect, np.where(numbers, 1.0, unseen.p_value))
    yield _Test(UNSEEN, unseen, nowhere, floor, int((once & ~numbers).sum()))


def _unseen(groupings: Mapping[str, Grouping], now: Counts, then: Counts, *, training: bool) -> Tested:
    """Values never seen, against how many are expected (Good-Turing): the values that training has once, of all.

    Fewer than expected are no change: they say that training has, by chance, many values once.
    """
    if not training:
        return statistics.share(now.unseen, now.seen, then.unseen, then.seen)
    once = np.array([each.once for each in groupings.values()])
    twice = np.array([each.twice for each in groupings.values()])
    # The estimate varies with the training data more than a count of values would: with those seen twice as well, and
    # not less if nearly all were seen before (Esty).
    ratio = now.seen / np.maximum(then.seen, 1.0)
    again = 1 - once / np.maximum(then.seen, once + 1)
    spread = 1 + 2 * (twice + 1) * ratio / ((once + 1) * again * (1 + ratio))
    found = statistics.share(now.unseen / spread, now.seen / spread, (once + 1) / spread, then.seen / spread)
    effect = now.unseen / np.maximum(now.seen, 1.0) - once / np.maximum(then.seen, 1.0)
    return Tested(effect, np.where(effect > 0, found.p_value, 1.0))


def _values(numbers: NDArray[np.bool_], now: Counts, then: Counts, settings: Settings) -> _Test:
    """Numbers: their location, or the cumulative shares where only these differ enough; categories: all shares."""
    effect, p_value = np.zeros(len(numbers)), np.ones(len(numbers))
    deviations = numbers.copy()
    floor = np.full(len(numbers), settings.variation)
    for kind in (True, False):
        columns = np.flatnonzero(numbers == kind)
        window, reference = now.values[columns], then.values[columns]
        p_value[columns] = values(window, reference, number=kind)
        if kind:
            shift = statistics.location(window, reference).effect
            ks = statistics.kolmogorov_smirnov(window, reference).effect
            deviations[columns] = (np.abs(shift) >= settings.shift) | (ks < settings.ks)
            effect[columns] = np.where(deviations[columns], shift, ks)
            floor[columns] = np.where(deviations[columns], settings.shift, settings.ks)
        else:
            effect[columns] = statistics.chi_square(window, reference).effect
    return _Test(VALUES, Tested(effect, p_value), deviations, floor)


def _importance(moves: Array, now: Counts, then: Counts) -> Array:
    return np.abs(((_shares(now) - _shares(then)) * moves).sum(-1))


def _shares(counts: Counts) -> Array:
    present = 1 - counts.missing / np.maximum(counts.rows, 1.0)
    values_ = counts.values / np.maximum(counts.values.sum(-1), 1.0)[:, None] * present[:, None]
    return np.concatenate([values_, 1 - present[:, None]], axis=1)


@dataclass(frozen=True)
class _Looked:
    """What the tests of a window have in common, by column where it is an array."""

    names: list[str]
    family: Family
    others: int
    part: float
    tests: float
    shared: Array
    importance: Array


def _decisions(test: _Test, looked: _Looked, settings: Settings) -> Iterator[Decision]:
    adjusted = np.minimum(1.0, looked.family.adjusted(test.outcome.p_value, looked.others) / looked.part)
    matters = np.abs(test.outcome.effect) >= test.floor
    for index, name in enumerate(looked.names):
        yield Decision(
            column=name,
            test=test.name,
            effect=float(test.outcome.effect[index]),
            effect_unit=DEVIATIONS if test.deviations[index] else SHARE,
            p_value=float(test.outcome.p_value[index]),
            p_adjusted=float(adjusted[index]),
            signal=bool(adjusted[index] <= settings.level and matters[index]),
            importance=float(looked.importance[index]),
            tests=looked.tests,
            shared=float(looked.shared[index]),
            floor=float(test.floor[index]),
            level=settings.level,
        )
