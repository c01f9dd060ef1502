from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import InfraBlessing, Model, ModelBlessing
from components.contract.digests import file_digests, tree_digest
from components.contract.errors import DataError, UserError
from components.execution import provenance
from components.execution.pushed_models import WARMUP_FILE, Version, open_destination, versions
from components.pusher import object_store
from tests.components.models import (
    DATA_VERSION,
    make_blessing,
    make_history,
    make_model,
    push_in_process,
    pusher_command,
)
from tests.conftest import run_stage_in

Push = Callable[..., Any]


@pytest.fixture
def push(run_stage: Callable[..., dict[str, Any]], tmp_path: Path) -> Push:
    """`push(model, destination, ...)`: the PushedModel; each call has its own folder."""
    count = iter(range(1000))

    def run(
        model: Model,
        destination: Any,
        blessing: ModelBlessing | None = None,
        version: int = 0,
        infra_blessing: InfraBlessing | None = None,
        judge_blessing: ModelBlessing | None = None,
    ) -> Any:
        given = {"model": model, "blessing": blessing, "infra_blessing": infra_blessing}
        given["judge_blessing"] = judge_blessing
        inputs = {name: artifact for name, artifact in given.items() if artifact}
        parameters = {"destination": str(destination), "version": version}
        return run_stage("pusher", inputs, parameters, folder=tmp_path / "push" / str(next(count)))["pushed_model"]

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def visible(folder: Path) -> list[str]:
    """The names that a model server considers: integers."""
    return [name for name in names(folder) if name.isdigit()]


def test_a_blessed_model_is_pushed_with_the_saved_model_at_the_top(push: Push, tmp_path: Path) -> None:
    model, blessing = make_history(tmp_path / "history")
    before = int(time.time())
    pushed = push(model, tmp_path / "served", blessing)
    [version] = visible(tmp_path / "served")
    assert before <= int(version) <= time.time()
    folder, serving = tmp_path / "served" / version, model.path / "Format-Serving"
    assert tree_digest(folder) == tree_digest(serving) == pushed.metadata["pushed_digest"]
    assert pushed.metadata["pushed"] == 1
    assert pushed.metadata["pushed_version"] == version
    assert pushed.metadata["pushed_destination"] == str(folder)
    assert pushed.metadata["judged"] == 1
    assert (pushed.summary, pushed.next_step) == ([("pushed", str(folder))], ["lineage", str(folder)])
    # TFX stores a copy at the top of the artifact.
    assert (pushed.path / "saved_model.pb").is_file()
    assert pushed.metadata["digest"] == pushed.metadata["pushed_digest"]


def test_the_chain_is_beside_the_pushed_model(push: Push, tmp_path: Path) -> None:
    model, blessing = make_history(tmp_path / "history")
    pushed = push(model, tmp_path / "served", blessing)
    version = Path(pushed.metadata["pushed_destination"])
    for folder in (version, pushed.path):
        records = json.loads((folder / "provenance.json").read_text())
        stages = [(record["stage"], record["output"]) for record in records]
        assert stages[0] == ("pusher", "pushed_model")
        assert set(stages[1:]) == {
            ("trainer", "model"),
            ("transform", "transform_graph"),
            ("schema_gen", "schema"),
            ("statistics_gen", "statistics"),
            ("example_gen", "examples"),
            ("evaluator", "blessing"),
            ("evaluator", "evaluation"),
        }
        assert records[0]["inputs"] == {"model": model.metadata["digest"], "blessing": blessing.metadata["digest"]}
        assert [record["data"] for record in records if record["stage"] == "example_gen"] == [DATA_VERSION]
    record = json.loads((version / "provenance.json").read_text())[0]
    assert record["files"] == file_digests(model.path / "Format-Serving")
    assert record["pushed_version"] == version.name
    assert record["judged"] is True


