"""Errors, latency and silence of a window beside the windows before it.

Windows differ from each other by more than chance: load comes and goes. How much they do is measured, and a window has
to stand out from that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from components.monitoring.alarms.facts import Traffic
from components.monitoring.alarms.settings import AlarmSettings
from components.monitoring.alarms.signals import FAR, MODEL, WINDOW, Look, Signal
from components.monitoring.alarms.wording import pictures
from components.monitoring.alarms.wording.words import number, share
from components.monitoring.profile.bars import BARS
from components.monitoring.window import Window

ERRORS, LATENCY, SILENCE = "errors", "latency", "silence"

LATENCY_EDGES = 2.0 ** (np.arange(-12, 81) / 4)
"""Milliseconds between which latencies are counted: 0.125 ms to 17 minutes, each 19 % more than the one before."""

HISTORY = timedelta(days=7)
"""How far back a window is compared with others."""

_KNOWN_ERRORS, _KNOWN_REQUESTS = 1, 100
"""Added to what is known: before the first windows, one request in a hundred may fail."""

_LEAST_WINDOWS = 5
"""With fewer windows before, it is not known how much latency and the number of requests vary."""

_QUANTILES = {0.5: "the median latency", 0.95: "the 95th percentile of the latency"}
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Counts:
    """Of some requests, how many are of a kind."""

    hits: int
    total: int


def by_latency(milliseconds: Iterable[float]) -> list[int]:
    """Requests by latency."""
    found = np.fromiter(milliseconds, np.float64)
    found = found[np.isfinite(found)]
    counts = np.bincount(np.searchsorted(LATENCY_EDGES, found), minlength=len(LATENCY_EDGES) + 1)
    return [int(count) for count in counts]


def found(
    window: Window, traffic: Mapping[int | None, Traffic], history: Sequence[Look], settings: AlarmSettings
) -> list[Signal]:
    """What is to be said of a window's requests; `history` has the windows before it."""
    signals = [each for version, now in traffic.items() for each in _of_version(version, now, history, settings)]
    if not sum(each.requests for each in traffic.values()) and (silent := _silence(window, history)):
        signals.append(silent)
    tests = max(len(signals), 1)
    judged = [_judged(each, min(1.0, each.p_adjusted * tests), settings) for each in signals]
    return [each for each in judged if each.signal or each.p_adjusted <= FAR]


def _judged(signal: Signal, p: float, settings: AlarmSettings) -> Signal:
    floor = {ERRORS: settings.errors_floor, LATENCY: settings.latency_floor, SILENCE: 0.0}[signal.kind]
    is_told = p <= settings.level and (signal.effect or 0.0) >= floor
    return replace(signal, p_adjusted=p, signal=is_told, floor=floor, level=settings.level)


def _of_version(
    version: int | None, now: Traffic, history: Sequence[Look], settings: AlarmSettings
) -> Iterator[Signal]:
    if now.requests >= settings.least_requests:
        yield _errors(version, now, history)
        latencies = (look.signal.latency for look in _quiet(history, version, LATENCY))
        before = [each for each in latencies if each and any(each)]
        if len(before) >= _LEAST_WINDOWS and any(now.latency):
            yield _latency(version, now, np.array(before))


def _quiet(history: Sequence[Look], version: int | None, kind: str) -> list[Look]:
    """A version's windows in which nothing of a kind was found."""
    loud = {look.start for look in history if look.signal.kind == kind and look.signal.signal and _is(look, version)}
    return [look for look in history if look.signal.kind == WINDOW and _is(look, version) and look.start not in loud]


def _is(look: Look, version: int | None) -> bool:
    return look.signal.version == version and not look.signal.slice


def _errors(version: int | None, now: Traffic, history: Sequence[Look]) -> Signal:
    before = [Counts(look.signal.errors or 0, look.signal.requests or 0) for look in _quiet(history, version, ERRORS)]
    before = [each for each in before if each.total]
    known = Counts(
        sum(each.hits for each in before) + _KNOWN_ERRORS, sum(each.total for each in before) + _KNOWN_REQUESTS
    )
    share_now = now.errors / now.requests
    share_before = (known.hits - _KNOWN_ERRORS) / (known.total - _KNOWN_REQUESTS) if before else 0.0
    was = f", was {share(share_before)}" if before else ""
    return Signal(
        version=version,
        slice="",
        kind=ERRORS,
        column="errors",
        rows=now.requests,
        p_adjusted=rise(Counts(now.errors, now.requests), known, before),
        effect=share_now - share_before,
        effect_unit="share of requests",
        what=f"{share(share_now)} of requests fail{was}",
        picture=pictures.shares("errors", "failed", share_before, share_now),
    )


def rise(now: Counts, known: Counts, windows: Sequence[Counts]) -> float:
    """How probable a share as high as this is: Fisher's exact test, with counts divided by how far windows scatter."""
    from scipy import stats

    scatter = _scatter(windows)
    hits, total = math.floor(now.hits / scatter), math.ceil(now.total / scatter)
    known_hits = math.ceil(known.hits / scatter)
    known_total = max(math.floor(known.total / scatter), known_hits)
    p = float(stats.hypergeom.sf(hits - 1, known_total + total, known_hits + hits, total))
    # Few windows tell little of how far they scatter.
    return p if scatter <= 1 else float(stats.t.sf(stats.norm.isf(p), len(windows) - 1))


