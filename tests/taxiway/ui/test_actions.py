"""Runs are started and canceled from pages; a run goes on when the server ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import taxiway
from taxiway.runs import cancel
from taxiway.runs.progress import Observer
from taxiway.storage.home import Home
from tests.taxiway.chain_pipeline import chain
from tests.taxiway.ui.served import Client, served

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    found = Home(tmp_path_factory.mktemp("ui") / "home")
    taxiway.run(chain, home=found.root, observer=Observer(), text="one")
    return found


def _first(home: Home) -> str:
    return min(home.runs.iterdir(), key=lambda folder: folder.stat().st_ctime).name


def _again(client: Client, run: str, **parameters: str) -> str:
    """Runs again, and returns the id of the new run."""
    place = f"/runs/{run}/again"
    fields = {f"parameter.{name}": value for name, value in parameters.items()}
    answer = client.send(place, {"form_token": client.form_token(place), **fields})
    assert answer.status == 303, answer.data.decode()
    return answer.headers["Location"].rpartition("/")[2]


def _awaited(client: Client, run: str, is_so: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + 60
    while not is_so(found := client.json(f"/runs/{run}")):
        assert time.monotonic() < end, found["state"]
        time.sleep(0.1)
    return found


def _is_over(found: Any) -> bool:
    return bool(found["state"] != "RUNNING")


def test_a_run_again_with_a_changed_parameter(client: Client, home: Home) -> None:
    page = client.html(f"/runs/{_first(home)}/again")
    assert re.search(r'name="parameter.text" value="one"', page)
    new = _again(client, _first(home), text="two <b>", pause="0")
    found = _awaited(client, new, _is_over)
    assert (found["state"], found["parameters"]) == ("SUCCEEDED", {"text": "two <b>", "pause": "0"})
    assert (home.runs / new / "output.log").read_text().startswith(f"run {new}")
    # What it shares with the first run came from the cache, or was made; nothing is left of the start.
    assert [each.name for each in home.work.iterdir() if each.suffix == ".output"] == []


def test_a_refused_run_says_why_and_leaves_nothing(client: Client, home: Home) -> None:
    place, before = f"/runs/{_first(home)}/again", len(list(home.runs.iterdir()))
    token = client.form_token(place)
    unknown = client.send(place, {"form_token": token, "parameter.other": "1"})
    assert (unknown.status, b"no parameter &#39;other&#39;" in unknown.data) == (400, True)
    pipeline = home.runs / _first(home) / "pipeline.yaml"
    kept = pipeline.read_text()
    pipeline.write_text("{}")
    try:
        refused = client.send(place, {"form_token": token, "parameter.text": "x"})
    finally:
        pipeline.write_text(kept)
    assert (refused.status, b"the run was refused" in refused.data) == (400, True)
    assert len(list(home.runs.iterdir())) == before
    assert list(home.work.iterdir()) == []


def test_two_at_once_are_two_runs(client: Client, home: Home) -> None:
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: _again(client, _first(home), text="both", pause="0"), range(2)))
    assert len(set(found)) == 2
    for run in found:
        assert _awaited(client, run, _is_over)["state"] == "SUCCEEDED"


def test_a_run_is_canceled(client: Client, home: Home) -> None:
    new = _again(client, _first(home), text="long", pause="60")
    running = _awaited(client, new, lambda found: bool(found["running"]))
    assert (list(running["running"]), running["state"]) == (["source"], "RUNNING")
    page = client.html(f"/runs/{new}")
    assert "Running now" in page and "Cancel the run" in page and "data-live" in page
    token = client.form_token(f"/runs/{new}")
    answer = client.send(f"/runs/{new}/cancel", {"form_token": token})
    assert (answer.status, answer.headers["Location"]) == (303, f"/runs/{new}")
    found = _awaited(client, new, _is_over)
    assert (found["state"], found["tasks"]["source"]["state"], len(found["tasks"])) == ("CANCELED", "CANCELED", 1)
    assert "chain canceled" in _said_at_the_end(home, new)
    page = client.html(f"/runs/{new}")
    assert "Cancel the run" not in page and "data-live" not in page


def _said_at_the_end(home: Home, run: str) -> str:
    """What the process printed; its last lines come after the end of the run is recorded."""
    end = time.monotonic() + 30
    while "resume" not in (said := (home.runs / run / "output.log").read_text()):
        assert time.monotonic() < end, said
        time.sleep(0.05)
    return said


def test_a_canceled_run_in_this_process_returns_its_state(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")

    class Canceling(Observer):
        def task_launched(self, name: str) -> None:
            [folder] = home.runs.iterdir()
            cancel.request(folder.name, home)

    run = taxiway.run(chain, home=home.root, observer=Canceling(), pause="60")
    assert (run.state, run.exit_status, run.seconds < 50) == ("CANCELED", 130, True)


def test_a_run_goes_on_when_the_server_ends(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "address"
    command = [sys.executable, "-m", "taxiway", "ui", "--port", "0", "--address-file", str(file)]
    environment = {**os.environ, "TAXIWAY_HOME": str(home.root)}
    with subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, start_new_session=True
    ) as server:
        assert server.stdout and server.stdout.readline()
        with served(home) as mine:
            theirs = Client(f"http://{file.read_text().strip()}", mine.site)
            new = _again(theirs, _first(home), text="after", pause="0.2")
            # As Ctrl-C in a terminal does: to the whole process group.
            os.killpg(server.pid, signal.SIGINT)
            server.wait()
            assert _awaited(mine, new, _is_over)["state"] == "SUCCEEDED"
    assert json.loads((home.runs / new / "run.json").read_text())["parameters"]["text"] == "after"
