"""The pages on loops: the time line, the rollout, and the word of a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from taxiway.delivery.keeper import Keeper
from taxiway.lineage.loop import cycles, ledger
from taxiway.lineage.store import LineageStore
from taxiway.storage.home import Home
from tests.components.reports.monitoring.watched import ALARM
from tests.components.reports.parsed import Page
from tests.taxiway.ui.loop.looped import HAND, MODEL, PAUSE, RUN, fill_loop
from tests.taxiway.ui.served import Client, served


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("TAXIWAY_LINEAGE", raising=False)
    fill_loop(Home(tmp_path))
    with served(Home(tmp_path)) as found:
        yield found


def test_models_are_listed_with_what_waits(client: Client) -> None:
    page = Page(client.html("/loop"))
    assert page.wrong == []
    row = page.tables["Models"].row(MODEL)
    assert (row["State"], row["Triggered by"], row["Cycles"]) == ("! waits for approval", "alarm", "2")
    assert page.tables["Models"].row(HAND)["State"] == "running"
    found = {each["model"]: each for each in client.json("/loop")["models"]}
    assert (found[MODEL]["waits"], found[HAND]["waits"]) == (True, False)


def test_the_time_line_leads_from_the_alarm_to_what_waits(client: Client) -> None:
    page = Page(client.html(f"/loop/{MODEL}"))
    assert page.wrong == []
    line = page.text.rpartition("The latest cycle")[2]
    places = [line.index(word) for word in ("alarm", "the run", "judged better", "rollout", "waits", "goes on")]
    assert places == sorted(places)
    links = [link["href"] for link in page.all("a")]
    assert {f"/monitoring/{MODEL}/alarms/{ALARM}", f"/runs/{RUN}", f"/runs/{RUN}/report.html"} <= set(links)
    assert "10 %" in page.text and "90 %" in page.text
    assert page.tables["Guardrails"].row("business")["Verdict"] == "! inconclusive"


def test_earlier_cycles_have_pages(client: Client) -> None:
    [earlier] = client.json(f"/loop/{MODEL}")["cycles"][1:]
    page = Page(client.html(f"/loop/{MODEL}/cycles/{earlier['id']}"))
    assert page.wrong == []
    assert "every step was a success" in page.text and "goes on" not in page.text


def test_without_a_loop_the_page_says_how_to_begin(tmp_path: Path) -> None:
    with served(Home(tmp_path / "home")) as empty:
        assert "taxiway loop init MODEL" in Page(empty.html("/loop")).text
        assert empty.get("/loop/nobody").status == 404
        assert empty.get("/loop/..%2F..").status == 404


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_a_person_decides_by_a_form(client: Client, word: str) -> None:
    place, sent = f"/loop/{MODEL}", _form(client, MODEL)
    for wrong in ({"by": " "}, {"by": "x" * 201}, {"reason": "x" * 1001}, {"at": "another/3"}):
        assert client.send(f"{place}/{word}", {**sent, **wrong}).status == 400
    assert client.send(f"{place}/{word}", {**sent, "form_token": "0" * 64}).status == 403
    done = client.send(f"{place}/{word}", sent)
    assert (done.status, done.headers["Location"]) == (303, place)
    known = ledger.read(LineageStore.open(client.site.home.lineage), MODEL)
    [answer] = known.answers
    assert known.current
    assert (answer.approves, answer.by, answer.reason) == (word == "approve", "dispatch", "right more often")
    assert answer.at == len(known.current.events)


def test_a_rollout_that_was_started_by_hand_is_taken_back(client: Client) -> None:
    sent, place = _form(client, HAND), "/loop/by%20hand"
    assert client.send(f"{place}/reject", sent).status == 303
    [said] = (client.site.home.rollouts / HAND / "said").glob("*.json")
    assert json.loads(said.read_text())["kind"] == "abort"
    keeper = Keeper(client.site.home.rollouts / HAND)
    assert keeper.said(keeper.require(), keeper.require().started).reason.startswith("dispatch took it back")


def test_what_goes_on_meanwhile_is_not_approved(client: Client) -> None:
    """The step that a person has looked at is over: the word is not taken for the next one."""
    sent = _form(client, MODEL)
    keeper = Keeper(client.site.home.rollouts / MODEL)
    assert keeper.require().reason == PAUSE
    store = LineageStore.open(client.site.home.lineage)
    current = ledger.read(store, MODEL).current
    assert current
    assert cycles.add(store, current, current.events[-1])
    answer = client.send(f"/loop/{MODEL}/approve", sent)
    assert answer.status == 400 and "has gone on since" in answer.data.decode()
    assert ledger.read(store, MODEL).answers == ()


def _form(client: Client, model: str) -> dict[str, str]:
    path = f"/loop/{model.replace(' ', '%20')}"
    token = client.form_token(path)
    [at] = [field["value"] for field in Page(client.html(path)).all("input") if field.get("name") == "at"]
    return {"form_token": token, "at": str(at), "by": "dispatch", "reason": "right more often"}
