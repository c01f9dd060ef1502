"""Signed requests trigger once; hostile ones are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.contract.errors import ServiceError, UserError
from taxiway.alerts.webhook import SIGNATURE, signature
from taxiway.lineage.loop import ledger
from taxiway.lineage.loop.cycle import Trigger
from taxiway.lineage.store import LineageStore
from taxiway.loop.settings import parsed
from taxiway.loop.triggers import webhook
from taxiway.network import http_client
from tests.taxiway.loop.conftest import Site

KEY = "a secret"


def settings(site: Site, **changed: Any) -> Any:
    given = {"secret": "env:LOOP_SECRET", "port": 0, **changed}
    return parsed(site.settings(triggers=[{"webhook": given}]))


@pytest.fixture
def port(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setenv("LOOP_SECRET", KEY)
    found = settings(site)

    def put(trigger: Trigger) -> bool:
        store = LineageStore.open(site.home.lineage)
        return ledger.put(store, "taxi", ledger.REQUEST, trigger, key=trigger.id)

    with webhook.serving(found.triggers[0], found.window, put) as port:
        yield port


def post(port: int, body: bytes, header: str | None = None, path: str = "/trigger", method: str = "POST") -> Any:
    headers = {} if header == "" else {SIGNATURE: header or signature(KEY, int(datetime.now(UTC).timestamp()), body)}
    with http_client.pool(seconds=10) as pool:
        answer = pool.request(method, f"http://127.0.0.1:{port}{path}", body=body, headers=headers)
        return answer.status, answer.json()


def requests(site: Site) -> list[Trigger]:
    return list(ledger.read(site.lineage, "taxi").requests)


def test_a_signed_request_is_a_trigger_once(site: Site, port: int) -> None:
    body = json.dumps({"reason": "new prices"}).encode()
    header = signature(KEY, int(datetime.now(UTC).timestamp()), body)
    first = post(port, body, header)
    assert first[0] == 202 and first[1]["new"]
    assert post(port, body, header) == (202, {**first[1], "new": False})
    [found] = requests(site)
    assert (found.id, found.reason) == (first[1]["id"], "a webhook asked for it: new prices")
    loop = site.loop(triggers=[{"webhook": {"secret": "env:LOOP_SECRET"}}])
    assert loop.dry(datetime.now(UTC))[0].begins


def test_a_burst_of_requests_is_one_retraining(site: Site, port: int) -> None:
    for number in range(3):
        assert post(port, json.dumps({"reason": str(number)}).encode())[0] == 202
    loop = site.loop(triggers=[{"webhook": {"secret": "env:LOOP_SECRET"}}])
    loop.tick(datetime.now(UTC))
    [cycle] = site.cycles
    assert cycle.trigger.reason == "a webhook asked for it: 0, and 2 more requests"
    assert len(cycle.trigger.facts["requests"]) == 3


def test_the_window_of_a_request_is_taken(site: Site, port: int) -> None:
    body = b'{"window_start": "2026-01-01", "window_end": "2026-01-03T12:00"}'
    assert post(port, body)[0] == 202
    assert requests(site)[0].facts["window_end"] == "2026-01-03T12:00:00+00:00"


@pytest.mark.parametrize(
    ("body", "header", "status", "said"),
    [
        (b"{}", "", 401, "missing or wrong"),
        (b"{}", "sha256=0", 401, "missing or wrong"),
        # pytest-xdist needs the same name in every process, and the time is in the signature.
        pytest.param(
            b"{}",
            signature("another", int(datetime.now(UTC).timestamp()), b"{}"),
            401,
            "missing or wrong",
            id="another secret",
        ),
        (b"[]", None, 400, "it takes an object"),
        (b"{", None, 400, "The body is not right"),
        (b"\xff\xfe", None, 400, "The body is not right"),
        (b"[" * 30000, None, 400, "The body is not right"),
        (b'{"command": "rm"}', None, 400, "it takes an object"),
        (b'{"reason": 1}', None, 400, "it takes an object"),
        (b'{"window_end": "x"}', None, 400, "window_end is 'x'"),
        (b'{"window_start": "2026-02-01", "window_end": "2026-01-01"}', None, 400, "before it begins"),
        (b" " * 70000, None, 413, "larger than"),
    ],
)
def test_hostile_requests_are_refused(
    site: Site, port: int, body: bytes, header: str | None, status: int, said: str
) -> None:
    found = post(port, body, header)
    assert found[0] == status
    assert said in found[1]["error"]
    assert requests(site) == []


def test_old_signatures_are_refused(site: Site, port: int) -> None:
    for offset in (-400, 400):
        time = int((datetime.now(UTC) + timedelta(seconds=offset)).timestamp())
        assert post(port, b"", signature(KEY, time, b""))[0] == 401
    assert post(port, b"", path="/other")[0] == 404
    assert post(port, b"", method="GET")[0] == 405
    assert requests(site) == []


def test_a_port_that_is_taken_or_a_secret_that_is_not_there_is_told(
    site: Site, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(site, port=port)
    with (
        pytest.raises(ServiceError, match="the webhook cannot listen on"),
        webhook.serving(found.triggers[0], "7d", lambda trigger: True),
    ):
        pass
    monkeypatch.delenv("LOOP_SECRET")
    with (
        pytest.raises(UserError, match="LOOP_SECRET has no secret"),
        webhook.serving(found.triggers[0], "7d", lambda trigger: True),
    ):
        pass
