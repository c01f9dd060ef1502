"""Files of artifacts: what is inside is sent harmlessly, what is outside never."""

import json
import os
from pathlib import Path

import pytest

from components.reports.page import render, script_source
from taxiway.storage.home import Home
from tests.taxiway.reports.homes import MadeTask, make_run
from tests.taxiway.ui.served import Client, served

RUN = "taxi-20260101-100000-0000aaaa"
FILES = f"/runs/{RUN}/files/sub%2Ftrain%5B2%5D/out"
TASK = "sub/train[2]"
SECRET = "top secret"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    make_run(found, RUN, {TASK.replace("/", "-"): MadeTask({"out": {"digest": "sha256:1"}})})
    return found


@pytest.fixture
def artifact(home: Home) -> Path:
    """The folder of an output, of a task in a loop of a sub-pipeline."""
    file = home.runs / RUN / "run.json"
    document = json.loads(file.read_text())
    [task] = document["tasks"].values()
    file.write_text(json.dumps({**document, "tasks": {TASK: task}}))
    return Path(task["outputs"]["out"])


def test_files_are_listed_and_sent(client: Client, artifact: Path) -> None:
    (artifact / "Split-a b").mkdir()
    (artifact / "Split-a b" / "50%.txt").write_text("größe")
    page = f"/runs/{RUN}/artifacts/sub%2Ftrain%5B2%5D/out"
    assert f'href="{FILES}/Split-a%20b/50%25.txt"' in client.html(page)
    assert {"path": "Split-a b/50%.txt", "size": 7} in client.json(page)["files"]
    answer = client.get(f"{FILES}/Split-a%20b/50%25.txt")
    assert (answer.data.decode(), answer.headers["Content-Type"]) == ("größe", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.json", "application/json"),
        ("a.png", "image/png"),
    ],
)
def test_nothing_in_a_file_runs_but_the_script_of_reports(client: Client, artifact: Path, name: str, kind: str) -> None:
    (artifact / name).write_text("<script>alert(1)</script>")
    headers = client.get(f"{FILES}/{name}").headers
    assert headers["Content-Type"] == kind
    policy = headers["Content-Security-Policy"]
    # Scripts run where their hash is that of our reports' script, which is inside of the page; the rest do not.
    assert policy.startswith(f"sandbox allow-scripts; default-src 'none'; script-src {script_source()}; ")
    assert script_source() in render("Any", []).replace("&#39;", "'")
    assert "allow-same-origin" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["a.js", "a", "a.HTM", "a.pdf", "a.xhtml", "a.html.gz", "saved_model.pb"])
def test_other_files_are_saved_and_not_shown(client: Client, artifact: Path, name: str) -> None:
    (artifact / name).write_text("<script>alert(1)</script>")
    headers = client.get(f"{FILES}/{name}").headers
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{name}"


@pytest.mark.parametrize(
    "path",
    [
        "../../../../../secret",
        "..%2F..%2F..%2F..%2F..%2Fsecret",
        "%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/secret",
        "%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret",
        "..%252f..%252fsecret",
        "%5c..%5c..%5csecret",
        "outward",
        "folder/secret",
        "circle",
        "a%00b",
        "fifo",
        "",
        "x" * 5000,
    ],
)
def test_nothing_outside_is_sent(client: Client, home: Home, artifact: Path, path: str) -> None:
    (home.root.parent / "secret").write_text(SECRET)
    (artifact / "outward").symlink_to(home.root.parent / "secret")
    (artifact / "folder").symlink_to(home.root.parent)
    (artifact / "circle").symlink_to(artifact / "circle")
    os.mkfifo(artifact / "fifo")
    answer = client.get(f"{FILES}/{path}")
    assert answer.status == 404
    assert SECRET.encode() not in answer.data
    # The absolute path itself, as a path in the artifact.
    assert client.get(f"{FILES}/{str(home.root.parent / 'secret').replace('/', '%2F')}").status == 404
    page = client.html(f"/runs/{RUN}/artifacts/sub%2Ftrain%5B2%5D/out")
    assert "outward" not in page and "fifo" not in page and "circle" not in page


def test_an_artifact_elsewhere_is_not_shown(client: Client, home: Home, artifact: Path) -> None:
    """As a damaged or hostile record may say."""
    outside = home.root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text(SECRET)
    file = home.runs / RUN / "run.json"
    for place in (str(outside), "/etc", f"{home.artifacts}/../../outside"):
        file.write_text(file.read_text().replace(str(artifact), place).replace("/etc", place))
        artifact = Path(place)
        for path in ("secret", "passwd", "hostname"):
            assert client.get(f"{FILES}/{path}").status == 404
        assert "They are gone, or are not on this machine." in client.html(
            f"/runs/{RUN}/artifacts/sub%2Ftrain%5B2%5D/out"
        )


def test_html_of_strangers_is_shown_in_a_frame_where_nothing_runs(home: Home) -> None:
    name = "taxi-20260102-100000-1111bbbb"
    make_run(home, name, {"show": MadeTask({"page": {}}, title="system.HTML")})
    with served(home) as client:
        page = client.html(f"/runs/{name}/artifacts/show/page")
        assert f'<iframe src="/runs/{name}/files/show/page/file" sandbox="allow-scripts"' in page
        headers = client.get(f"/runs/{name}/files/show/page/file").headers
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
