"""The pages on runs: the list with its filters, a run, its logs; with hostile names, and with a thousand runs."""

import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taxiway.storage.home import Home
from tests.components.reports.parsed import Page
from tests.taxiway.reports.homes import MadeTask, make_run
from tests.taxiway.ui.served import Client, served

HASH = "30df3fd1676e2609cb19a36213cbc1d7.dir"
COMMIT = "57415e9863b19bf6a3bd6d80684faff0a3b0749d"
HOSTILE = (
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "\x1b[31mred\x1b[0m",
    "evil\u202etxt.exe",
    "__proto__",
    '"><img src=x onerror=alert(1)>',
    "a/../../b",
    "\ud800",
)


def _run(home: Home, number: int, **known: Any) -> str:
    name = _name(number, known.pop("pipeline", "taxi"))
    state, parameters = known.pop("state", "SUCCEEDED"), known.pop("parameters", {})
    make_run(home, name, {"train": MadeTask(error=known.pop("error", ""))}, parameters, state=state, known=known)
    return name


def _name(number: int, pipeline: str = "taxi") -> str:
    return f"{pipeline}-{datetime(2026, 1, 1) + timedelta(seconds=number):%Y%m%d-%H%M%S}-{number:08x}"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    data = [{"path": "data/taxi", "dvc_hash": HASH, "versioned": True}]
    _run(found, 0, parameters={"steps": 10, "name": "first"}, metrics={"auc": 0.91, "loss": 2}, data=data)
    _run(
        found, 1, parameters={"steps": 200, "name": "second"}, metrics={"auc": 0.95, "loss": 1}, commits=[f"{COMMIT}+"]
    )
    _run(found, 2, parameters={"steps": 30}, state="FAILED", pipeline="other", metrics={"loss": float("nan")})
    return found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", [2, 1, 0]),
        ("?pipeline=taxi", [1, 0]),
        ("?state=FAILED", [2]),
        ("?q=SECOND", [1]),
        ("?q=steps=30", [2]),
        ("?metric=auc", [1, 0]),
        ("?metric=auc+%3E+0.92", [1]),
        ("?metric=auc%3E=0.91+and+loss%3C2", [1]),
        ("?metric=auc%3E0.9&metric=loss=2", [0]),
        ("?param=steps%3E=30", [2, 1]),
        ("?param=name=first", [0]),
        ("?param=name!=first", [1]),
        ("?data=30df3fd", [0]),
        ("?data=data/taxi", [0]),
        ("?commit=57415E", [1]),
        ("?commit=7415", []),
        ("?sort=started", [0, 1, 2]),
        ("?sort=metric:auc", [0, 1, 2]),
        ("?sort=-metric:auc", [1, 0, 2]),
        ("?sort=-metric:loss", [0, 1, 2]),
    ],
)
def test_the_address_says_which_runs_are_listed(client: Client, asked: str, found: list[int]) -> None:
    runs = client.json(f"/runs.json{asked}")["runs"]
    assert [int(run["id"].rpartition("-")[2]) for run in runs] == found
    page = client.html(f"/runs{asked}")
    assert [page.find(f'href="/runs/{run["id"]}"') > 0 for run in runs] == [True] * len(found)
    assert page.count('scope="row"') == len(found)


@pytest.mark.parametrize(
    "asked", ["?metric=auc%3Ehigh", "?metric=%3E3", "?sort=colour", "?page=0", "?page=x", "?page=%C2%B2"]
)
def test_what_cannot_be_understood_is_an_error_with_a_fix(client: Client, asked: str) -> None:
    answer = client.get(f"/runs.json{asked}")
    assert answer.status == 400
    assert json.loads(answer.data)["fix"]


def test_the_form_keeps_what_was_asked(client: Client) -> None:
    page = Page(client.html("/runs?metric=auc%3E0.9&q=a%22b&state=FAILED&sort=started"))
    values = {field["name"]: field["value"] for field in page.all("input") if "name" in field}
    assert (values["metric"], values["q"], values["sort"]) == ("auc>0.9", 'a"b', "started")
    assert [each["value"] for each in page.all("option") if "selected" in each] == ["", "FAILED"]


def test_a_run_shows_its_error_first_and_links_to_logs_and_artifacts(home: Home) -> None:
    name = "taxi-20260105-100000-5555cccc"
    tasks = {
        "gen": MadeTask({"examples": {"digest": "sha256:12"}}),
        "train": MadeTask(state="FAILED", error="no column 'fare'", after=["gen"]),
        "push": MadeTask(after=["train"]),
    }
    folder = make_run(home, name, tasks, state="FAILED", log="line\n")
    document = json.loads((folder / "run.json").read_text())
    del document["tasks"]["push"]
    (folder / "run.json").write_text(json.dumps(document))
    with served(home) as client:
        page = client.html(f"/runs/{name}")
        assert page.index("train failed.") < page.index('id="changes"') < page.index('id="tasks"')
        links = {str(each.get("href")) for each in Page(page).all("a")}
        assert f"/runs/{name}/logs/train" in links
        assert f"/runs/{name}/artifacts/gen/examples" in links
        assert "not started" in page
        assert client.json(f"/runs/{name}")["tasks"]["train"]["error"] == "no column 'fare'"
        assert client.get(f"/runs/{name}/report.html").headers["Content-Disposition"].startswith("attachment")
        assert client.get(f"/runs/{name}/logs/push").status == 404
        assert client.get("/runs/nothing").status == 404
        assert client.json("/runs/latest")["run"] == name