def _scatter(windows: Sequence[Counts]) -> float:
    """The variance between windows, divided by what chance makes of it; at least 1."""
    totals = np.array([each.total for each in windows], float)
    hits = np.array([each.hits for each in windows], float)
    if len(windows) < 2 or not 0 < hits.sum() < totals.sum():
        return 1.0
    part = hits.sum() / totals.sum()
    return max(1.0, float(((hits - totals * part) ** 2 / (totals * part * (1 - part))).sum() / (len(windows) - 1)))


def _latency(version: int | None, now: Traffic, before: NDArray[np.int64]) -> Signal:
    """The median and the 95th percentile; the more striking one is told."""
    counts, pooled = np.array(now.latency), before.sum(axis=0)
    tested = {part: _above(part, counts, before) for part in _QUANTILES}
    part = min(tested, key=lambda each: tested[each])
    old, new = _quantile(pooled, part), _quantile(counts, part)
    return Signal(
        version=version,
        slice="",
        kind=LATENCY,
        column="latency",
        rows=now.requests,
        p_adjusted=min(1.0, len(tested) * tested[part]),
        effect=new / old - 1,
        effect_unit="share of the latency before",
        what=f"{_QUANTILES[part]} is {number(new)} ms, was {number(old)} ms",
        picture=_latency_picture(counts, pooled),
    )


def _above(part: float, counts: NDArray[np.int64], before: NDArray[np.int64]) -> float:
    """How probable it is that so many requests take longer than a quantile of those before."""
    pooled = before.sum(axis=0)
    cut = int(np.searchsorted(np.cumsum(pooled), part * pooled.sum())) + 1
    windows = [Counts(int(each[cut:].sum()), int(each.sum())) for each in before]
    known = Counts(int(pooled[cut:].sum()), int(pooled.sum()))
    return rise(Counts(int(counts[cut:].sum()), int(counts.sum())), known, windows)


def _quantile(counts: NDArray[np.int64], part: float) -> float:
    """A quantile in milliseconds, between the edges by the logarithm."""
    steps = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    edges = np.log2(np.concatenate([LATENCY_EDGES[:1] / 2, LATENCY_EDGES, LATENCY_EDGES[-1:] * 2]))
    place = int(np.searchsorted(steps, part))
    inside = (part - steps[place - 1]) / (steps[place] - steps[place - 1])
    return float(2 ** (edges[place - 1] + inside * (edges[place] - edges[place - 1])))


def _latency_picture(now: NDArray[np.int64], before: NDArray[np.int64]) -> str:
    """At most 40 of the bins: those in which there are requests."""
    used = np.flatnonzero(now + before)
    first, last = int(used[0]), int(used[-1])
    step = (last - first) // BARS + 1
    cuts = list(range(first, last + 1, step))
    edges = [_edge(cut) for cut in cuts] + [_edge(cuts[-1] + step)]
    shares = [np.add.reduceat(each[first : last + 1], np.array(cuts) - first) / each.sum() for each in (before, now)]
    return pictures.bars("latency in ms", edges, *(each.tolist() for each in shares))


def _edge(number_of_bin: int) -> float:
    return float(LATENCY_EDGES[0] * 2 ** ((number_of_bin - 1) / 4))


def _silence(window: Window, history: Sequence[Look]) -> Signal | None:
    """No request where there usually are: at the same time of other days if there are three of them."""
    before = _requests(window, history)
    same_time = [count for start, count in before.items() if not (window.start - start) % _DAY]
    counts = np.array(same_time if len(same_time) >= 3 else list(before.values()), float)
    if len(before) < _LEAST_WINDOWS or not counts.sum():
        return None
    usual = float(np.median(counts))
    return Signal(
        version=None,
        slice="",
        kind=SILENCE,
        column="requests",
        rows=0,
        p_adjusted=max(_none_at_all(counts), float((counts == 0).mean())),
        effect=1.0,
        effect_unit="share of requests",
        what=f"there is no request, where there usually are about {number(usual)} in {window.length}",
    )


def _requests(window: Window, history: Sequence[Look]) -> dict[datetime, int]:
    """The requests by window from the first one known; windows that nobody looked at had none."""
    known = {look.start: look.signal.requests or 0 for look in history if look.signal.kind == MODEL}
    length = window.end - window.start
    if not known:
        return {}
    steps = int((window.start - min(known)) / length)
    return {start: known.get(start, 0) for n in range(1, steps + 1) for start in [window.start - n * length]}


def _none_at_all(counts: NDArray[np.float64]) -> float:
    """The probability of no request, by a negative binomial distribution that varies by at least half its mean."""
    mean, variance = float(counts.mean()), float(counts.var(ddof=1)) if len(counts) > 1 else 0.0
    size = mean**2 / max(variance - mean, 0.25 * mean**2)
    return float((1 + mean / size) ** -size)
