"""What comes next in a rollout, with a clock of numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from taxiway.delivery.advance import Evidence, advance, placed
from taxiway.delivery.rollout import (
    FAILURE,
    INCONCLUSIVE,
    PAUSED,
    PROMOTED,
    ROLLED_BACK,
    RUNNING,
    SUCCESS,
    Reading,
    Rollout,
    aborted,
    approved,
    begun,
    from_json,
)
from taxiway.delivery.settings import Delivery, Step, Weights

START = datetime(2026, 11, 28, 9, tzinfo=UTC)
SETTINGS = Delivery(
    Weights(route=("http://127.0.0.1:8602",)),
    steps=(Step(5, timedelta(minutes=1), 100), Step(50, timedelta(minutes=1), 100, approval=True), Step(100)),
)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def evidence(seconds: float, requests: int = 100, verdict: str = SUCCESS, sentence: str = "as good") -> Evidence:
    return Evidence([Reading("errors", verdict, sentence)], requests, at(seconds))


@pytest.fixture
def first() -> Rollout:
    """A rollout whose first weights are in place."""
    return placed(begun("taxi", 1, 2, START), START, SETTINGS)


def second(first: Rollout) -> Rollout:
    return placed(advance(first, evidence(60), at(60), SETTINGS), at(60), SETTINGS)


def test_nothing_happens_before_the_weights_are_written() -> None:
    rollout = begun("taxi", 1, 2, START)
    assert replace(advance(rollout, evidence(9, 1000), at(900), SETTINGS), readings=()) == rollout


def test_a_step_needs_its_time_and_its_requests(first: Rollout) -> None:
    early = advance(first, evidence(59), at(59), SETTINGS)
    assert (early.state, early.step, early.reason) == (RUNNING, 0, "5 % until 09:01:00 UTC at least")
    few = advance(first, evidence(60, 99), at(60), SETTINGS)
    assert (few.state, few.step, few.reason) == (RUNNING, 0, "99 of 100 requests at 5 %")
    moved = advance(first, evidence(60), at(60), SETTINGS)
    assert (moved.state, moved.step, moved.since, moved.verdict) == (RUNNING, 1, None, SUCCESS)


def test_a_failed_guardrail_takes_back_at_once(first: Rollout) -> None:
    after = advance(first, evidence(1, 1, FAILURE, "errors: 2 % instead of 0 %"), at(1), SETTINGS)
    assert (after.state, after.verdict, after.reason) == (ROLLED_BACK, FAILURE, "errors: 2 % instead of 0 %")
    assert not after.settled and after.ended == at(1)


def test_inconclusive_pauses_and_goes_on_when_evidence_comes(first: Rollout) -> None:
    paused = advance(first, evidence(60, verdict=INCONCLUSIVE, sentence="too few outcomes"), at(60), SETTINGS)
    assert (paused.state, paused.verdict, paused.reason) == (PAUSED, INCONCLUSIVE, "too few outcomes")
    still = advance(paused, evidence(70, verdict=INCONCLUSIVE), at(70), SETTINGS)
    assert (still.state, still.paused) == (PAUSED, at(60))
    assert advance(still, evidence(80), at(80), SETTINGS).step == 1


def test_a_person_ends_a_pause(first: Rollout) -> None:
    early = approved(first, "ana", "looks fine", at(30))
    paused = advance(early, evidence(60, verdict=INCONCLUSIVE), at(60), SETTINGS)
    assert paused.state == PAUSED  # an approval from before the pause does not know of it
    said = approved(paused, "ana", "known", at(65))
    assert advance(said, evidence(66, verdict=INCONCLUSIVE), at(66), SETTINGS).step == 1
    assert advance(said, evidence(66, verdict=FAILURE), at(66), SETTINGS).state == ROLLED_BACK


def test_a_pause_ends_after_its_limit(first: Rollout) -> None:
    paused = advance(first, evidence(60, verdict=INCONCLUSIVE, sentence="too few outcomes"), at(60), SETTINGS)
    later = at(60) + SETTINGS.pause_limit
    over = advance(paused, replace(evidence(0, verdict=INCONCLUSIVE), last=later), later, SETTINGS)
    assert (over.state, over.reason) == (ROLLED_BACK, "the pause lasted too long: too few outcomes")


def test_silence_pauses(first: Rollout) -> None:
    silent = advance(first, Evidence(trouble="the proxy does not answer"), at(61), SETTINGS)
    assert (silent.state, silent.verdict, silent.reason) == (PAUSED, INCONCLUSIVE, "the proxy does not answer")
    idle = advance(first, evidence(0, 7), at(61), SETTINGS)
    assert idle.reason == "no requests since 2026-11-28 09:00:00 UTC"
    assert advance(idle, evidence(62, 8), at(62), SETTINGS).state == RUNNING


def test_a_step_with_approval_waits_for_it(first: Rollout) -> None:
    waiting = advance(second(first), evidence(130), at(130), SETTINGS)
    assert (waiting.state, waiting.verdict) == (PAUSED, SUCCESS)
    assert waiting.reason == "waits for a person's approval at 50 %"
    assert advance(approved(waiting, "ana", "", at(140)), evidence(141), at(141), SETTINGS).step == 2
    before = approved(second(first), "ana", "", at(70))
    assert advance(before, evidence(119), at(119), SETTINGS).step == 1
    assert advance(before, evidence(130), at(130), SETTINGS).step == 2


def test_the_last_success_promotes(first: Rollout) -> None:
    last = replace(first, step=2)
    settings = replace(SETTINGS, steps=(*SETTINGS.steps[:2], Step(100, timedelta(0), 0)))
    done = advance(last, Evidence(), at(0), settings)
    assert (done.state, done.settled, done.ended) == (PROMOTED, False, at(0))
    assert advance(done, evidence(9, verdict=FAILURE), at(9), settings) == done


def test_taken_back_by_a_person(first: Rollout) -> None:
    assert aborted(first, "ana", "wrong version", at(5)).reason == "ana took it back: wrong version"


def test_a_rollout_is_the_same_after_json(first: Rollout) -> None:
    rollout = approved(advance(first, evidence(60), at(60), SETTINGS), "ana", "fine", at(61))
    rollout = replace(rollout, gathered={"errors": [1.5, 2.5]})
    assert from_json(rollout.to_json()) == rollout
