"""The pages on lineage and data: both ways, by digest alone, with links to runs."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from components.data.protos import read_statistics
from taxiway.lineage import downstream
from taxiway.lineage.lookup import stored_at
from taxiway.lineage.store import LineageStore
from taxiway.storage.home import Home
from tests.components.reports.compared.test_compared import _data
from tests.components.reports.parsed import HOSTILE, Page
from tests.taxiway.lineage.conftest import DATA, Flow, database, flow, store
from tests.taxiway.reports.homes import MadeTask, make_run
from tests.taxiway.ui.served import Client, served

__all__ = ["database", "flow", "read_statistics", "store"]
RUN, OTHER = "trips-20260101-100000-0000aaaa", "trips-20260102-100000-0000aaaa"
OTHER_DATA = {"path": "data/trips", "content": "sha256:" + "e" * 64, "versioned": False}


@pytest.fixture
def home(tmp_path: Path, flow: Flow, store: LineageStore, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("TAXIWAY_LINEAGE", raising=False)
    home = Home(tmp_path / "home")
    flow.record(store, RUN)
    make_run(home, RUN, {}, known={"data": [DATA], "pushed": [str(tmp_path / "served" / "7")], "metrics": {"auc": 0.5}})
    _with_digests(home, flow)
    make_run(home, OTHER, {}, known={"data": [OTHER_DATA]})
    return home


def _with_digests(home: Home, flow: Flow) -> None:
    import json

    file = home.runs / RUN / "run.json"
    document = json.loads(file.read_text())
    for task in flow.tasks:
        digests = {name: artifact.metadata["digest"] for name, artifact in task.outputs.items()}
        document["tasks"][task.name] = {"state": "SUCCEEDED", "outputs": {}, "digests": digests}
    file.write_text(json.dumps(document))


def _digest(flow: Flow, output: str) -> str:
    return str(flow.artifact(output).metadata["digest"])


# Lineage


def test_what_came_of_an_artifact_is_found_over_several_tasks(flow: Flow, store: LineageStore) -> None:
    flow.record(store, RUN)
    found = [each.type_name for each in downstream.of_artifacts(stored_at(_digest(flow, "schema"), store), store)]
    assert found == ["Model", "ModelRun", "ModelEvaluation", "ModelBlessing", "PushedModel"]
    assert downstream.of_artifacts(stored_at(_digest(flow, "pushed_model"), store), store) == []
    of_data = [each.type_name for each in downstream.of_data(DATA["dvc_hash"], store)]
    assert of_data[0] == "Examples"
    assert of_data[-1] == "PushedModel"
    assert len(of_data) == 8
    assert downstream.of_data("nothing", store) == []


def test_an_artifact_leads_both_ways(client: Client, flow: Flow) -> None:
    digest = _digest(flow, "schema")
    page = Page(client.html(f"/lineage?of={digest}"))
    assert page.wrong == []
    assert "Made from 2 artifacts; 5 artifacts came of it." in page.text
    links = [str(link["href"]) for link in page.all("a")]
    assert f"/lineage?of={quote(_digest(flow, 'model'), safe='')}" in links
    assert f"/runs/{RUN}/artifacts/schema_gen/schema" in links
    assert f"/data/version?id={DATA['dvc_hash']}" in links
    assert page.tables["5 artifacts"].row("PushedModel")["Run"] == RUN
    found = client.json(f"/lineage?of={digest}")
    assert [each["stage"] for each in found["behind"]] == ["schema_gen", "statistics_gen", "example_gen"]
    assert [each["type"] for each in found["ahead"]][-1] == "PushedModel"


def test_the_beginning_of_a_digest_is_enough(client: Client, flow: Flow) -> None:
    short = _digest(flow, "model").removeprefix("sha256:")[:10]
    assert f"Model {short}" in Page(client.html(f"/lineage?of={short}")).text


def test_the_artifacts_that_were_made_last(client: Client) -> None:
    page = Page(client.html("/lineage"))
    assert page.tables["8 artifacts"].rows[0][0] == "PushedModel"


@pytest.mark.parametrize("of", ["/etc/passwd", "served/7", "../..", "sha256:xyz", "file:///etc", "http://169.254.1.1/"])
def test_paths_are_not_looked_up(client: Client, of: str) -> None:
    """A page must not say what lies in other folders of this machine, nor ask other machines."""
    assert client.get(f"/lineage?of={quote(of)}").status == 404


def test_a_digest_that_is_not_known(client: Client, tmp_path: Path) -> None:
    assert client.get(f"/lineage?of={'f' * 20}").status == 400
    with served(Home(tmp_path / "empty")) as empty:
        assert empty.get(f"/lineage?of={'f' * 20}").status == 404
        assert "Nothing was recorded yet" in Page(empty.html("/lineage")).text


# Data


def test_versions_of_the_data_with_their_runs_and_models(client: Client, tmp_path: Path) -> None:
    page = Page(client.html("/data"))
    assert page.wrong == []
    row = page.tables["Versions"].row("data/trips@v1")
    assert [row[name] for name in ("Version", "Kind", "Runs", "Models")] == ["0f343b093112", "✓ DVC", "1", "1"]
    assert page.tables["Versions"].row("data/trips")["Kind"] == "! no version"
    found = client.json("/data")["versions"]
    assert [(each["id"], each["runs"]) for each in found] == [
        (OTHER_DATA["content"], [OTHER]),
        (DATA["dvc_hash"], [RUN]),
    ]


def test_a_version_and_what_came_of_it(client: Client, tmp_path: Path) -> None:
    page = Page(client.html(f"/data/version?id={DATA['dvc_hash']}"))
    assert page.wrong == []
    assert page.tables["1 run"].row(RUN)["auc"] == "0.5"
    assert page.tables["1 artifact"].row("PushedModel")["Pushed to"] == str(tmp_path / "served" / "7")
    assert page.tables["7 artifacts"].row("Examples")["Run"] == RUN
    assert client.get("/data/version?id=nothing").status == 404
    assert client.get("/data/version").status == 404


def test_two_versions_side_by_side(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for run, data, cash in ((RUN, DATA, 50), (OTHER, OTHER_DATA, 90)):
        metadata = {"tfx_type": "ExampleStatistics", "split_names": '["train"]', "digest": run}
        make_run(home, run, {"statistics": MadeTask({"statistics": metadata})}, known={"data": [data]})
        [folder] = {file.parent for file in home.artifacts.rglob("file") if run in file.read_text()}
        _data(folder, cash=cash)
    with served(home) as client:
        path = f"/data/compare?id={DATA['dvc_hash']}&id={OTHER_DATA['content']}"
        page = Page(client.html(path))
        assert page.wrong == []
        assert page.tables["Versions"].row("A")["Statistics of"] == RUN
        assert page.tables["What moved in train"].row("kind")["Distance"] == "0.4"
        assert client.json(path)["runs"] == [RUN, OTHER]


def test_versions_without_statistics_and_wrong_choices(client: Client) -> None:
    ids = f"id={DATA['dvc_hash']}&id={OTHER_DATA['content']}"
    assert "There are no statistics" in Page(client.html(f"/data/compare?{ids}")).text
    assert client.get(f"/data/compare?id={DATA['dvc_hash']}").status == 400
    assert client.get("/data/compare?id=nothing&id=other").status == 404


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_strangers_stay_text(home: Home, name: str) -> None:
    name = name.encode(errors="replace").decode()
    data: dict[str, Any] = dict.fromkeys(
        ("path", "revision", "dvc_hash", "dvc_file", "commit", "repo", "content"), name
    )
    make_run(home, "bad-20260103-100000-0000aaaa", {}, known={"data": [data], "pushed": [name]})
    with served(home) as client:
        for path in ("/data", f"/data/version?id={quote(name)}", f"/lineage?of={quote(name)}", "/models"):
            html = client.get(path).data.decode()
            assert Page(html).wrong == []
            assert "<script>alert" not in html
            assert "\u202e" not in html
            assert 'onmouseover="' not in html