def test_the_artifact_and_the_version_have_the_same_time(
    push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        seconds = count()

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls(2026, 1, 1, tzinfo=tz) + timedelta(seconds=next(cls.seconds))

    model, blessing = make_history(tmp_path / "history")
    monkeypatch.setattr(provenance, "datetime", Clock)
    pushed = push(model, tmp_path / "served", blessing)
    version = Path(pushed.metadata["pushed_destination"])
    chains = [json.loads((folder / "provenance.json").read_text()) for folder in (version, pushed.path)]
    own = json.loads(pushed.metadata["provenance"])
    assert {record["created"] for record in (own, chains[0][0], chains[1][0])} == {own["created"]}
    assert "provenance_created" not in pushed.metadata


@pytest.mark.parametrize(
    ("file", "metadata"),
    [
        ("NOT_BLESSED", {"blessed": 0}),
        ("NOT_BLESSED", {}),
        ("NOT_BLESSED", {"blessed": 1}),
        ("BLESSED", {"blessed": 0.0}),
    ],
)
def test_an_unblessed_model_is_not_pushed(
    push: Push, tmp_path: Path, file: str, metadata: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    blessing = make_blessing(tmp_path / "blessing", file == "BLESSED")
    blessing.metadata = metadata
    pushed = push(make_model(tmp_path / "model"), tmp_path / "served", blessing)
    assert names(tmp_path / "served") == []
    assert pushed.metadata["pushed"] == 0
    assert [label for label, _ in pushed.summary] == ["pushed"]
    assert pushed.next_step == []
    assert (pushed.path / "NOT_PUSHED").read_text() == "the evaluator did not bless the model\n"
    assert "not pushed: the evaluator did not bless the model" in capsys.readouterr().out


def test_the_reason_of_a_missing_blessing_is_reported(push: Push, tmp_path: Path) -> None:
    blessing = make_blessing(tmp_path / "blessing", False)
    blessing.metadata["not_blessed"] = "slice Overall: auc 0.5, outside value_threshold\nslice a: auc 0.4"
    pushed = push(make_model(tmp_path / "model"), tmp_path / "served", blessing)
    message = "the evaluator did not bless the model: slice Overall: auc 0.5, outside value_threshold"
    assert pushed.metadata["not_pushed"] == message


def make_judge_blessing(folder: Path, model: Model, verdict: str) -> ModelBlessing:
    """A blessing as the judge writes it."""
    blessed = verdict.startswith("better")
    blessing = make_blessing(folder, blessed)
    next(folder.glob("*BLESSED")).write_text(verdict)
    blessing.metadata |= {"blessed": int(blessed), "verdict": verdict} | ({} if blessed else {"not_blessed": verdict})
    inputs = {"model": model}
    provenance.attach_all({"blessing": blessing}, provenance.activity("judge", {}, {}, inputs), inputs)
    return blessing


def test_a_model_that_the_judge_did_not_bless_is_not_pushed_and_all_reasons_are_recorded(
    push: Push, tmp_path: Path
) -> None:
    model, blessing = make_history(tmp_path / "history")
    judged = make_judge_blessing(tmp_path / "judged", model, "undecided: there are 9 recent rows")
    pushed = push(model, tmp_path / "served", blessing, judge_blessing=judged)
    reason = "the judge did not bless the model: undecided: there are 9 recent rows"
    assert (pushed.metadata["pushed"], pushed.metadata["not_pushed"]) == (0, reason)
    infra = make_infra_blessing(tmp_path / "infra", model, blessed=False)
    pushed = push(model, tmp_path / "served", blessing, judge_blessing=judged, infra_blessing=infra)
    assert pushed.metadata["not_pushed"].splitlines()[0] == reason
    assert "infra_validator did not bless the model" in pushed.metadata["not_pushed"].splitlines()[1]
    assert names(tmp_path / "served") == []


def test_the_verdict_of_the_judge_is_in_the_lineage_and_in_the_model_card(push: Push, tmp_path: Path) -> None:
    model, blessing = make_history(tmp_path / "history")
    verdict = "better: on recent rows auc is 0.8, the champion's 0.7"
    judged = make_judge_blessing(tmp_path / "judged", model, verdict)
    pushed = push(model, tmp_path / "served", blessing, judge_blessing=judged)
    folder = Path(pushed.metadata["pushed_destination"])
    record, *older = json.loads((folder / "provenance.json").read_text())
    assert record["inputs"]["judge_blessing"] == judged.metadata["digest"]
    assert verdict in [each.get("verdict") for each in older]
    card = json.loads((folder / "model_card.json").read_text())
    assert f"Compared with the version in use: {verdict}." in card["model_details"]["documentation"]
    other, _ = make_history(tmp_path / "other", seed=2)
    with pytest.raises(UserError, match="the blessing is for the model"):
        push(other, tmp_path / "served", judge_blessing=judged)


# Infra_validator's blessing


def make_infra_blessing(folder: Path, model: Model, blessed: bool = True) -> InfraBlessing:
    """A blessing as infra_validator writes it, with the stamped model if the model passed."""
    artifact = InfraBlessing(folder, {"blessed": int(blessed), "has_model": int(blessed)})
    folder.mkdir(parents=True)
    (folder / ("INFRA_BLESSED" if blessed else "INFRA_NOT_BLESSED")).touch()
    if blessed:
        shutil.copytree(model.path / "Format-Serving", folder / "stamped_model")
        (folder / "stamped_model" / WARMUP_FILE).parent.mkdir()
        (folder / "stamped_model" / WARMUP_FILE).write_bytes(b"requests")
    else:
        (folder / "report.json").write_text(json.dumps({"step": "load", "message": "op type not registered 'Tip'"}))
    inputs = {"model": model}
    provenance.attach_all({"blessing": artifact}, provenance.activity("infra_validator", {}, {}, inputs), inputs)
    return artifact


def test_the_stamped_model_is_pushed(push: Push, tmp_path: Path) -> None:
    model, blessing = make_history(tmp_path / "history")
    infra_blessing = make_infra_blessing(tmp_path / "infra", model)
    pushed = push(model, tmp_path / "served", blessing, infra_blessing=infra_blessing)
    folder = Path(pushed.metadata["pushed_destination"])
    for place in (folder, pushed.path):
        assert (place / WARMUP_FILE).read_bytes() == b"requests"
    assert tree_digest(folder) == tree_digest(infra_blessing.path / "stamped_model") == pushed.metadata["pushed_digest"]
    assert (pushed.metadata["judged"], pushed.metadata["infra_validated"]) == (1, 1)
    record, *older = json.loads((folder / "provenance.json").read_text())
    assert record["files"] == file_digests(infra_blessing.path / "stamped_model")
    assert record["inputs"] == {
        "model": model.metadata["digest"],
        "blessing": blessing.metadata["digest"],
        "infra_blessing": infra_blessing.metadata["digest"],
    }
    assert ("infra_validator", "blessing") in {(each["stage"], each["output"]) for each in older}
    # The next run's evaluator must not compare the model with itself.
    inputs, parameters = {"candidate": model}, {"destination": str(tmp_path / "served")}
    assert run_stage_in("baseline", tmp_path / "baseline", inputs, parameters)["found"] is False


def test_without_a_stamped_model_the_model_itself_is_pushed(push: Push, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    infra_blessing = make_infra_blessing(tmp_path / "infra", model)
    shutil.rmtree(infra_blessing.path / "stamped_model")
    infra_blessing.metadata["has_model"] = 0.0
    pushed = push(model, tmp_path / "served", infra_blessing=infra_blessing)
    assert pushed.metadata["pushed_digest"] == tree_digest(model.path / "Format-Serving")


def test_a_model_that_cannot_be_served_is_not_pushed(
    push: Push, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, blessing = make_history(tmp_path / "history")
    infra_blessing = make_infra_blessing(tmp_path / "infra", model, blessed=False)
    pushed = push(model, tmp_path / "served", blessing, infra_blessing=infra_blessing)
    reason = "infra_validator did not bless the model: load: op type not registered 'Tip'"
    assert names(tmp_path / "served") == []
    assert (pushed.metadata["pushed"], pushed.metadata["not_pushed"]) == (0, reason)
    assert (pushed.path / "NOT_PUSHED").read_text() == f"{reason}\n"
    assert f"not pushed: {reason}" in capsys.readouterr().out


def test_tfxs_infra_blessing_can_prevent_a_push(push: Push, tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra/INFRA_NOT_BLESSED").touch()
    model = make_model(tmp_path / "model")
    pushed = push(model, tmp_path / "served", infra_blessing=InfraBlessing(tmp_path / "infra"))
    assert pushed.metadata["not_pushed"] == "infra_validator did not bless the model"


def test_an_infra_blessing_of_another_model_is_refused(push: Push, tmp_path: Path) -> None:
    one, _ = make_history(tmp_path / "one", seed=1)
    two, _ = make_history(tmp_path / "two", seed=2)
    infra_blessing = make_infra_blessing(tmp_path / "infra", one)
    with pytest.raises(UserError, match=r"(?s)the blessing is for the model sha256:.*pass the pusher the model"):
        push(two, tmp_path / "served", infra_blessing=infra_blessing)
    # A copy that was changed afterwards is refused.
    (infra_blessing.path / "stamped_model/saved_model.pb").write_bytes(b"another graph")
    with pytest.raises(DataError, match=r"(?s)stamped_model is not a copy of .*run infra_validator on this model"):
        push(one, tmp_path / "served", infra_blessing=infra_blessing)
    (infra_blessing.path / "stamped_model/saved_model.pb").unlink()
    with pytest.raises(DataError, match=r"(?s)stamped_model has no saved_model.pb.*run infra_validator again"):
        push(one, tmp_path / "served", infra_blessing=infra_blessing)
    assert names(tmp_path / "served") == []


@pytest.mark.parametrize("metadata", [{"blessed": 1.0}, {}])
def test_kubeflows_doubles_and_bare_files_are_valid_blessings(
    push: Push, tmp_path: Path, metadata: dict[str, Any]
) -> None:
    blessing = make_blessing(tmp_path / "blessing")
    blessing.metadata = metadata
    assert push(make_model(tmp_path / "model"), tmp_path / "served", blessing).metadata["pushed"] == 1


def test_a_push_without_blessing_is_reported(push: Push, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pushed = push(make_model(tmp_path / "model"), tmp_path / "served")
    assert pushed.metadata["judged"] == 0
    assert "pushed without evaluation" in capsys.readouterr().out


def test_the_blessing_of_another_model_is_refused(push: Push, tmp_path: Path) -> None:
    _, blessing = make_history(tmp_path / "one", seed=1)
    model, _ = make_history(tmp_path / "two", seed=2)
    with pytest.raises(UserError, match=r"(?s)the blessing is for the model sha256:.*pass the pusher the model"):
        push(model, tmp_path / "served", blessing)
    assert names(tmp_path / "served") == []


def test_a_version_is_never_overwritten(push: Push, tmp_path: Path) -> None:
    push(make_model(tmp_path / "one", 1), tmp_path / "served", version=7)
    before = tree_digest(tmp_path / "served" / "7")
    with pytest.raises(UserError, match=r"(?s)served/7 already exists with different content.*set another version"):
        push(make_model(tmp_path / "two", 2), tmp_path / "served", version=7)
    assert tree_digest(tmp_path / "served" / "7") == before
    assert names(tmp_path / "served") == [".pushing.lock", "7"]


@pytest.mark.parametrize("name", ["7", "0007"])
def test_empty_folders_and_padded_names_count_as_versions(push: Push, tmp_path: Path, name: str) -> None:
    (tmp_path / "served" / name).mkdir(parents=True)
    with pytest.raises(UserError, match="already exists"):
        push(make_model(tmp_path / "model"), tmp_path / "served", version=7)
    assert names(tmp_path / "served" / name) == []


@pytest.mark.parametrize("version", [0, 7])
def test_pushing_the_same_model_again_gives_the_same_version(push: Push, tmp_path: Path, version: int) -> None:
    model = make_model(tmp_path / "model")
    first = push(model, tmp_path / "served", version=version)
    again = push(model, tmp_path / "served", version=version)
    assert again.metadata["pushed_version"] == first.metadata["pushed_version"]
    assert len(visible(tmp_path / "served")) == 1


def test_a_damaged_version_does_not_count_as_the_same(push: Push, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    first = push(model, tmp_path / "served")
    damaged = Path(first.metadata["pushed_destination"], "variables/variables.data-00001")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    [version] = versions(open_destination(str(tmp_path / "served")))
    assert not version.is_intact(first.metadata["pushed_digest"])
    again = push(model, tmp_path / "served")
    assert int(again.metadata["pushed_version"]) > int(first.metadata["pushed_version"])


def test_an_older_model_can_be_pushed_again(push: Push, tmp_path: Path) -> None:
    one, two = make_model(tmp_path / "one", 1), make_model(tmp_path / "two", 2)
    numbers = [int(push(model, tmp_path / "served").metadata["pushed_version"]) for model in (one, two, one)]
    assert numbers == sorted(set(numbers))


def test_the_default_version_is_higher_than_all_existing_ones(push: Push, tmp_path: Path) -> None:
    (tmp_path / "served" / "9999999999999").mkdir(parents=True)
    assert push(make_model(tmp_path / "model"), tmp_path / "served").metadata["pushed_version"] == "10000000000000"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (-1, "the version -1 is not a positive integer"),
        (2**63, f"the version {2**63} is not a positive integer"),
        (1.5, "the parameter 'version' takes int, not 1.5"),
        ("v7", "the parameter 'version' takes int, not 'v7'"),
        (True, "the parameter 'version' takes int, not True"),
    ],
)
def test_a_version_that_is_not_a_positive_integer_is_refused(
    push: Push, tmp_path: Path, version: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        push(make_model(tmp_path / "model"), tmp_path / "served", version=version)
    assert names(tmp_path / "served") == []


@pytest.mark.parametrize(
    ("destination", "message"),
    [
        ("", "the destination is empty"),
        ("nosuch://bucket/models", "'nosuch://bucket/models' cannot be reached: Protocol not known: nosuch.*fsspec"),
        ("oss://bucket/models", "'oss://bucket/models' cannot be reached: Install ossfs"),
    ],
)
def test_a_destination_without_a_driver_is_refused(push: Push, tmp_path: Path, destination: str, message: str) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        push(make_model(tmp_path / "model"), destination)


def test_a_destination_that_is_not_writable_is_refused(push: Push, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for destination in (tmp_path / "file", tmp_path / "file" / "models", Path("/sys/models")):
        with pytest.raises(UserError, match=f"(?s)the destination {destination} is not writable.*use another"):
            push(make_model(tmp_path / f"model{time.monotonic_ns()}"), destination)
    assert not list(tmp_path.glob("push/*/*")), "no artifact, not even a partial one"


def test_a_model_without_a_saved_model_is_refused(push: Push, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    (model.path / "Format-Serving" / "saved_model.pb").unlink()
    with pytest.raises(DataError, match=r"Format-Serving has no saved_model.pb"):
        push(model, tmp_path / "served")


def test_a_broken_link_is_refused(push: Push, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    (model.path / "Format-Serving" / "variables" / "gone").symlink_to("nowhere")
    with pytest.raises(DataError, match="variables/gone is a broken link"):
        push(model, tmp_path / "served")
    assert names(tmp_path / "served") == []


def test_a_file_url_and_a_tilde_path_are_folders(push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    push(make_model(tmp_path / "one", 1), f"file://{tmp_path}/served")
    push(make_model(tmp_path / "two", 2), "~/served")
    assert len(visible(tmp_path / "served")) == 2


def test_a_pushed_folder_can_be_read_by_others(push: Push, tmp_path: Path) -> None:
    pushed = push(make_model(tmp_path / "model"), tmp_path / "served")
    folder = Path(pushed.metadata["pushed_destination"])
    usual = tmp_path / "usual"
    usual.mkdir()
    assert folder.stat().st_mode == usual.stat().st_mode


def test_a_pushed_model_can_be_loaded(push: Push, tmp_path: Path) -> None:
    import tensorflow as tf

    class Twice(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": self.factor * x}

    module = Twice()
    module.factor = tf.Variable(2.0)
    serving = tmp_path / "model" / "Format-Serving"
    tf.saved_model.save(module, str(serving), signatures={"serving_default": module.serve})
    pushed = push(Model(tmp_path / "model"), tmp_path / "served")
    for folder in (pushed.metadata["pushed_destination"], pushed.path):
        loaded = tf.saved_model.load(str(folder)).signatures["serving_default"]
        assert loaded(x=tf.constant([3.0]))["y"].numpy().tolist() == [6.0]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    model = make_model(tmp_path / "model", size=100_000)
    script = (
        'mount -t tmpfs -o size=128k tmpfs "$1" || exit 99; shift; folder=$1; shift; "$@"; echo $?; ls -A "$folder"'
    )
    command = pusher_command(model, str(served), tmp_path / "push")
    result = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(served), str(served), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 99 or "unshare" in result.stderr:
        pytest.skip(f"no small file system can be mounted here: {result.stderr}")
    assert result.stdout.split()[-2:] == ["1", ".pushing.lock"]
    assert f"error: no space is left at {served}, nothing was pushed" in result.stderr
    assert "fix: free space, and run again" in result.stderr
    assert "Traceback" not in result.stderr
    assert names(tmp_path / "push") == []


def _pushers(destination: Path, folder: Path, models: list[Model], version: int) -> list[subprocess.Popen[str]]:
    return [
        subprocess.Popen(
            pusher_command(model, str(destination), folder / str(number), version),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number, model in enumerate(models)
    ]


def test_concurrent_pushers_create_one_version_each(tmp_path: Path) -> None:
    models = [make_model(tmp_path / f"model{seed}", seed, files=20) for seed in range(4)]
    for process in _pushers(tmp_path / "served", tmp_path / "push", models, 0):
        assert process.communicate()[0].count("pushed to") == 1
        assert process.returncode == 0
    pushed = {tree_digest(tmp_path / "served" / name) for name in visible(tmp_path / "served")}
    assert pushed == {tree_digest(model.path / "Format-Serving") for model in models}


def test_only_one_of_concurrent_pushers_gets_a_fixed_version(tmp_path: Path) -> None:
    models = [make_model(tmp_path / f"model{seed}", seed, files=20) for seed in range(4)]
    processes = _pushers(tmp_path / "served", tmp_path / "push", models, 5)
    outputs = [process.communicate()[0] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2, 2, 2]
    assert sum("5 already exists with different content" in text for text in outputs) == 3
    winner = next(model for model, process in zip(models, processes, strict=True) if process.returncode == 0)
    assert tree_digest(tmp_path / "served" / "5") == tree_digest(winner.path / "Format-Serving")


def _until(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_files_of_dead_pushers_are_removed_and_those_of_live_ones_kept(push: Push, tmp_path: Path) -> None:
    served = tmp_path / "served"
    models = [make_model(tmp_path / f"model{seed}", seed, files=500) for seed in range(2)]
    [first] = _pushers(served, tmp_path / "first", models[:1], 1)
    _until(lambda: list(served.glob(".pushing-1/variables/*")))
    first.send_signal(signal.SIGSTOP)
    staged = len(list((served / ".pushing-1" / "variables").iterdir()))
    assert staged < 500
    [second] = _pushers(served, tmp_path / "second", models[1:], 2)
    assert second.stdout
    assert second.stdout.readline() == "there is no blessing: the model is pushed without evaluation\n"
    assert second.stdout.readline() == f"waiting for another push to {served}\n"
    assert len(list((served / ".pushing-1" / "variables").iterdir())) >= staged
    assert visible(served) == []
    first.kill()
    first.communicate()
    second.communicate()
    assert second.returncode == 0
    assert names(served) == [".pushing.lock", "2"]


class Server(threading.Thread):
    """Watches versions appear, like TF Serving, and records incomplete ones."""

    def __init__(self, served: Path) -> None:
        super().__init__()
        self.served, self.seen, self.partial = served, set[str](), list[str]()
        self._stopped = threading.Event()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        while not self._stopped.wait(0.002):
            self.look()

    def look(self) -> None:
        for name in set(visible(self.served)) - self.seen:
            self.seen.add(name)
            provenance = self.served / name / "provenance.json"
            if not provenance.is_file() or json.loads(provenance.read_text())[0]["digest"] != tree_digest(
                self.served / name
            ):
                self.partial.append(name)


def _kill_pushers(tmp_path: Path, times: int) -> None:
    """Kills a pusher once a random number of its files is in the staging folder."""
    processes = multiprocessing.get_context("forkserver")
    served, files, moments = tmp_path / "served", 100, random.Random(8)
    caught = finished = 0
    with Server(served) as server:
        for number in range(times):
            folder, files_before_kill = tmp_path / "push" / str(number), moments.randint(0, files + 1)
            process = processes.Process(target=push_in_process, args=(number, files, str(served), folder))
            process.start()
            while process.is_alive() and _staged(served) < files_before_kill:
                time.sleep(0.001)
            process.kill()
            process.join()
            finished += process.exitcode == 0
            caught += _staged(served) > 0
            shutil.rmtree(folder, ignore_errors=True)
        push_in_process(times, files, str(served), tmp_path / "last")
        server.look()
    assert server.partial == []
    assert caught > times / 4
    assert finished <= len(server.seen) <= times + 1
    assert set(names(served)) == {".pushing.lock", *server.seen}


def _staged(served: Path) -> int:
    return len(list(served.glob(".pushing-[0-9]*/**/*.*")))


def test_a_killed_pusher_never_shows_a_partial_version(tmp_path: Path) -> None:
    _kill_pushers(tmp_path, 20)


@pytest.mark.slow
def test_two_hundred_killed_pushers_never_show_a_partial_version(tmp_path: Path) -> None:
    _kill_pushers(tmp_path, 200)


@pytest.fixture
def bucket(aws: Any) -> Iterator[Any]:
    """A new bucket."""
    created = aws.create_bucket(Bucket=f"models-{time.monotonic_ns()}")
    yield created
    created.objects.delete()
    created.delete()


def keys(bucket: Any) -> list[str]:
    return [found.key for found in bucket.objects.all()]


def test_a_model_is_pushed_to_s3(push: Push, tmp_path: Path, bucket: Any) -> None:
    model, blessing = make_history(tmp_path / "history")
    pushed = push(model, f"s3://{bucket.name}/taxi", blessing, version=3)
    assert keys(bucket) == [
        "taxi/3/model_card.html",
        "taxi/3/model_card.json",
        "taxi/3/model_card.md",
        "taxi/3/provenance.json",
        "taxi/3/saved_model.pb",
        "taxi/3/variables/variables.data-00000",
        "taxi/3/variables/variables.data-00001",
    ]
    assert pushed.metadata["pushed_destination"] == f"s3://{bucket.name}/taxi/3"
    [version] = versions(open_destination(f"s3://{bucket.name}/taxi"))
    assert version.is_intact(pushed.metadata["pushed_digest"])
    assert version.records()[0]["stage"] == "pusher"
    assert push(model, f"s3://{bucket.name}/taxi", blessing, version=3).metadata["pushed_version"] == "3"


def test_a_version_in_s3_is_never_overwritten(push: Push, tmp_path: Path, bucket: Any) -> None:
    push(make_model(tmp_path / "one", 1), f"s3://{bucket.name}/taxi", version=3)
    before = keys(bucket)
    with pytest.raises(UserError, match="taxi/3 already exists with different content"):
        push(make_model(tmp_path / "two", 2, files=9), f"s3://{bucket.name}/taxi", version=3)
    assert keys(bucket) == before


def test_concurrent_pushers_to_s3_create_one_version(tmp_path: Path, bucket: Any) -> None:
    models = [make_model(tmp_path / f"model{seed}", seed, files=3) for seed in range(3)]
    processes = _pushers(f"s3://{bucket.name}/taxi", tmp_path / "push", models, 4)  # type: ignore[arg-type]
    outputs = [process.communicate()[0] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2, 2], outputs
    [version] = versions(open_destination(f"s3://{bucket.name}/taxi"))
    assert version.is_intact(version.recorded_digest())


def test_a_killed_pusher_to_s3_leaves_no_saved_model(push: Push, tmp_path: Path, bucket: Any) -> None:
    url = f"s3://{bucket.name}/taxi"
    model = make_model(tmp_path / "model", files=100)
    [process] = _pushers(url, tmp_path / "killed", [model], 0)  # type: ignore[arg-type]
    _until(lambda: len(keys(bucket)) > 3)
    process.kill()
    process.communicate()
    assert 3 < len(keys(bucket)) < 100
    assert not [key for key in keys(bucket) if key.endswith("saved_model.pb")]
    [abandoned] = versions(open_destination(url))
    assert not abandoned.is_whole()

    pushed = push(model, url)
    assert [version.is_whole() for version in versions(open_destination(url))] == [True, False], (
        "its pusher may still be alive"
    )
    assert int(pushed.metadata["pushed_version"]) > abandoned.number
    with object_store.opened(open_destination(url), abandoned_after=timedelta(0)):
        assert [version.is_whole() for version in versions(open_destination(url))] == [True]


def test_folders_in_s3_that_are_not_ours_are_not_removed(bucket: Any) -> None:
    bucket.put_object(Key="taxi/12/notes.txt", Body=b"kept")
    with object_store.opened(open_destination(f"s3://{bucket.name}/taxi"), abandoned_after=timedelta(0)):
        assert keys(bucket) == ["taxi/12/notes.txt"]


def test_a_missing_bucket_is_reported(push: Push, tmp_path: Path, bucket: Any) -> None:
    with pytest.raises(UserError, match=r"the destination s3://no-such-bucket/taxi is not writable"):
        push(make_model(tmp_path / "model"), "s3://no-such-bucket/taxi")


def test_a_service_that_does_not_answer_is_reported(
    push: Push, tmp_path: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    command = pusher_command(make_model(tmp_path / "model"), "s3://models/taxi", tmp_path / "push")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "error: the push to s3://models/taxi failed" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_failed_upload_is_removed(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    destination = open_destination("memory://failed/taxi")
    with pytest.raises(FileNotFoundError):
        object_store.write(Version(destination, "5"), tmp_path, ["saved_model.pb", "gone"], {"provenance.json": "[]"})
    assert not list(versions(destination))


def test_an_upload_never_takes_over_another_pushers_version(tmp_path: Path) -> None:
    destination = open_destination("memory://claimed/taxi")
    destination.file_system.pipe_file("/claimed/taxi/5/provenance.json", b"[]")
    with pytest.raises(FileExistsError):
        object_store.write(Version(destination, "5"), tmp_path, [], {"provenance.json": "[]"})
    assert destination.file_system.find("/claimed/taxi") == ["/claimed/taxi/5/provenance.json"]


def test_other_fsspec_drivers_work(push: Push, tmp_path: Path) -> None:
    pushed = push(make_model(tmp_path / "model"), "memory://other/taxi")
    [version] = versions(open_destination("memory://other/taxi"))
    assert version.is_intact(pushed.metadata["pushed_digest"])


def test_tensorflow_is_not_loaded(tmp_path: Path) -> None:
    code = "import sys, runpy\ntry: runpy.run_module('components', run_name='__main__')\nexcept SystemExit as end:\n"
    code += "    print(end.code, [m for m in ('tensorflow', 'pyarrow', 'kfp', 'pandas', 's3fs') if m in sys.modules])"
    command = pusher_command(make_model(tmp_path / "model"), str(tmp_path / "served"), tmp_path / "push")
    result = subprocess.run(
        [sys.executable, "-c", code, *command[3:]], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert result.stdout.splitlines()[-1] == "0 []"
