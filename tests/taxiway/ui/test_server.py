"""The server of pages: it starts, says where it is, answers with pages and JSON, and stops."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from urllib3.exceptions import HTTPError

from components.contract.commands import typed
from taxiway.network import http_client
from taxiway.network.tls import Tls
from taxiway.runs import pages
from taxiway.storage.home import Home
from tests.taxiway.reports.homes import MadeTask, make_run
from tests.taxiway.ui.served import Client

CHECKOUT = Path(__file__).parents[3]
RUN = "taxi-20260101-100000-0000aaaa"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    make_run(found, RUN, {"train": MadeTask()}, {"steps": "10"})
    return found


def test_the_first_page_lists_the_runs(client: Client) -> None:
    answer = client.get("/")
    assert (answer.status, answer.headers["Location"]) == (302, "/runs")
    assert RUN in client.html("/runs")


@pytest.mark.parametrize(
    ("path", "accept"), [("/runs.json", "*/*"), ("/runs?format=json", "*/*"), ("/runs", "application/json")]
)
def test_each_page_is_json_too(client: Client, path: str, accept: str) -> None:
    answer = client.get(path, Accept=accept)
    assert answer.headers["Content-Type"] == "application/json"
    assert [run["id"] for run in json.loads(answer.data)["runs"]] == [RUN]
    assert 'href="/runs.json"' in client.html("/runs")


def test_what_is_not_there_is_a_page_and_json_too(client: Client) -> None:
    page = client.get("/nowhere", Accept="text/html")
    assert (page.status, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert json.loads(client.get("/nowhere.json").data)["error"] == "Not Found: /nowhere.json"
    assert client.ask("PUT", "/runs").headers["Allow"] == "GET,HEAD"


def test_the_command_prints_one_line_and_ends_on_signals(home: Home) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with _started(home, "--port", "0", "latest") as process:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith("http://127.0.0.1:") and line.endswith(f"/runs/{RUN}\n")
            process.send_signal(number)
            assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0


def test_a_port_in_use_is_an_error_with_a_fix(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _started(home, "--port", str(port)) as process:
            _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"cannot listen on port {port} of 127.0.0.1" in said
    assert "fix: use another port with --port PORT" in said


def test_a_second_command_says_where_the_first_one_is(home: Home) -> None:
    with _started(home, "--port", "0") as first:
        assert first.stdout
        origin = first.stdout.readline().strip().rstrip("/")
        assert pages.way_to("a b", home) == f"{origin}/runs/a%20b"
        with _started(home, RUN[:8], "--port", origin.rpartition(":")[2]) as second:
            assert second.communicate(timeout=60) == (f"{origin}/runs/{RUN}\n", "")
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    assert pages.way_to("a b", home) == typed("taxiway ui", "a b")


def test_a_killed_server_is_not_announced(home: Home) -> None:
    with _started(home, "--port", "0") as server:
        assert server.stdout and server.stdout.readline()
        server.kill()
    assert (home.root / "ui.address").exists()
    assert pages.origin_of(home) == ""


def test_arrow_is_loaded_by_the_first_page_of_the_monitor(home: Home) -> None:
    with _started(home, "--port", "0") as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        found = {}
        with http_client.pool(None, 60) as pool:
            for path in ("runs", "models", "monitoring"):
                status = pool.request("GET", url + path).status
                found[path] = status, "libarrow" in Path(f"/proc/{server.pid}/maps").read_text()
        server.terminate()
        assert server.communicate(timeout=60) == ("", "")
    assert found == {"runs": (200, False), "models": (200, False), "monitoring": (200, True)}


def test_client_certificates_let_in_and_keep_out(home: Home, tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    options = ["--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(cert)]
    with _started(home, "--port", "0", *options) as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        assert url.startswith("https://127.0.0.1:")
        with http_client.pool(Tls(cert, key, cert), 30) as pool:
            answer = pool.request("GET", f"{url}runs", redirect=False)
            assert (answer.status, "; Secure" in answer.headers["Set-Cookie"]) == (200, True)
        with http_client.pool(Tls(ca=cert), 30) as pool, pytest.raises(HTTPError):
            pool.request("GET", f"{url}runs", redirect=False)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


def test_other_machines_are_refused_with_a_fix_that_works(home: Home) -> None:
    with _started(home, "--port", "0", "--host", "0.0.0.0") as refused:
        _, said = refused.communicate(timeout=60)
    assert refused.returncode == 2
    fix = shlex.split(said.partition("fix: ")[2])
    assert fix[1:] == ["ui", "--host", "0.0.0.0", "--token-file", str(home.root / "ui.token")]
    # The fix as printed, but on loopback: tests open nothing to other machines.
    with _started(home, *(word.replace("0.0.0.0", "127.0.0.1") for word in fix[2:]), "--port", "0") as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        with http_client.pool(seconds=30) as pool:
            token = (home.root / "ui.token").read_text().strip()
            assert pool.request("GET", f"{url}runs.json", redirect=False).status == 401
            answer = pool.request("GET", f"{url}runs.json", headers={"Authorization": f"Bearer {token}"})
            assert answer.json()["total"] == 1
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


def _started(home: Home, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "taxiway", "ui", *options],
        cwd=CHECKOUT,
        env={**os.environ, "TAXIWAY_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
