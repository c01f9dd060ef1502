"""The pages on models: versions, who serves them, and rollbacks that nobody starts by accident."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from taxiway.lineage.store import LineageStore
from taxiway.storage.home import Home
from tests import loopback
from tests.components.reports.parsed import HOSTILE, Page
from tests.taxiway.ui.served import Client, served
from tests.taxiway.versions.test_versions import CONFIG, push, state


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """Versions 6 and 7."""
    for version in (6, 7):
        push(tmp_path / "history", str(tmp_path / "served" / "taxi"), version)
    return tmp_path / "served" / "taxi"


@pytest.fixture
def client(destination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("TAXIWAY_LINEAGE", raising=False)
    with served(Home(tmp_path / "home"), destinations=(str(destination),)) as client:
        yield client


def _plan(client: Client, destination: Path, to: int = 6) -> str:
    return f"/models/rollback?destination={destination}&to={to}"


def _fields(client: Client, destination: Path, to: int = 6, **changed: str) -> dict[str, str]:
    path = _plan(client, destination, to)
    plan = "\n".join(client.json(path)["plan"])
    form = {"destination": str(destination), "to": str(to), "plan": plan, "reason": "it was worse"}
    return {**form, "form_token": client.form_token(path), **changed}


def test_versions_are_listed_with_what_they_were_made_from(client: Client, destination: Path) -> None:
    page = Page(client.html("/models"))
    assert page.wrong == []
    row = page.tables["2 versions"].row("7")
    assert row["State"] == "✓ served ✓ blessed"
    assert row["Data"] == "data/chicago_taxi@v1"
    # What is served already cannot be chosen.
    assert [each[2] for each in page.tables["2 versions"].rows] == ["–", "serve this"]
    [found] = client.json("/models")["destinations"]
    assert (found["destination"], [each["version"] for each in found["versions"]]) == (str(destination), [7, 6])
    assert f"/lineage?of={found['versions'][0]['digest'].replace(':', '%3A')}" in [
        link["href"] for link in page.all("a")
    ]


def test_labels_of_a_config_are_shown_and_moved(client: Client, destination: Path) -> None:
    for version in (8, 9):
        push(destination.parents[1] / "history", str(destination), version)
    (destination.parent / "models.config").write_text(CONFIG % destination)
    assert Page(client.html("/models")).tables["4 versions"].row("9")["State"] == "✓ served ✓ blessed canary stable"
    assert client.send("/models/rollback", _fields(client, destination, 7)).status == 303
    assert Page(client.html("/models")).tables["4 versions"].row("7")["State"] == "✓ served ✓ blessed stable"
    assert state(str(destination)) == ([9, 8, 7, 6], [])


def test_a_rollback_says_what_it_does_and_does_it_with_a_reason(
    client: Client, destination: Path, tmp_path: Path
) -> None:
    page = Page(client.html(_plan(client, destination)))
    assert f"retire {destination}/7, so that servers ignore it serve 6 instead of 7" in page.text
    assert state(str(destination)) == ([7, 6], [])
    done = client.send("/models/rollback", _fields(client, destination))
    assert (done.status, done.headers["Location"]) == (303, "/models")
    assert state(str(destination)) == ([6], [7])
    [recorded] = LineageStore.open(str(tmp_path / "home" / "lineage.db")).tasks("rollback")
    assert recorded.parameters["reason"] == "it was worse"
    page = Page(client.html("/models"))
    assert "from 7 to 6: it was worse" in page.text
    assert page.tables["2 versions"].row("7")["State"] == "retired ✓ blessed"
    assert client.send("/models/rollback", _fields(client, destination, 7, reason="a mistake")).status == 303
    assert state(str(destination)) == ([7, 6], [])


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"reason": " "}, 400),
        ({"reason": "x" * 1001}, 400),
        ({"plan": "something else"}, 400),
        ({"form_token": "0" * 64}, 403),
        ({"form_token": ""}, 403),
        ({"destination": "/etc"}, 404),
        ({"to": "5"}, 400),
        ({"to": "7"}, 400),
        ({"to": "../6"}, 404),
    ],
)
def test_a_wrong_form_changes_nothing(client: Client, destination: Path, changed: dict[str, str], status: int) -> None:
    assert client.send("/models/rollback", {**_fields(client, destination), **changed}).status == status
    assert state(str(destination)) == ([7, 6], [])


def test_a_get_and_a_form_of_another_site_change_nothing(client: Client, destination: Path) -> None:
    fields = _fields(client, destination)
    assert client.send("/models/rollback", fields, Origin="http://evil.example").status == 403
    assert client.get(_plan(client, destination)).status == 200
    assert state(str(destination)) == ([7, 6], [])


def test_a_destination_that_is_gone_is_said_so(tmp_path: Path) -> None:
    with served(Home(tmp_path / "home"), destinations=(str(tmp_path / "gone"),)) as client:
        page = Page(client.html("/models"))
        assert f"there is no version at {tmp_path / 'gone'}" in page.text
        assert client.json("/models")["destinations"][0]["problem"].startswith("there is no version")


def test_without_a_push_there_is_nothing(tmp_path: Path) -> None:
    with served(Home(tmp_path / "home")) as client:
        assert "No model was pushed yet" in Page(client.html("/models")).text


# Who serves what


@contextmanager
def _model_server(body: str, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/v1/models/taxi"
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with loopback.serving(Handler) as url:
        yield url.removeprefix("http://")


STATUS = '{"model_version_status": [{"version": "7", "state": "AVAILABLE"}, {"version": "6", "state": "END"}]}'


@pytest.mark.parametrize(
    ("body", "status", "shown"),
    [
        (STATUS, 200, "✓ serving"),
        ("<html>", 200, "does not answer as a model server does."),
        ("[]", 200, "does not answer as a model server does."),
        ("{}", 404, ""),
    ],
)
def test_servers_say_what_they_serve(destination: Path, tmp_path: Path, body: str, status: int, shown: str) -> None:
    with (
        _model_server(body, status) as address,
        served(Home(tmp_path / "home"), destinations=(str(destination),), servers=(address,)) as client,
    ):
        page = Page(client.html("/models"))
        assert page.wrong == []
        assert shown in page.text
        if status == 200 and body == STATUS:
            assert page.tables["2 versions"].row("7")["Served by"] == f"{address} ✓ serving"
            assert page.tables["2 versions"].row("6")["Served by"] == f"{address} end"


def test_a_server_that_is_down_is_said_so(destination: Path, tmp_path: Path) -> None:
    with served(Home(tmp_path / "home"), destinations=(str(destination),), servers=("127.0.0.1:1",)) as client:
        assert "127.0.0.1:1 does not answer" in Page(client.html("/models")).text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_strangers_stay_text(client: Client, destination: Path, name: str) -> None:
    reason = name.encode(errors="replace").decode()
    assert client.send("/models/rollback", _fields(client, destination, reason=reason)).status == 303
    html = client.html("/models")
    assert Page(html).wrong == []
    assert "<script>alert" not in html
    assert "\u202e" not in html
