from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import Model, ModelBlessing
from components.contract.digests import tree_digest
from components.contract.errors import DataError, ServiceError, UserError
from components.execution.executor import execute
from components.pusher.stage import pusher
from tests.components.models import make_history, make_model, pusher_input

Baseline = Callable[..., dict[str, Any]]


@pytest.fixture
def baseline(run_stage: Callable[..., dict[str, Any]], tmp_path: Path) -> Baseline:
    """`baseline(candidate, destination)`: the stage's outputs; each call has its own folder."""
    count = iter(range(1000))

    def run(candidate: Model, destination: Any, **parameters: Any) -> dict[str, Any]:
        folder = tmp_path / "baseline" / str(next(count))
        given = {"destination": str(destination), **parameters}
        return run_stage("baseline", {"candidate": candidate}, given, folder=folder)

    return run


def push(model: Model, destination: Any, version: int = 0, blessing: ModelBlessing | None = None) -> None:
    folder = model.path.parent / f"push-{time.monotonic_ns()}"
    execute(pusher, pusher_input(model, str(destination), folder, version, blessing))


def content(model: Model) -> str:
    return tree_digest(model.path / "Format-Serving")


@pytest.mark.parametrize("makes", ["nothing", "an empty folder", "other names"])
def test_there_is_no_baseline_before_the_first_push(baseline: Baseline, tmp_path: Path, makes: str) -> None:
    if makes != "nothing":
        (tmp_path / "served").mkdir()
    if makes == "other names":
        (tmp_path / "served" / "latest").mkdir()
        (tmp_path / "served" / ".pushing-7").mkdir()
    outputs = baseline(make_model(tmp_path / "candidate"), tmp_path / "served")
    assert (outputs["found"], outputs["version"]) == (False, "")
    assert outputs["model"].metadata["found"] == 0
    assert sorted(path.name for path in outputs["model"].path.iterdir()) == ["NO_BASELINE", "provenance.json"]


def test_the_latest_version_is_found(baseline: Baseline, tmp_path: Path) -> None:
    models = {version: make_model(tmp_path / str(version), version) for version in (9, 10, 2)}
    for version, model in models.items():
        push(model, tmp_path / "served", version)
    outputs = baseline(make_model(tmp_path / "candidate"), tmp_path / "served")
    assert (outputs["found"], outputs["version"]) == (True, "10")
    assert content(outputs["model"]) == content(models[10])
    assert outputs["model"].metadata["found"] == 1
    assert outputs["model"].metadata["pushed_version"] == "10"
    assert outputs["model"].metadata["pushed_destination"] == str(tmp_path / "served" / "10")
    assert sorted(path.name for path in outputs["model"].path.iterdir()) == ["Format-Serving", "provenance.json"]
    assert not (outputs["model"].path / "Format-Serving" / "provenance.json").exists()


def test_the_candidate_itself_is_skipped(baseline: Baseline, tmp_path: Path) -> None:
    older, candidate = make_model(tmp_path / "older", 1), make_model(tmp_path / "candidate", 2)
    push(candidate, tmp_path / "served", 8)
    assert baseline(candidate, tmp_path / "served")["found"] is False
    push(older, tmp_path / "served", 7)
    assert baseline(candidate, tmp_path / "served")["version"] == "7"


def test_the_champion_that_is_named_is_taken_even_if_it_is_the_candidate(baseline: Baseline, tmp_path: Path) -> None:
    models = {version: make_model(tmp_path / str(version), version) for version in (7, 8)}
    for version, model in models.items():
        push(model, tmp_path / "served", version)
    for candidate in (make_model(tmp_path / "candidate"), models[7]):
        found = baseline(candidate, tmp_path / "served", champion=7)
        assert (found["found"], found["version"]) == (True, "7")
        assert content(found["model"]) == content(models[7])
    with pytest.raises(UserError, match=r"served has no version 9 to compare with\n  fix: its versions: 8, 7; 0 takes"):
        baseline(models[7], tmp_path / "served", champion=9)
    with pytest.raises(UserError, match="its versions: none"):
        baseline(models[7], tmp_path / "nothing", champion=9)


