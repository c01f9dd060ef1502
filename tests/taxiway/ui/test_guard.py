"""Who may ask for what: names of the server, other sites, forms, tokens, certificates."""

import json
from pathlib import Path

import pytest

from components.contract.errors import UserError
from taxiway.network.tls import Tls
from taxiway.storage.home import Home
from taxiway.ui.settings import Settings, require_closed, token_in
from tests.taxiway.reports.homes import MadeTask, make_run
from tests.taxiway.ui.served import Client, served

RUN = "taxi-20260101-100000-0000aaaa"
AGAIN = f"/runs/{RUN}/again"
TOKEN = "a-token-that-is-long-enough"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    make_run(found, RUN, {"train": MadeTask()}, {"steps": "10"})
    return found


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[", "::1@evil"])
def test_another_name_of_the_server_is_refused(client: Client, name: str) -> None:
    """As a page of the web would have it, whose name now leads to loopback."""
    for path in ("/runs", "/runs.json", "/static/page.css", f"/runs/{RUN}/files/train/out"):
        assert client.get(path, Host=f"{name}:8700").status == 421
    assert RUN.encode() not in client.get("/runs", Host=name).data


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8700", "192.168.1.7:8700"])
def test_its_own_names_and_digits_are_accepted(client: Client, name: str) -> None:
    assert client.get("/runs", Host=name).status == 200


def test_a_name_that_was_given_is_accepted(home: Home) -> None:
    with served(home, names=("Proxy.example",)) as client:
        assert client.get("/runs", Host="proxy.example").status == 200


def test_other_sites_may_link_to_pages_and_nothing_else(client: Client) -> None:
    elsewhere = {"Sec_Fetch_Site": "cross-site"}
    assert client.get("/runs", Sec_Fetch_Mode="navigate", **elsewhere).status == 200
    for mode in ("no-cors", "cors", "websocket"):
        assert client.get("/runs.json", Sec_Fetch_Mode=mode, **elsewhere).status == 403
    assert "Access-Control-Allow-Origin" not in client.get("/runs.json", Origin="https://evil.example").headers


def test_an_action_is_no_get(client: Client) -> None:
    assert client.get(f"/runs/{RUN}/cancel").status == 405
    assert "Run taxi again" in client.html(AGAIN)


def test_a_form_needs_the_token_of_its_page_and_the_cookie(client: Client, home: Home) -> None:
    token = client.form_token(AGAIN)
    fields = {"parameter.steps": "11"}
    for wrong in ({}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "é"}):
        assert client.send(AGAIN, {**fields, **wrong}).status == 403
    with served(home) as other:
        # Another server's token, for a cookie that it knows.
        foreign = Client(client.origin, client.site)
        assert foreign.send(AGAIN, {**fields, "form_token": other.form_token(AGAIN)}).status == 403
    stranger = Client(client.origin, client.site)
    assert stranger.send(AGAIN, {**fields, "form_token": token}).status == 403
    assert len(list(home.runs.iterdir())) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_a_form_from_another_site_is_refused_even_with_the_token(client: Client, headers: dict[str, str]) -> None:
    token = client.form_token(f"/runs/{RUN}/again")
    answer = client.send(f"/runs/{RUN}/cancel", {"form_token": token}, **headers)
    assert answer.status == 403
    # From here it is understood, and refused because the run has ended.
    ours = client.send(f"/runs/{RUN}/cancel", {"form_token": token}, Origin=client.origin, Sec_Fetch_Site="same-origin")
    assert (ours.status, b"has ended" in ours.data) == (400, True)


def test_the_cookie_is_hidden_from_scripts_and_other_sites(client: Client) -> None:
    cookie = client.get("/runs").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


@pytest.mark.parametrize("path", ["/runs", f"/runs/{RUN}", AGAIN, "/nowhere", "/static/ui.js", "/runs.json"])
def test_every_answer_allows_our_own_scripts_alone(client: Client, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_pages_have_no_script_and_no_style_inside(client: Client) -> None:
    for path in ("/runs", f"/runs/{RUN}", AGAIN):
        page = client.html(path)
        assert "<style" not in page and " style=" not in page and " onclick" not in page
        assert page.count("<script") == page.count('<script src="/static/')


def test_with_a_token_every_request_needs_it(home: Home) -> None:
    with served(home, token=TOKEN) as client:
        answer = client.get(f"/runs/{RUN}?a=1")
        assert (answer.status, answer.headers["Location"]) == (303, f"/login?next=%2Fruns%2F{RUN}%3Fa%3D1")
        for path in ("/runs.json", f"/runs/{RUN}/state", f"/runs/{RUN}/files/train/out"):
            refused = client.get(path, Accept="application/json")
            assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert client.send(f"/runs/{RUN}/cancel", {"form_token": "x"}).status == 401
        assert json.loads(client.get("/runs.json", Authorization=f"Bearer {TOKEN}").data)["total"] == 1
        assert client.get("/runs.json", Authorization="Bearer wrong").status == 401


def test_the_token_is_asked_for_once_and_leads_nowhere_else(home: Home) -> None:
    with served(home, token=TOKEN) as client:
        assert client.send("/login", {"token": "wrong"}).status == 403
        assert client.get("/runs").status == 303
        for onward, place in (
            ("/runs?a=1", "/runs?a=1"),
            ("//evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\\e", "/"),
        ):
            answer = client.send("/login", {"token": TOKEN, "next": onward})
            assert (answer.status, answer.headers["Location"]) == (303, place)
        assert client.get("/runs").status == 200
        assert TOKEN not in str(client.cookies)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_other_machines_need_a_token_or_certificates(tmp_path: Path, host: str) -> None:
    home = Home(tmp_path)
    with pytest.raises(UserError, match="could read every artifact") as caught:
        require_closed(Settings(home, host=host))
    assert f"ui --host {host} --token-file {tmp_path}/ui.token" in caught.value.fix
    with pytest.raises(UserError):
        require_closed(Settings(home, host=host, tls=Tls(Path("cert"), Path("key"))))
    require_closed(Settings(home, host=host, token=TOKEN))
    require_closed(Settings(home, host=host, tls=Tls(Path("cert"), Path("key"), Path("ca"))))
    for loopback in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        require_closed(Settings(home, host=loopback))


def test_a_missing_token_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "ui.token"
    token = token_in(file)
    assert len(token) >= 32 and token_in(file) == token
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("short")
    with pytest.raises(UserError, match="at least 16"):
        token_in(file)
    with pytest.raises(UserError, match="cannot be used"):
        token_in(tmp_path)
