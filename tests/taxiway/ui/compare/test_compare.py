"""The pages that compare runs: which runs, what differs, sorting and pages, and what makes no sense."""

from pathlib import Path

import pytest

from components.reports.markup import visible
from taxiway.storage.home import Home
from tests.components.reports.parsed import HOSTILE, Page
from tests.taxiway.reports.homes import MadeTask, make_run, parts
from tests.taxiway.ui.served import Client, served

A, B, C = (f"taxi-2026010{day}-100000-0000aaaa" for day in (1, 2, 3))


def _make(home: Home, run_id: str, steps: int, auc: float, **more: str) -> None:
    judged = {"tfx_type": "ModelEvaluation", "auc": auc}
    tasks = {"judge": MadeTask({"evaluation": judged}, parts(marker=steps), title="system.Metrics")}
    known = {"metrics": {"auc": auc}, "commits": ["1" * 40], "data": [{"path": "data", "revision": "v1"}]}
    make_run(home, run_id, tasks, {"steps": steps, "same": "x", **more}, known=known)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    for run_id, steps, auc in ((A, 10, 0.5), (B, 20, 0.75), (C, 30, 0.625)):
        _make(home, run_id, steps, auc)
    return home


def _page(client: Client, path: str) -> Page:
    page = Page(client.html(path))
    assert page.wrong == []
    return page


def test_two_runs_side_by_side(client: Client) -> None:
    page = _page(client, f"/compare?run={A}&run={B}")
    assert page.tables["Runs"].row("A")["Data"] == "data@v1"
    assert page.tables["Metrics of both runs"].row("auc") == {
        "Metric": "auc",
        "A": "0.5",
        "B": "0.75",
        "Difference": "+0.25",
    }
    assert page.tables["Parameters of both runs"].rows == [["steps", "10", "20"], ["same", "x", "x"]]
    assert ["Parameter", "steps", "10", "20", "all"] in page.tables["Changes (2)"].rows
    assert "What changed from A to B" in page.text


def test_three_runs_and_links_to_others_of_them(client: Client) -> None:
    page = _page(client, f"/compare?run={A}&run={B}&run={C}&run={A}")
    assert page.tables["Metrics of 3 runs"].row("auc")["Spread"] == "0.25"
    places = [str(link["href"]) for link in page.all("a")]
    assert f"/compare?run={C}&run={A}&run={B}" in places
    assert f"/compare?run={A}&run={B}" in places
    assert f"/runs/{A}" in places


def test_the_same_as_json(client: Client) -> None:
    found = client.json(f"/compare?run={A}&run={B}")
    assert found["runs"] == [A, B]
    assert found["metrics"] == {"auc": [0.5, 0.75]}
    assert found["parameters"]["steps"] == [10, 20]
    assert {each["what"] for each in found["changes"]} == {"steps", "marker"}


def test_without_names_all_runs_of_the_last_pipeline(client: Client, home: Home) -> None:
    make_run(home, "other-20250101-100000-0000aaaa", {})
    page = _page(client, "/compare")
    assert [row[0] for row in page.tables["3 runs"].rows] == [C, B, A]
    assert page.tables["3 runs"].heads == ["Run", "State", "Started ↓", "steps", "auc"]
    over_all = page.tables["Every metric over all runs (1)"].row("auc")
    assert [over_all[name] for name in ("Runs", "Least", "Median", "Most", "Best run")] == [
        "3",
        "0.5",
        "0.625",
        "0.75",
        B,
    ]
    assert "Each line is a run" in page.text
    assert [row[0] for row in _page(client, "/compare?pipeline=other").tables["1 run"].rows] == [
        "other-20250101-100000-0000aaaa"
    ]


def test_a_run_that_changed_changes_what_is_said_of_all(client: Client, home: Home) -> None:
    before = _page(client, "/compare").tables["Every metric over all runs (1)"].row("auc")
    file = home.runs / C / "run.json"
    file.write_text(file.read_text().replace("0.625", "0.875"))
    after = _page(client, "/compare").tables["Every metric over all runs (1)"].row("auc")
    assert (before["Most"], after["Most"], after["Best run"]) == ("0.75", "0.875", C)


