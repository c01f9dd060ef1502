"""`taxiway versions` and `taxiway rollback`, on versions pushed by the pusher."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
from google.protobuf import text_format
from rich.console import Console

from components.baseline.stage import baseline
from components.contract.artifacts import Model, ModelEvaluation
from components.contract.digests import tree_digest
from components.contract.errors import DataError, UserError
from components.data.serving_stubs import model_server_config_pb2
from components.execution.executor import execute
from components.execution.pushed_models import open_destination, retired_versions, versions
from components.pusher.stage import pusher
from taxiway.lineage.chain import to_json, trace
from taxiway.lineage.store import LineageStore
from taxiway.lineage.tree import show
from taxiway.storage import cache
from taxiway.storage.digest_store import DigestStore
from taxiway.versions import listing
from taxiway.versions.rollback import plan, roll_back
from tests.components.models import make_history, make_model, pusher_input

CONFIG = """# The models of this server.
model_config_list {
  config {
    name: "other"  # also at 9
    base_path: "/models/other"
    version_labels { key: "stable" value: 9 }
  }
  config {
    name: "taxi"
    base_path: "%s"
    model_version_policy { specific { versions: 7 versions: 9 } }  # both
    version_labels: < key: 'canary', value: 9 >
    version_labels { key: 'stable'  # what clients ask for
                     value: 9 }
  }
}
"""


def push(folder: Path, url: str, version: int, *, judged: bool = True) -> None:
    model, blessing = make_history(folder / str(version), version)
    execute(pusher, pusher_input(model, url, folder / f"push{version}", version, blessing if judged else None))


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """Versions 6 to 9; version 8 was not evaluated."""
    for version in (6, 7, 8, 9):
        push(tmp_path / "history", str(tmp_path / "served" / "taxi"), version, judged=version != 8)
    return tmp_path / "served" / "taxi"


@pytest.fixture
def store(tmp_path: Path) -> LineageStore:
    return LineageStore.open(str(tmp_path / "home" / "lineage.db"))


def state(url: str) -> tuple[list[int], list[int]]:
    """Served and retired versions."""
    destination = open_destination(url)
    return [v.number for v in versions(destination)], [v.number for v in retired_versions(destination)]


def go(url: Any, store: LineageStore, to: int | None = None, config: Path | None = None) -> None:
    roll_back(plan(str(url), to, config), "it was worse", store)


# Versions


def test_versions_are_listed_with_what_they_were_made_from(served, store, tmp_path):
    evaluation = ModelEvaluation(tmp_path / "history/9/evaluation")
    evaluation.metadata |= {"digest": tree_digest(evaluation.path), "auc": 0.93}
    store.start_run("r", "p", {}, datetime.now(UTC))
    store.start_task("r", "evaluator", "evaluator", {})
    store.finish_task("r", "evaluator", state="COMPLETE", inputs={}, outputs={"evaluation": evaluation})
    listed = listing.versions_at(str(served), store=store)
    assert [(v.version, v.state, v.blessed) for v in listed.versions] == [
        (9, "served", True),
        (8, "served", None),
        (7, "served", True),
        (6, "served", True),
    ]
    latest = listed.versions[0]
    assert latest.metrics == {"auc": 0.93}
    assert latest.data is not None
    assert latest.data["revision"] == "v1"
    assert latest.pushed.startswith("20")
    assert latest.digest == tree_digest(served / "9")
    assert json.loads(listing.to_json(listed))["versions"][0]["url"] == str(served / "9")


def test_a_version_that_taxiway_did_not_push_and_one_without_a_model_are_distinguished(tmp_path):
    (tmp_path / "m" / "3").mkdir(parents=True)
    (tmp_path / "m" / "3" / "saved_model.pb").touch()
    (tmp_path / "m" / "4").mkdir()
    listed = listing.versions_at(str(tmp_path / "m")).versions
    assert [(v.version, v.state, v.blessed, v.pushed) for v in listed] == [
        (4, "incomplete", None, ""),
        (3, "served", None, ""),
    ]


def test_labels_come_from_a_models_config_beside_the_destination(served):
    (served.parent / "models.config").write_text(CONFIG % served)
    listed = {v.version: v.labels for v in listing.versions_at(str(served)).versions}
    assert listed == {9: ["canary", "stable"], 8: [], 7: [], 6: []}


def test_a_destination_without_versions_is_refused(tmp_path):
    with pytest.raises(UserError) as raised:
        listing.versions_at(str(tmp_path))
    assert str(raised.value) == (
        f"there is no version at {tmp_path}\n"
        "  fix: give the folder or URL that models are pushed to, which contains the versions"
    )


# Rollback by retiring


def test_rollback_goes_to_the_last_blessed_version_and_retires_later_ones(served, store):
    before = {version: tree_digest(served / str(version)) for version in (7, 8, 9)}
    go(served, store)
    assert state(str(served)) == ([7, 6], [9, 8])
    assert tree_digest(served / "7") == before[7]
    assert tree_digest(served / "9.retired") == before[9]
    go(served, store)
    assert state(str(served)) == ([6], [9, 8, 7])


def test_a_retired_version_comes_back(served, store):
    go(served, store, to=6)
    go(served, store, to=8)
    assert state(str(served)) == ([8, 6], [9, 7])
    go(served, store, to=9)
    assert state(str(served)) == ([9, 8, 6], [7])


def test_a_retired_version_is_not_a_baseline_and_its_number_is_not_reused(served, store, tmp_path):
    go(served, store)
    candidate, found = make_model(tmp_path / "candidate", 99), Model(tmp_path / "baseline")
    assert baseline(candidate, found, str(served)) == (True, "7")
    model, _ = make_history(tmp_path / "again", 50)
    with pytest.raises(UserError, match="taxi/9 already exists"):
        execute(pusher, pusher_input(model, str(served), tmp_path / "p", 9))


def test_a_cached_push_of_a_retired_version_is_not_repeated(served, store, tmp_path):
    output = json.loads((tmp_path / "history/push9/executor_output.json").read_text())
    pushed = output["artifacts"]["pushed_model"]["artifacts"][0]["metadata"]
    folder, staged = tmp_path / "cache" / "key", tmp_path / "cache" / "staged"
    staged.mkdir(parents=True)
    with closing(DigestStore(tmp_path / "digests.db")) as digests:
        manifest = cache.Manifest(
            "key", {}, {}, {"pushed_model": [{"uri": str(folder / "pushed_model"), "metadata": pushed}]}
        )
        cache.keep(staged, folder, manifest, digests)
        assert cache.find(folder, "key", digests) is not None
        go(served, store)
        assert cache.find(folder, "key", digests) is not None
        (served / "9.retired" / "saved_model.pb").write_text("changed")
        assert cache.find(folder, "key", digests) is None


def test_both_versions_report_a_rollback(served, store):
    go(served, store)
    chain = trace(str(served / "7"), store=store)
    [rollback_record] = json.loads(to_json(chain))["rollbacks"]
    assert (
        rollback_record["origin"],
        rollback_record["target"],
        rollback_record["reason"],
        rollback_record["state"],
    ) == ("9", "7", "it was worse", "COMPLETE")
    assert rollback_record["time"].startswith("20")
    console = Console(width=200)
    with console.capture() as captured:
        show(chain, console)
        listing.show(listing.versions_at(str(served), store=store), console)
    assert captured.get().count("from 9 to 7: it was worse") == 2
    assert json.loads(to_json(trace(str(served / "9.retired"), store=store)))["rollbacks"] == [rollback_record]
    assert trace(str(served / "6"), store=store).rollbacks == []
    [run] = store.runs()
    assert (run.pipeline, run.state, run.tasks) == ("rollback", "COMPLETE", {"COMPLETE": 1})


@pytest.mark.parametrize(
    ("to", "text"),
    [
        (5, "there is no version 5 at {served}\n  fix: existing versions: 9, 8, 7, 6"),
        (9, "9 is already served\n  fix: choose another version with --to"),
    ],
)
def test_a_missing_or_already_served_version_is_refused(served, store, to, text):
    with pytest.raises(UserError) as raised:
        go(served, store, to=to)
    assert str(raised.value) == text.format(served=served)
    assert state(str(served)) == ([9, 8, 7, 6], [])


def test_without_a_blessed_earlier_version_one_has_to_be_named(served, store):
    go(served, store, to=6)
    with pytest.raises(UserError) as raised:
        go(served, store)
    assert (
        str(raised.value)
        == "no version before 6 was blessed\n  fix: choose a version with --to; earlier versions: none"
    )


def test_rollback_to_a_damaged_version_is_refused(served, store):
    (served / "7" / "saved_model.pb").write_text("changed")
    with pytest.raises(
        DataError,
        match=rf"{served}/7 was changed: its digest is sha256:\w+, but sha256:\w+ was pushed\n  fix: choose another",
    ):
        go(served, store)
    (served / "7" / "saved_model.pb").unlink()
    with pytest.raises(DataError, match=f"{served}/7 has no saved_model.pb"):
        go(served, store, to=7)


def test_a_push_between_the_plan_and_the_rollback_stops_it(served, store, tmp_path):
    planned = plan(str(served))
    push(tmp_path / "history", str(served), 10)
    with pytest.raises(UserError, match=f"{served} has changed since the rollback was planned"):
        roll_back(planned, "", store)
    assert state(str(served)) == ([10, 9, 8, 7, 6], [])


def test_a_failed_rollback_is_recorded_as_failed(served, store):
    (served / "8.retired").mkdir()
    planned = plan(str(served), 7)
    with pytest.raises(UserError, match=f"{served}/8.retired already exists"):
        roll_back(planned, "", store)
    assert [task.state for task in store.tasks("rollback")] == ["FAILED"]


# Rollback by label


def test_rollback_moves_the_label_and_keeps_comments_and_other_models(served, store):
    config = served.parent / "models.config"
    config.write_text(CONFIG % served)
    config.chmod(0o640)
    go(served, store)
    expected = (CONFIG % served).replace("value: 9 }\n  }\n}", "value: 7 }\n  }\n}")
    assert config.read_text() == expected
    assert config.stat().st_mode & 0o777 == 0o640
    assert state(str(served)) == ([9, 8, 7, 6], [])
    [rollback_record] = trace(str(served / "7"), store=store).rollbacks
    assert (rollback_record.label, rollback_record.origin, rollback_record.target) == ("stable", "9", "7")
    go(served, store, to=9)
    assert config.read_text() == CONFIG % served


def test_a_models_config_may_be_given_and_lists_the_model_by_name(served, store, tmp_path):
    config = tmp_path / "elsewhere.config"
    config.write_text(CONFIG % "/models/taxi")
    go(served, store, config=config)
    parsed = text_format.Parse(config.read_text(), model_server_config_pb2.ModelServerConfig())
    assert dict(parsed.model_config_list.config[1].version_labels) == {"canary": 9, "stable": 7}


def test_a_number_that_cannot_be_found_in_the_text_is_still_moved(served, store, tmp_path):
    config = tmp_path / "hex.config"
    config.write_text((CONFIG % served).replace("value: 9 }\n  }\n}", "value: 0x9 }\n  }\n}"))
    go(served, store, config=config)
    parsed = text_format.Parse(config.read_text(), model_server_config_pb2.ModelServerConfig())
    assert dict(parsed.model_config_list.config[1].version_labels) == {"canary": 9, "stable": 7}


def test_a_label_on_a_version_that_is_not_loaded_is_refused(served, store):
    config = served.parent / "models.config"
    config.write_text((CONFIG % served).replace("specific { versions: 7 versions: 9 }", "latest { num_versions: 2 }"))
    with pytest.raises(UserError) as raised:
        go(served, store)
    assert str(raised.value) == (
        f"{config} loads 8, 9 of 'taxi', not 7: servers would reject a label on it\n"
        "  fix: first include that version in model_version_policy (specific, or latest with a larger num_versions)"
    )


def test_a_given_models_config_must_be_valid_and_have_the_label(served, store, tmp_path):
    config = tmp_path / "models.config"
    config.write_text((CONFIG % served).replace("stable", "blue"))
    with pytest.raises(UserError, match=f"{config} has no label 'stable' for the model at {served}\n  fix: add"):
        go(served, store, config=config)
    config.write_text("model_config_list { config { nmae: 'taxi' } }")
    with pytest.raises(UserError, match=rf"{config}: 1:30 : .*nmae"):
        go(served, store, config=config)
    with pytest.raises(UserError, match=r"missing\.config cannot be read"):
        go(served, store, config=tmp_path / "missing.config")


# Object stores


def test_rollback_works_in_an_object_store(aws, s3_server, store, tmp_path, monkeypatch):
    # With this name, fsspec does not reuse its cached client for the server of another test.
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": s3_server})
    bucket = aws.create_bucket(Bucket="rollback")
    url = "s3://rollback/taxi"
    for version in (6, 7):
        push(tmp_path, url, version)
    before = {each.key.replace("/7/", "/7.retired/"): each.e_tag for each in bucket.objects.all()}
    go(url, store)
    assert state(url) == ([6], [7])
    assert {each.key: each.e_tag for each in bucket.objects.all()} == before
    assert [(v.version, v.state) for v in listing.versions_at(url).versions] == [(7, "retired"), (6, "served")]
    # The state after a rollback was killed in the middle of the copy.
    bucket.Object("taxi/7/provenance.json").put(Body=b"[]")
    go(url, store, to=7)
    assert state(url) == ([7, 6], [])
    assert next(versions(open_destination(url))).is_intact(listing.versions_at(url).versions[0].digest)


# Killed at any moment


def _back_and_forth(url: str, database: str) -> None:
    store = LineageStore.open(database)
    while True:
        for target in (6, 9):
            with suppress(UserError):  # already served
                go(url, store, to=target)


def _kill_rollbacks(served: Path, database: str, times: int, look: Callable[[], None]) -> None:
    """Kills a process that rolls back and forth, each time at a different moment."""
    processes, moments = multiprocessing.get_context("forkserver"), random.Random(8)
    for _ in range(times):
        process = processes.Process(target=_back_and_forth, args=(str(served), database))
        for retired in served.glob("*.retired"):
            retired.rename(retired.with_suffix(""))
        before = _mark(served)
        process.start()
        while process.is_alive() and _mark(served) == before:
            pass
        time.sleep(moments.choice((0, 0.0002, 0.001, 0.2)) * moments.random())
        process.kill()
        process.join()
        look()


def _mark(served: Path) -> tuple[int, int]:
    """The state that a rollback changes step by step."""
    config = served.parent / "models.config"
    return len(list(served.glob("*.retired"))), config.stat().st_ino if config.exists() else 0


@pytest.mark.parametrize("times", [8, pytest.param(200, marks=pytest.mark.faults)])
def test_a_killed_rollback_leaves_versions_that_can_be_served(served, store, times):
    between = []

    def look() -> None:
        versions, retired = state(str(served))
        assert versions
        assert sorted(versions + retired) == [6, 7, 8, 9]
        for version in listing.at(open_destination(str(served))):
            assert version.is_intact(version.recorded_digest())
        between.append(sorted(retired) in ([7], [7, 8]))

    _kill_rollbacks(served, store.connection, times, look)
    assert any(between)
    go(served, store, to=8 if state(str(served))[0][0] != 8 else 6)
    look()


@pytest.mark.parametrize("times", [5, pytest.param(200, marks=pytest.mark.faults)])
def test_a_killed_rollback_leaves_a_models_config_that_can_be_read(served, store, times):
    config = served.parent / "models.config"
    text = (CONFIG % served).replace("specific { versions: 7 versions: 9 }", "all {}")
    config.write_text(text)
    configs = {text.replace("value: 9 }\n  }\n}", f"value: {version} }}\n  }}\n}}") for version in (6, 9)}
    assert len(configs) == 2

    def look() -> None:
        assert config.read_text() in configs

    _kill_rollbacks(served, store.connection, times, look)
    assert state(str(served)) == ([9, 8, 7, 6], [])


# The command


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAXIWAY_")}
    command = [sys.executable, "-m", "taxiway", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_commands(served, tmp_path):
    refused = run(tmp_path, "rollback", "served/taxi")
    assert refused.returncode == 2
    assert "served/taxi/9, so that servers ignore it\nserve 7 instead of 9\n" in refused.stdout
    assert (
        refused.stderr
        == "error: nothing was changed: there is no terminal to ask for confirmation\n  fix: give --yes\n"
    )
    done = run(tmp_path, "rollback", "served/taxi", "--yes", "--reason", "calibration drifted")
    assert (done.returncode, done.stderr) == (0, "")
    shown = run(tmp_path, "versions", "served/taxi")
    assert "retired" in shown.stdout
    assert "from 9 to 7: calibration drifted" in shown.stdout
    document = json.loads(run(tmp_path, "versions", "served/taxi", "--json").stdout)
    assert [v["state"] for v in document["versions"]] == ["retired", "retired", "served", "served"]
    assert "calibration drifted" in run(tmp_path, "lineage", "served/taxi/7").stdout
