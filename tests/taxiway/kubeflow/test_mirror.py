"""Kubeflow's runs copied into a home, and the pages that show them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.contract.errors import ServiceError
from taxiway.kubeflow.host import Host
from taxiway.kubeflow.mirror import Mirror, home_of
from taxiway.language.spec import Pipeline
from taxiway.lineage.store import LineageStore
from taxiway.reports import run
from taxiway.runs.index import Index
from tests.components.reports.parsed import HOSTILE, Page
from tests.taxiway.kubeflow.graphs import look
from tests.taxiway.kubeflow.metadata import calls, recorded
from tests.taxiway.kubeflow.stub import Kubeflow
from tests.taxiway.ui.served import Client, served

CREATED = "2026-01-02T10:00:00Z"
OURS = "small-20260102-100000-0000aaaa"
DONE = {
    "example-gen": ("SUCCEEDED", 20),
    "statistics-gen": ("SUCCEEDED", 0),
    "described.statistics-gen": ("SUCCEEDED", 12),
    "baseline": ("SUCCEEDED", 5),
    "condition-2": ("SKIPPED", 0),
}


def _add(kubeflow: Kubeflow, pipeline: Pipeline, id_: str, name: str) -> None:
    kubeflow.runs[id_] = {
        "run_id": id_,
        "display_name": name,
        "created_at": CREATED,
        "pipeline_spec": pipeline.spec,
        "runtime_config": {"parameters": {"steps": 10}},
    }


@pytest.fixture
def mirror(kubeflow: Kubeflow, small: Pipeline, tmp_path: Path) -> Iterator[Mirror]:
    _add(kubeflow, small, "run-0", OURS)
    kubeflow.looks = [look("SUCCEEDED", DONE)]
    host = Host(kubeflow.url)
    mirror = Mirror(host, home_of(host, tmp_path / "home"))
    yield mirror
    mirror.close()


def _index(mirror: Mirror) -> Index:
    return Index(mirror._home)


def test_a_run_that_ended_is_copied_once(mirror: Mirror, kubeflow: Kubeflow, tmp_path: Path) -> None:
    kubeflow.metadata = recorded(calls(tmp_path))
    assert mirror.refresh() == []
    [summary] = _index(mirror).runs()
    assert (summary.id, summary.pipeline, summary.state) == (OURS, "small", "SUCCEEDED")
    assert summary.parameters == {"steps": 10}
    assert summary.blessed is True
    found = run.find(OURS, mirror._home)
    assert found.pipeline
    assert found.run.tasks["baseline"].seconds == 5
    assert "model" in found.run.tasks["baseline"].outputs
    store = LineageStore.open_existing(mirror._home.lineage)
    assert store
    assert [each.id for each in store.runs()] == [OURS]
    asked = len(kubeflow.requests("GET .*/runs/run-0"))
    assert mirror.refresh() == []
    again = Mirror(mirror._host, mirror._home)
    assert again.refresh() == []
    assert len(kubeflow.requests("GET .*/runs/run-0")) == asked


def test_a_run_that_goes_on_is_read_again_until_it_ends(mirror: Mirror, kubeflow: Kubeflow) -> None:
    running = {"example-gen": ("SUCCEEDED", 20), "baseline": ("RUNNING", 0)}
    kubeflow.looks = [look("RUNNING", running)]
    assert mirror.refresh() == []
    [summary] = _index(mirror).runs()
    assert (summary.state, summary.running) == ("RUNNING", ("baseline",))
    kubeflow.looks = [look("SUCCEEDED", DONE)]
    mirror.refresh()
    assert [each.state for each in _index(mirror).runs()] == ["SUCCEEDED"]


def test_a_run_that_goes_on_when_the_server_ends_is_not_taken_for_live(mirror: Mirror, kubeflow: Kubeflow) -> None:
    kubeflow.looks = [look("RUNNING", {"baseline": ("RUNNING", 0)})]
    mirror.refresh()
    mirror.close()
    assert _index(mirror).runs()[0].state == "KILLED"
    kubeflow.looks = [look("SUCCEEDED", DONE)]
    Mirror(mirror._host, mirror._home).refresh()
    assert _index(mirror).runs()[0].state == "SUCCEEDED"


def test_runs_of_all_pages_with_any_names(mirror: Mirror, kubeflow: Kubeflow, small: Pipeline) -> None:
    names = [
        "Nightly run (2)",
        "../../etc",
        "Nightly run (2)",
        "",
        *(each.encode(errors="replace").decode() for each in HOSTILE),
    ]
    for number, name in enumerate(names):
        _add(kubeflow, small, f"id-{number}", name)
    assert mirror.refresh() == []
    found = [each.id for each in _index(mirror).runs()]
    assert len(found) == 1 + len(names)
    assert [name for name in found if not re.fullmatch(r"[\w.-]+-20260102-100000-[0-9a-f]{8}", name)] == []
    assert {path.name for path in mirror._home.root.parent.iterdir()} == {mirror._home.root.name}


def test_a_run_that_cannot_be_understood_leaves_the_others(mirror: Mirror, kubeflow: Kubeflow, small: Pipeline) -> None:
    _add(kubeflow, small, "odd", "odd")
    kubeflow.runs["odd"]["pipeline_spec"] = {"later": "version"}
    [problem] = mirror.refresh()
    assert problem.startswith("odd: ")
    assert [each.id for each in _index(mirror).runs()] == [OURS]


def test_no_answer_is_an_error(mirror: Mirror, kubeflow: Kubeflow) -> None:
    kubeflow.overrides["GET .*/runs"] = (500, b'{"error": "down"}')
    with pytest.raises(ServiceError, match="failed to list the runs"):
        mirror.refresh()


# The pages


def _page(client: Client, path: str) -> Page:
    page = Page(client.html(path))
    assert page.wrong == []
    return page


def test_the_same_pages_show_them_and_change_nothing(mirror: Mirror, kubeflow: Kubeflow, tmp_path: Path) -> None:
    made = calls(tmp_path)
    kubeflow.metadata = recorded(made)
    mirror.refresh()
    with served(mirror._home, refresh=mirror.refresh) as client:
        assert f"/runs/{OURS}" in client.html("/runs")
        page = _page(client, f"/runs/{OURS}")
        assert "example-gen" in page.text
        assert [each for each in page.all("a") if str(each["href"]).endswith("/again")] == []
        assert _page(client, "/compare").tables["1 run"].row(OURS)["State"] == "✓ done"
        digest = made[-1].outputs["pushed_model"].metadata["digest"]
        assert "PushedModel" in _page(client, f"/lineage?of={digest}").text
        assert "/models/taxi" in _page(client, "/models").text
        assert client.json(f"/runs/{OURS}")["state"] == "SUCCEEDED"
        token = _token(client)
        for action in ("again", "cancel"):
            answer = client.send(f"/runs/{OURS}/{action}", {"form_token": token, "parameter.steps": "11"})
            assert answer.status == 400
            assert b"can only be looked at" in answer.data


def _token(client: Client) -> str:
    """The token that a form would have: pages of copies have no form that does something."""
    from taxiway.ui import guard

    client.get("/runs")
    [cookie] = [value for name, value in client.cookies.items() if name == guard.COOKIE]
    return guard.form_token(client.site.secret, cookie)


def test_the_command_shows_a_kubeflow(kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from taxiway import cli
    from taxiway.ui import server

    given: list[Any] = []
    monkeypatch.setattr(server, "run", lambda settings, started: given.append(settings))
    done = CliRunner().invoke(cli.app, ["ui", "--kubeflow", kubeflow.url, "--port", "0"])
    assert done.exit_code == 0, done.output
    [settings] = given
    assert settings.home.root.is_relative_to(tmp_path / "home" / "kubeflow")
    assert settings.refresh() == []
