"""Errors, latency and silence are told when they stand out from the windows before."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from components.monitoring.alarms.facts import Facts, Traffic
from components.monitoring.alarms.settings import AlarmSettings
from components.monitoring.alarms.signals import Look
from components.monitoring.alarms.traffic import by_latency, found
from components.monitoring.alarms.update import _marks
from components.monitoring.window import Window
from tests.components.monitoring.alarms.windows import HOUR, START, Watch


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path)


def see(watch: Watch, number: int, requests: int, errors: int = 0, latency: object = ()) -> list[tuple[str, str]]:
    now = Traffic(requests, errors, by_latency(latency))  # type: ignore[arg-type]
    found = watch.see(number, rows=requests, traffic={1: now})
    return [(change.event, change.alarm.kind) for change in found]


def test_a_higher_share_of_errors(watch: Watch) -> None:
    for number in range(6):
        assert see(watch, number, 1000, 1) == []
    assert see(watch, 6, 1000, 60) == [("opened", "errors")]
    assert watch.alarms[0].sentence == ("taxi version 1: 6.0 % of requests fail, was 0.1 %, since 2026-01-05 06:00 UTC")
    assert see(watch, 7, 1000, 60) == []  # the bad window is not what the next one is compared with


def test_few_requests_say_nothing(watch: Watch) -> None:
    see(watch, 0, 1000)
    assert see(watch, 1, 3, 3) == []


def test_a_model_that_fails_from_the_start(watch: Watch) -> None:
    assert see(watch, 0, 500, 400) == [("opened", "errors")]
    assert watch.alarms[0].sentence.startswith("taxi version 1: 80.0 % of requests fail, since")


def test_a_rise_below_the_floor_is_none(watch: Watch) -> None:
    for number in range(6):
        see(watch, number, 100_000, 100)
    assert see(watch, 6, 100_000, 600) == []


def test_errors_that_come_in_bursts_are_no_news(watch: Watch) -> None:
    errors = [0, 60, 5, 0, 90, 10, 40, 0, 70, 20]
    told = [found for number, count in enumerate(errors) for found in see(watch, number, 1000, count)]
    watch.refresh(START)
    assert ("opened", "errors") not in told[1:]
    assert see(watch, 10, 1000, 80) == []


@pytest.mark.parametrize("slow", [3.0, 1.0])
def test_latency(watch: Watch, slow: float) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        assert see(watch, number, 1000, latency=rng.lognormal(2.5, 0.5, 1000) * (1 + 0.02 * number)) == []
    found = see(watch, 6, 1000, latency=rng.lognormal(2.5, 0.5, 1000) * slow)
    assert found == ([("opened", "latency")] if slow > 1 else [])
    if slow > 1:
        [alarm] = watch.alarms
        assert "the 95th percentile of the latency is 85.6 ms, was 29.9 ms" in alarm.sentence
        picture = json.loads(alarm.picture or "")
        assert sum(each["now"] for each in picture["bins"]) == pytest.approx(1, abs=0.01)


def test_a_slow_tail(watch: Watch) -> None:
    rng = np.random.default_rng(1)
    for number in range(6):
        see(watch, number, 2000, latency=rng.lognormal(2.5, 0.5, 2000))
    latency = rng.lognormal(2.5, 0.5, 2000)
    latency[:300] *= 20
    see(watch, 6, 2000, latency=latency)
    assert "the 95th percentile of the latency is" in watch.alarms[0].sentence


def test_silence_where_there_usually_are_requests(watch: Watch) -> None:
    for number in range(8):
        see(watch, number, 1000 + 10 * number)
    found = watch.see(8, rows=0, traffic={})
    assert [(each.event, each.alarm.kind) for each in found] == [("opened", "silence")]
    assert found[0].alarm.sentence == (
        "taxi: there is no request, where there usually are about 1,040 in 1h, since 2026-01-05 08:00 UTC"
    )
    assert see(watch, 9, 1000) == [("closed", "silence")]


def signals(windows: Iterable[tuple[int, Traffic | None]]) -> list[tuple[int, str]]:
    """The signals in windows, by the number of their hours; None for a window that nobody computes."""
    history: list[Look] = []
    told = []
    for number, now in windows:
        start, end = START + number * HOUR, START + (number + 1) * HOUR
        traffic = {1: now} if now else {}
        signals = found(Window("taxi", start, end, "1h"), traffic, history, AlarmSettings())
        marks = _marks(Facts(traffic=traffic)) if now else []
        history += [Look(start, end, "1h", each) for each in (*signals, *marks)]
        told += [(number, each.kind) for each in signals if each.signal]
    return told


def test_silence_at_night_is_usual() -> None:
    """By day there are requests, at night none."""
    days = [(number, Traffic(500) if 6 <= number % 24 < 22 else None) for number in range(24 * 5)]
    night, noon = (24 * 5 + 3, None), (24 * 5 + 12, None)
    assert [each for each in signals([*days, night, noon]) if each[0] > 24] == [(noon[0], "silence")]


def test_windows_whose_latency_always_varies_raise_nothing() -> None:
    """With 2,000 requests a window, each differs from the others by far more than chance."""
    rng = np.random.default_rng(2)
    latencies = (rng.lognormal(2.5 + rng.normal(0, 0.3), 0.5, 2000) for _ in range(300))
    told = signals((number, Traffic(2000, 0, by_latency(each))) for number, each in enumerate(latencies))
    assert len(told) <= 15


def test_clean_traffic_raises_few_signals() -> None:
    rng = np.random.default_rng(3)
    windows = (
        (number, Traffic(400, int(rng.binomial(400, 0.02)), by_latency(rng.lognormal(2.5, 0.5, 400))))
        for number in range(300)
    )
    assert len(signals(windows)) <= 15