@pytest.mark.parametrize(
    ("query", "order"),
    [("sort=auc", [B, C, A]), ("sort=auc&order=ascending", [A, C, B]), ("sort=none", [C, B, A]), ("", [C, B, A])],
)
def test_rows_are_sorted_by_the_address(client: Client, query: str, order: list[str]) -> None:
    assert [run["id"] for run in client.json(f"/compare?{query}")["runs"]] == order


def test_columns_are_those_that_are_asked_for(client: Client) -> None:
    page = _page(client, "/compare?show=same,%20auc,nothing")
    assert page.tables["3 runs"].heads == ["Run", "State", "Started ↓", "same", "auc"]


def test_a_long_table_has_pages(client: Client, home: Home) -> None:
    for number in range(203):
        make_run(home, f"long-20260201-100000-{number:08x}", {}, known={"metrics": {"auc": number / 1000}})
    first = _page(client, "/compare")
    assert len(first.tables["203 runs, 1 to 100"].rows) == 100
    assert {"/compare?pipeline=long&page=2", "/compare?pipeline=long&page=3"} <= {
        str(link["href"]) for link in first.all("a")
    }
    assert len(_page(client, "/compare?page=3").tables["203 runs, 201 to 203"].rows) == 3
    for page in ("99", "-1", "x", "9" * 30, "²"):
        assert client.get(f"/compare?page={page}").status == 200
    assert client.json("/compare")["metrics"]["auc"]["runs"] == 203
    # What is no time in the name of a folder is no reason to fail.
    make_run(home, "long-99999999-999999-0000aaaa", {})
    assert client.json("/compare?pipeline=long")["count"] == 204


def test_more_runs_than_colours_are_named_one_by_one(client: Client, home: Home) -> None:
    ids = [f"more-20260201-10000{number}-0000aaaa" for number in range(9)]
    for name in ids:
        make_run(home, name, {})
    query = "&".join(f"run={name}" for name in ids)
    assert len(_page(client, f"/compare?{query}").tables["9 runs"].rows) == 9


@pytest.mark.parametrize("query", ["run=nothing", "run=..", f"run={A}&run=../../etc", "pipeline=nothing"])
def test_what_is_not_there_is_not_found(client: Client, query: str) -> None:
    assert client.get(f"/compare?{query}").status == 404


def test_one_run_or_none_is_no_error(client: Client, tmp_path: Path) -> None:
    assert "needs two runs" in _page(client, f"/compare?run={A}").text
    with served(Home(tmp_path / "empty")) as empty:
        assert "There are no runs to compare." in _page(empty, "/compare").text


def test_a_damaged_run_leaves_the_others(client: Client, home: Home) -> None:
    document = home.runs / B / "run.json"
    document.write_text(
        document.read_text().replace('"tasks": {', '"tasks": {"x": {}, ').replace('"cpu_seconds"', '"c"')
    )
    assert client.get(f"/compare?run={A}&run={B}&run={C}").status == 200


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_strangers_stay_text(client: Client, home: Home, name: str) -> None:
    name = name.encode(errors="replace").decode()
    for number in range(3):
        known = {"metrics": {name: number / 2}, "data": [{"path": name, "revision": name}], "commits": [name]}
        make_run(home, f"bad-2026020{number + 1}-100000-0000aaaa", {}, {name: f"{name}{number}"}, known=known)
    shown = " ".join(visible(name).split())
    ids = [f"run=bad-2026020{number}-100000-0000aaaa" for number in (1, 2)]
    for path in ("/compare", f"/compare?{'&'.join(ids)}"):
        html = client.html(path)
        page = Page(html)
        assert page.wrong == []
        assert shown in page.text
        assert "<script>alert" not in html
        assert not [each for _, attributes in page.tags for each in attributes if each.startswith("on")]
