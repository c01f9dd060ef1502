"""The server of pages: it starts, says where it is, answers with pages and JSON, and stops."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taxiway.storage.home import Home
from tests.taxiway.reports.homes import MadeTask, make_run
from tests.taxiway.ui.served import Client, served

CHECKOUT = Path(__file__).parents[3]
RUN = "taxi-20260101-100000-0000aaaa"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    make_run(found, RUN, {"train": MadeTask()}, {"steps": "10"})
    return found


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    with served(home) as found:
        yield found


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


def _started(home: Home, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "taxiway", "ui", *options],
        cwd=CHECKOUT,
        env={**os.environ, "TAXIWAY_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