def test_a_run_that_ended_unrecorded_was_killed(home: Home) -> None:
    name = _run(home, 9, state="RUNNING", running={"train": "2026-01-01T10:00:00.000+00:00"})
    with served(home) as client:
        assert client.json("/runs.json")["runs"][0]["state"] == "KILLED"
        page = client.html(f"/runs/{name}")
        assert "killed" in page and "data-live" not in page


def test_a_damaged_record_costs_no_other_run(home: Home) -> None:
    for number, content in enumerate(("", "{", "[]", '{"tasks": 3}', "\xff"), start=50):
        (home.runs / _run(home, number) / "run.json").write_text(content)
    with served(home) as client:
        states = [run["state"] for run in client.json("/runs.json")["runs"]]
        assert states.count("UNREADABLE") == 5 and len(states) == 8
        assert client.get(f"/runs/{_name(50)}").status == 404


def test_hostile_names_are_text(home: Home) -> None:
    tasks = {
        f"task {number}": MadeTask({text.replace("/", "_").encode("utf-8", "replace").decode() or "x": {}})
        for number, text in enumerate(HOSTILE)
    }
    name = "taxi-20260106-100000-6666dddd"
    known = {
        "metrics": dict.fromkeys(HOSTILE, 0.5),
        "data": [{"path": text} for text in HOSTILE],
        "commits": list(HOSTILE),
    }
    folder = make_run(home, name, tasks, dict.fromkeys(HOSTILE, HOSTILE[0]), known=known, log="\n".join(HOSTILE[:-1]))
    document = json.loads((folder / "run.json").read_text())
    for task in document["tasks"].values():
        task["error"], task["state"] = " ".join(HOSTILE), "FAILED"
    document["pipeline"] = HOSTILE[0]
    (folder / "run.json").write_text(json.dumps(document))
    with served(home) as client:
        query = "?q=%3Cscript%3E&metric=__proto__&show=%3Cscript%3E,%E2%80%AE&sort=metric:%22%3E%3Cimg%20src=x%3E"
        artifacts = [task["outputs"] for task in client.json(f"/runs/{name}")["tasks"].values()]
        places = [each["page"] for outputs in artifacts for each in outputs.values()]
        assert len(places) == len(HOSTILE)
        for path in (
            "/runs",
            f"/runs{query}",
            f"/runs/{name}",
            f"/runs/{name}/again",
            f"/runs/{name}/logs/task%200",
            *places,
        ):
            answer = client.get(path)
            page = answer.data.decode()
            assert answer.status == 200, path
            assert page.count("<script") == page.count('<script src="/static/') == 2
            assert "<img" not in page and "\x1b" not in page and "\u202e" not in page
            assert not [each for each in Page(page).all("a") if not str(each["href"]).startswith(("/", "#"))]
        # JSON keeps what was there: it is no page.
        assert client.json(f"/runs/{name}")["metrics"] == {}
        assert "__proto__" in client.json("/runs.json")["runs"][0]["metrics"]


def test_a_log_is_its_end_without_colours_and_progress_bars(home: Home) -> None:
    name = _run(home, 7)
    log = home.runs / name / "logs" / "train.log"
    log.write_bytes(b"1/3\r2/3\r3/3 done\r\n\x1b[1mbold\x1b[0m \xff\nab\x08\x08cd\n" + b"x" * 9000)
    with served(home) as client:
        text = client.json(f"/runs/{name}/logs/train")["text"]
        assert text.splitlines()[:3] == ["3/3 done", "bold \ufffd", "cd"]
        assert len(text) < 5000
        log.write_bytes(b"".join(b"line %d\n" % number for number in range(200_000)))
        page = client.html(f"/runs/{name}/logs/train")
        assert len(page) < 400_000 and "line 199999" in page and "line 100000\n" not in page
        assert "Only the end is shown" in page
        assert client.get(f"/runs/{name}/logs/train/whole").data.startswith(b"line 0\n")


def test_a_thousand_runs_with_two_hundred_metrics_are_listed_within_a_second(tmp_path: Path) -> None:
    home = Home(tmp_path / "many")
    (first := home.runs / _run(home, 0)).is_dir()
    document = json.loads((first / "run.json").read_text())
    for number in range(1, 1000):
        folder = home.runs / _name(number)
        folder.mkdir()
        metrics = {f"metric_{index}": number * index / 7 for index in range(200)}
        (folder / "run.json").write_text(json.dumps({**document, "metrics": metrics}))
    with served(home) as client:
        began = time.perf_counter()
        assert "1,000 runs" in client.html("/runs?sort=-metric:metric_7")
        cold = time.perf_counter() - began
        began = time.perf_counter()
        assert _name(201) in client.html("/runs?metric=metric_7%3E100&page=2&sort=started")
        warm = time.perf_counter() - began
    # Loosely, for a machine that does other things at the same time; docs/operations/ui.md has figures.
    assert cold < 5 and warm < 1.5
