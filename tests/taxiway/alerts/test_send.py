"""Every change is told once to every receiver, even if one is away for an hour or the monitor is killed."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.monitoring.alarms import mutes
from components.monitoring.alarms.acknowledge import acknowledge
from components.monitoring.alarms.settings import Mute
from taxiway.alerts.send import Outcome, send
from taxiway.alerts.settings import Alerts, Webhook
from taxiway.alerts.webhook import signature
from tests.components.monitoring.alarms.windows import HOUR, STRONG, Watch
from tests.taxiway.alerts.receivers import NOW, Receiver, close_all, receiver, two_alarms

MINUTE = timedelta(minutes=1)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def told(watch: Watch, url: str, now: Any = NOW, **settings: Any) -> list[Outcome]:
    hooks = Alerts(webhooks=(Webhook(url, **settings),))
    return send(watch.store, "taxi", hooks, now=now, sleep=lambda seconds: None)


def test_the_alarms_of_a_window_are_one_message_by_importance(tmp_path: Path, hook: Receiver) -> None:
    watch = two_alarms(tmp_path)
    assert [outcome.error for outcome in told(watch, hook.url)] == [""]
    [body] = hook.bodies
    assert (body["schema"], body["event"], body["model"]) == ("taxiway.alarms/v1", "opened", "taxi")
    assert [alarm["column"] for alarm in body["alarms"]] == ["payment_type", "trip_miles", "gone"]
    assert body["alarms"][0]["picture"]["values"][-1] == {
        "value": "Prcard",
        "before": 0,
        "now": 0.04556,
        "is_new": True,
    }
    assert body["alarms"][2]["picture"] is None
    assert body["text"].splitlines()[:2] == ["taxi: 3 alarms:", body["alarms"][0]["sentence"]]
    assert told(watch, hook.url) == []


def test_each_change_is_told_once(tmp_path: Path, hook: Receiver) -> None:
    watch = two_alarms(tmp_path)
    events = ["opened", "acknowledged", "closed"]
    told(watch, hook.url, on=events)
    acknowledge(watch.store, watch.alarms[0].alarm, "ann", NOW)
    told(watch, hook.url, on=events)
    close_all(watch)
    for _ in range(2):
        told(watch, hook.url, NOW + 4 * HOUR, on=events)
    assert [(body["event"], len(body["alarms"])) for body in hook.bodies] == [
        ("opened", 3),
        ("acknowledged", 1),
        ("closed", 3),
    ]
    changes = [alarm["change"] for body in hook.bodies for alarm in body["alarms"]]
    assert len(set(changes)) == len(changes) == 7


def test_a_receiver_that_is_away_for_an_hour_gets_all_of_it(tmp_path: Path, hook: Receiver) -> None:
    watch = two_alarms(tmp_path)
    hook.statuses = [503] * 9
    passes = [told(watch, hook.url, NOW + number * 30 * MINUTE) for number in range(3)]
    assert [outcome.error.partition(":")[0] for [outcome] in passes] == ["127.0.0.1 answers 503"] * 3
    close_all(watch)
    assert [outcome.error for outcome in told(watch, hook.url, NOW + 4 * HOUR)] == ["", ""]
    assert [body["event"] for body in hook.bodies[9:]] == ["opened", "closed"]
    assert len({body["id"] for body in hook.bodies[:10]}) == 1


def test_a_receiver_that_is_away_is_not_asked_all_the_time(tmp_path: Path, hook: Receiver) -> None:
    watch = two_alarms(tmp_path)
    hook.statuses = [500] * 99
    for seconds in range(0, 120, 10):
        told(watch, hook.url, NOW + timedelta(seconds=seconds))
    assert len(hook.requests) == 2 * 3


def test_a_dead_receiver_costs_seconds_and_stops_nobody_else(tmp_path: Path, hook: Receiver) -> None:
    watch = two_alarms(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = f"http://127.0.0.1:{server.getsockname()[1]}"
    hooks = Alerts(webhooks=(Webhook(dead), Webhook(hook.url)))
    begun = time.monotonic()
    outcomes = send(watch.store, "taxi", hooks, now=NOW, sleep=lambda seconds: None)
    assert time.monotonic() - begun < 10
    assert [outcome.error for outcome in outcomes] == ["127.0.0.1 does not answer: NewConnectionError", ""]


def test_after_three_days_it_is_given_up_and_a_new_receiver_gets_no_history(tmp_path: Path, hook: Receiver) -> None:
    watch = two_alarms(tmp_path)
    assert told(watch, hook.url, NOW + timedelta(days=4)) == []
    assert hook.requests == []


def test_suspected_and_muted_alarms_are_not_told(tmp_path: Path, hook: Receiver) -> None:
    watch = Watch(tmp_path)
    mutes.add(watch.store, "taxi", Mute("trip_miles", until=NOW + HOUR), by="ann")
    watch.see(0, STRONG)
    assert told(watch, hook.url) == []
    watch.refresh(NOW + HOUR)
    assert [len(outcome.message.changes) for outcome in told(watch, hook.url, NOW + HOUR) if outcome.message] == [1]


def _send_and_die(folder: Path, url: str) -> None:
    from taxiway.alerts import outbox

    outbox.record = lambda *arguments: os._exit(9)  # type: ignore[assignment]
    told(Watch(folder), url)


def test_a_killed_monitor_tells_it_again_with_the_same_id(tmp_path: Path, hook: Receiver) -> None:
    watch = two_alarms(tmp_path)
    process = multiprocessing.get_context("spawn").Process(target=_send_and_die, args=(tmp_path, hook.url))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert told(watch, hook.url) == []  # the other may still be at it
    told(watch, hook.url, NOW + MINUTE)
    assert told(watch, hook.url, NOW + 2 * MINUTE) == []
    assert [body["id"] for body in hook.bodies] == [hook.bodies[0]["id"]] * 2


def _send_at_once(folder: Path, url: str, barrier: Any) -> None:
    barrier.wait()
    told(Watch(folder), url)
    os._exit(0)


def test_two_monitors_at_once_tell_it_once(tmp_path: Path, hook: Receiver) -> None:
    two_alarms(tmp_path)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    both = [context.Process(target=_send_at_once, args=(tmp_path, hook.url, barrier)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    changes = [alarm["change"] for body in hook.bodies for alarm in body["alarms"]]
    assert sorted(changes) == sorted(set(changes))
    assert len(changes) == 3


def test_messages_are_signed(tmp_path: Path, hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", "s3cret")
    told(two_alarms(tmp_path), hook.url, secret="env:HOOK_KEY")
    [(_, headers, body)] = hook.requests
    stamp, _, found = headers["X-Taxiway-Signature"].partition(",v1=")
    sent = json.dumps(body, ensure_ascii=False).encode()
    seconds = stamp.removeprefix("t=")
    assert hmac.new(b"s3cret", f"{seconds}.".encode() + sent, hashlib.sha256).hexdigest() == found
    assert signature("s3cret", int(seconds), sent) == f"{stamp},v1={found}"
    assert headers["X-Taxiway-Message"] == body["id"]


def test_slack(tmp_path: Path, hook: Receiver) -> None:
    watch = two_alarms(tmp_path)
    told(watch, hook.url, format="slack")
    close_all(watch)
    told(watch, hook.url, NOW + 4 * HOUR, format="slack")
    first, second = hook.bodies
    assert first["text"] == "taxi: 3 alarms"
    texts = [block["text"]["text"] for block in first["blocks"][:-1]]
    assert texts[0] == "*taxi: 3 alarms*"
    assert texts[2].startswith(":rotating_light: taxi version 1: trip_miles: median 2.5")
    assert "-&gt; 5.25" in texts[2]
    assert second["text"] == "over: taxi: 3 alarms"


def test_urls_and_keys_are_in_no_message_and_no_log(
    tmp_path: Path, hook: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch = two_alarms(tmp_path)
    hook.statuses = [404] * 3
    monkeypatch.setenv("HOOK_URL", f"{hook.url}/services/s3cret")
    with caplog.at_level(logging.DEBUG, logger="taxiway"):
        [outcome] = told(watch, "env:HOOK_URL")
    assert outcome.error == "127.0.0.1 answers 404: {}"
    rows = watch.store.read("deliveries").to_pylist()
    assert "s3cret" not in f"{outcome}{rows}{caplog.text}"
    (tmp_path / "url").write_text(f"{hook.url}/file\n")
    assert [each.error for each in told(watch, f"file:{tmp_path}/url", NOW + HOUR)] == [""]
    [missing] = told(watch, "env:NO_SUCH_URL", NOW + HOUR)
    assert missing.error == "the environment variable NO_SUCH_URL has no secret"


def test_an_endless_answer_is_not_read(tmp_path: Path) -> None:
    with receiver(lambda path, body: "x" * 10_000_000) as found:
        found.statuses = [500] * 3
        [outcome] = told(two_alarms(tmp_path), found.url)
    assert len(outcome.error) < 400


def test_redirects_are_not_followed(tmp_path: Path, hook: Receiver) -> None:
    hook.statuses = [302] * 3
    assert told(two_alarms(tmp_path), hook.url)[0].error.startswith("127.0.0.1 answers 302")