def test_the_candidate_is_recognized_by_its_content(baseline: Baseline, tmp_path: Path) -> None:
    candidate = make_model(tmp_path / "candidate")
    push(candidate, tmp_path / "served", 8)
    (tmp_path / "served" / "8" / "provenance.json").unlink()
    assert baseline(candidate, tmp_path / "served")["found"] is False


def test_a_version_without_a_provenance_record_counts(baseline: Baseline, tmp_path: Path) -> None:
    pushed = make_model(tmp_path / "pushed", 1)
    (tmp_path / "served").mkdir()
    (pushed.path / "Format-Serving").rename(tmp_path / "served" / "5")
    assert baseline(make_model(tmp_path / "candidate"), tmp_path / "served")["version"] == "5"


@pytest.mark.parametrize("damage", ["no SavedModel", "cut", "a file too few", "a file too many"])
def test_a_damaged_version_is_skipped(
    baseline: Baseline, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in (1, 2):
        push(make_model(tmp_path / str(version), version), tmp_path / "served", version)
    latest = tmp_path / "served" / "2"
    match damage:
        case "no SavedModel":
            (latest / "saved_model.pb").unlink()
        case "cut":
            os.truncate(latest / "variables" / "variables.data-00000", 10)
        case "a file too few":
            (latest / "variables" / "variables.data-00000").unlink()
        case "a file too many":
            (latest / "variables" / "more").touch()
    outputs = baseline(make_model(tmp_path / "candidate"), tmp_path / "served")
    assert outputs["version"] == "1"
    assert content(outputs["model"]) == content(Model(tmp_path / "1"))
    assert damage == "no SavedModel" or "served/2: its digest is sha256:" in capsys.readouterr().out


def test_the_same_baseline_has_the_same_digest(baseline: Baseline, tmp_path: Path) -> None:
    nothing = [
        baseline(make_model(tmp_path / name), tmp_path / f"served-{name}")["model"].metadata["digest"]
        for name in ("one", "two")
    ]
    assert len(set(nothing)) == 1
    pushed = make_model(tmp_path / "pushed", 1)
    push(pushed, tmp_path / "served-one")
    push(pushed, tmp_path / "served-two", 12345)
    something = [
        baseline(Model(tmp_path / name), tmp_path / f"served-{name}")["model"].metadata["digest"]
        for name in ("one", "two")
    ]
    assert len(set(something)) == 1
    assert something[0] == pushed.metadata.get("digest", tree_digest(pushed.path))


def test_the_baseline_keeps_the_provenance_chain_of_the_pushed_model(baseline: Baseline, tmp_path: Path) -> None:
    pushed, _ = make_history(tmp_path / "pushed", 1)
    candidate, _ = make_history(tmp_path / "candidate", 2)
    push(pushed, tmp_path / "served", 4)
    found = baseline(candidate, tmp_path / "served")["model"]
    records = json.loads((found.path / "provenance.json").read_text())
    assert records[0]["stage"] == "baseline"
    push_record = next(record for record in records if record["stage"] == "pusher")
    assert records[0]["inputs"] == {"candidate": candidate.metadata["digest"], "source": push_record["digest"]}
    assert push_record["pushed_version"] == "4"
    models = {record["digest"] for record in records if record["stage"] == "trainer"}
    assert models == {pushed.metadata["digest"], candidate.metadata["digest"]}
    assert {"example_gen", "transform", "schema_gen"} <= {record["stage"] for record in records}


def test_chains_do_not_grow_with_the_number_of_pushes(baseline: Baseline, tmp_path: Path) -> None:
    lengths = []
    for number in range(5):
        model, blessing = make_history(
            tmp_path / str(number), number, lambda candidate: baseline(candidate, tmp_path / "served")["model"]
        )
        push(model, tmp_path / "served", number + 1, blessing)
        pushed = tmp_path / "served" / str(number + 1) / "provenance.json"
        lengths.append(len(json.loads(pushed.read_text())))
    assert lengths[0] < lengths[1] <= lengths[2] == lengths[3] == lengths[4]


def test_a_candidate_without_a_saved_model_is_refused(baseline: Baseline, tmp_path: Path) -> None:
    (tmp_path / "candidate").mkdir()
    with pytest.raises(DataError, match=r"Format-Serving has no saved_model.pb"):
        baseline(Model(tmp_path / "candidate"), tmp_path / "served")


def test_a_destination_without_a_driver_is_refused(baseline: Baseline, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'nosuch://models' cannot be reached"):
        baseline(make_model(tmp_path / "candidate"), "nosuch://models")


def test_a_destination_that_cannot_be_read_is_refused(baseline: Baseline, tmp_path: Path) -> None:
    (tmp_path / "served" / "3" / "saved_model.pb").mkdir(parents=True)
    (tmp_path / "served" / "4").mkdir()
    (tmp_path / "served" / "4" / "saved_model.pb").touch()
    (tmp_path / "served" / "4" / "provenance.json").mkdir()
    with pytest.raises(ServiceError, match=f"the models pushed to {tmp_path}/served cannot be read: IsADirectoryError"):
        baseline(make_model(tmp_path / "candidate"), tmp_path / "served")
    assert not list(tmp_path.glob("baseline/*/*")), "no artifact, not even a partial one"


@pytest.fixture
def bucket(aws: Any) -> Any:
    return aws.create_bucket(Bucket=f"baselines-{time.monotonic_ns()}")


def test_a_baseline_is_read_from_s3(tmp_path: Path, bucket: Any) -> None:
    # In a separate process: s3fs keeps its connections until the process ends.
    older, pushed = make_model(tmp_path / "older" / "model", 1), make_model(tmp_path / "newer" / "model", 2)
    url = f"s3://{bucket.name}/taxi"
    for version, model in ((1, older), (2, pushed)):
        document = json.dumps(pusher_input(model, url, model.path.parent / "push", version))
        _run("pusher", document)
    bucket.put_object(Key="taxi/3/variables/variables.index", Body=b"not finished")
    assert _baseline(make_model(tmp_path / "candidate"), url, tmp_path / "one") == (content(pushed), "2")
    assert _baseline(pushed, url, tmp_path / "two") == (content(older), "1")


def test_a_name_that_leads_out_of_its_folder_is_refused(baseline: Baseline, tmp_path: Path) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.store["/evil/taxi/5/saved_model.pb"] = store.open("/evil/taxi/5/saved_model.pb", "wb")
    store.pipe_file("/evil/taxi/5/saved_model.pb", b"")
    store.pipe_file("/evil/taxi/5/x/../../../../../../escaped", b"")
    with pytest.raises(DataError, match="leads out of its folder"):
        baseline(make_model(tmp_path / "candidate"), "memory://evil/taxi")
    assert not list(tmp_path.rglob("escaped"))


def _baseline(candidate: Model, url: str, folder: Path) -> tuple[str, str]:
    output = {"name": "model", "uri": str(folder / "model"), "metadata": {}}
    document = {
        "inputs": {
            "parameterValues": {"destination": url},
            "artifacts": {"candidate": {"artifacts": [{"uri": str(candidate.path)}]}},
        },
        "outputs": {
            "artifacts": {"model": {"artifacts": [output]}},
            "parameters": {"version": {"outputFile": str(folder / "version")}},
            "outputFile": str(folder / "executor_output.json"),
        },
    }
    _run("baseline", json.dumps(document))
    return content(Model(folder / "model")), (folder / "version").read_text()


def _run(stage: str, document: str) -> None:
    code = "import sys, runpy\ntry: runpy.run_module('components', run_name='__main__')\nexcept SystemExit as end:\n"
    code += "    print(end.code, [m for m in ('tensorflow', 'pyarrow', 'kfp', 'pandas') if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code, stage, "--executor-input", document], capture_output=True, text=True, check=False
    )
    assert result.stdout.splitlines()[-1:] == ["0 []"], result.stderr
