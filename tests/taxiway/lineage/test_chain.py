from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest

from components.contract.artifacts import Examples, Model
from components.contract.errors import UserError
from components.execution.records import siblings, sources
from taxiway.lineage.chain import Chain, to_json, trace
from taxiway.lineage.monitoring import windows
from tests.taxiway.lineage.conftest import DATA, Flow, Task
from tests.taxiway.lineage.test_tree import shown


def _stages(chain: Chain) -> list[str]:
    return [record["stage"] for record in chain.records]


def _comparable(chain: Chain) -> dict[str, Any]:
    """A chain without the time of the push, which version and artifact record separately."""
    document = json.loads(to_json(chain))
    for record in document["records"]:
        if record["stage"] == "pusher":
            record.pop("created")
    return document


def test_the_chain_of_a_pushed_version_has_data_code_and_modules(flow, tmp_path):
    chain = trace(str(tmp_path / "served" / "7"))
    assert _stages(chain)[0] == "pusher"
    assert set(_stages(chain)) == {task.stage for task in flow.tasks}
    assert chain.records[0]["pushed_destination"] == str(tmp_path / "served" / "7")
    assert chain.data == [DATA]
    assert [module["function"] for module in chain.modules] == ["run_fn"]
    assert chain.modules[0]["digest"].startswith("sha256:")
    # The trainer's module is outside the repository, so the commit does not contain it.
    assert chain.code[-1].keys() == {"commit", "modified"}
    assert len({code["commit"] for code in chain.code}) == 1


@pytest.mark.parametrize("what", ["pushed version", "model", "pushed_model", "blessing", "examples"])
def test_the_store_and_the_files_give_the_same_answer(flow, store, tmp_path, what):
    flow.record(store, "r1")
    flow.record(store, "r2", cached=True)
    target = str(tmp_path / "served" / "7" if what == "pushed version" else flow.artifact(what).path)
    assert _comparable(trace(target, store=store)) == _comparable(trace(target))


def test_the_store_is_used_if_files_are_missing(flow, store, tmp_path):
    flow.record(store, "r1")
    before = trace(str(flow.artifact("model").path)).records
    shutil.rmtree(flow.folder)
    shutil.rmtree(tmp_path / "served")
    assert trace(str(flow.artifact("model").path), store=store).records == before
    assert trace(str(tmp_path / "served" / "7"), store=store).data == [DATA]


def test_files_are_used_if_the_store_lacks_a_record(flow, store):
    assert trace(str(flow.artifact("model").path), store=store).data == [DATA]


def test_a_digest_or_its_prefix_is_looked_up(flow, store):
    flow.record(store, "r1")
    model = flow.artifact("model")
    whole = trace(str(model.path), store=store).records
    digest = model.metadata["digest"]
    for target in (digest, digest[:15], digest.removeprefix("sha256:")[:8]):
        assert trace(target, store=store).records == whole


def test_paths_may_be_relative_and_end_in_a_slash(flow, store, tmp_path, monkeypatch):
    flow.record(store, "r1")
    monkeypatch.chdir(tmp_path)
    assert trace("served/7/").records[0]["stage"] == "pusher"
    assert trace("served/7/", store=store).records[0]["stage"] == "pusher"


def test_a_version_at_a_url_is_read_through_fsspec(flow, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "served"), "/models", recursive=True)
    assert trace("memory://models/7").records == trace(str(tmp_path / "served" / "7")).records
    memory.rm("/models", recursive=True)


def test_fetched_models_keep_their_history(flow, store, run_stage, tmp_path):
    """A baseline comes from a destination, and an imported artifact from another store."""
    candidate = Model(tmp_path / "candidate", {"digest": "sha256:" + "c" * 64})
    (candidate.path / "Format-Serving").mkdir(parents=True)
    (candidate.path / "Format-Serving" / "saved_model.pb").write_text("another")
    inputs = {"candidate": candidate}
    parameters = {"destination": str(tmp_path / "served")}
    fetched = {"model": run_stage("baseline", inputs, parameters)["model"]}
    imported = {"examples": flow.artifact("examples")}
    later = Flow(tmp_path / "later", [Task("baseline", "baseline", parameters, inputs, fetched)])
    later.make("evaluator", {"blessing": "ModelBlessing"}, {**fetched, **imported})
    later.record(store, "r")
    target = str(later.artifact("blessing").path)
    chain = trace(target, store=store)
    assert {"evaluator", "baseline", "pusher", "trainer", "example_gen"} <= set(_stages(chain))
    assert chain.records == trace(target).records


def test_an_imported_artifact_keeps_its_history(flow, store, tmp_path):
    importer = Task("importer", "importer", {}, {}, {"artifact": flow.artifact("model")})
    later = Flow(tmp_path / "later", [importer])
    later.make("evaluator", {"blessing": "ModelBlessing"}, {"model": flow.artifact("model")})
    later.record(store, "r")
    target = str(later.artifact("blessing").path)
    assert trace(target, store=store).data == [DATA]
    assert trace(target, store=store).records == trace(target).records


def test_a_blessing_is_distinguished_from_others_by_the_model_it_judged():
    def record(stage: str, digest: str, inputs: dict[str, str]) -> dict[str, Any]:
        return {"stage": stage, "digest": digest, "inputs": inputs}

    old, new = record("evaluator", "empty", {"model": "m1"}), record("evaluator", "empty", {"model": "m2"})
    pushed = record("pusher", "p", {"model": "m2", "blessing": "empty"})
    assert sources(pushed, [pushed, old, new])["blessing"] is new


def _record(stage: str, output: str, digest: str, created: str, /, **inputs: str) -> dict[str, Any]:
    same = {"stage": stage, "output": output, "digest": digest, "created": created, "inputs": inputs, "parameters": {}}
    return {**same, "stage_version": "1", "code": {}, "image": ""}


def test_artifacts_made_twice_are_distinguished_by_time():
    first, second = (_record("gen", "examples", "e", f"2026-01-0{day}") for day in (1, 3))
    models = [_record("trainer", "model", f"m{day}", f"2026-01-0{day}", examples="e") for day in (2, 3, 4)]
    for records in ([first, second], [second, first]):
        assert [sources(model, records)["examples"] for model in models] == [first, second, second]
    before = _record("trainer", "model", "m0", "2026-01-00", examples="e")
    assert sources(before, [second])["examples"] is second


def test_a_model_is_listed_with_the_other_outputs_of_its_call():
    calls = [
        [_record("trainer", output, f"{output}{day}", f"2026-01-0{day}", examples="e") for output in ("model", "run")]
        for day in (1, 2)
    ]
    (old, old_run), (new, new_run) = calls
    for records in ([*calls[0], *calls[1]], [*calls[1], *calls[0]]):
        assert siblings(new, records) == [new_run]
        assert siblings(old, records) == [old_run]
    # Equal records of two calls are stored once.
    assert siblings(new, [new, old, old_run]) == [old_run]
    other = {**old_run, "code": {"commit": "1"}}
    assert siblings(new, [new, old, other]) == []


def test_a_run_without_a_cache_names_each_module_and_each_output_once(flow, store, run_stage, tmp_path):
    """The second run rebuilds everything, with another comment in the module; its baseline is from the first run."""
    flow.record(store, "r1")
    module = tmp_path / "model.py"
    module.write_text(module.read_text() + "# a comment\n")
    again = Flow(tmp_path / "again", attempt=" again")
    for task in flow.tasks[:-1]:
        inputs = {name: again.artifact(name) for name in task.inputs}
        metadata = {"data_version": json.dumps({**DATA, "commit": "another"})} if task.stage == "example_gen" else {}
        outputs = {name: artifact.type_name for name, artifact in task.outputs.items() if name != "report"}
        again.make(task.stage, outputs, inputs, task.parameters, metadata)
        if task.stage == "trainer":
            candidate = {"candidate": again.artifact("model")}
            parameters = {"destination": str(tmp_path / "served")}
            baseline = {"baseline": run_stage("baseline", candidate, parameters)["model"]}
            again.tasks.append(Task("baseline", "baseline", parameters, candidate, baseline))
    inputs = {"model": again.artifact("model"), "baseline": again.artifact("baseline")}
    again.make("evaluator", {"judged": "ModelBlessing"}, inputs)
    again.record(store, "r2")
    target = str(again.artifact("judged").path)
    for chain in (trace(target, store=store), trace(target)):
        assert [module["function"] for module in chain.modules] == ["run_fn"]
        assert len(chain.data) == 1
        lines = [line.lstrip(" │├└─") for line in shown(chain).splitlines()]
        beside = [line.split(":")[0] for line in lines if line.startswith("other output")]
        assert sorted(beside) == ["other output evaluation", "other output model_run", "other output model_run"]


def test_an_unknown_digest_suggests_a_similar_one(flow, store):
    flow.record(store, "r1")
    digest = flow.artifact("model").metadata["digest"]
    wrong = digest[:-8] + "00000000"
    with pytest.raises(UserError) as raised:
        trace(wrong, store=store)
    assert f"no artifact in {store.connection} has the digest {wrong}" in str(raised.value)
    assert f"did you mean {digest}?" in str(raised.value)


def test_a_bare_version_number_suggests_the_pushed_version(flow, store, run_stage, tmp_path):
    inputs = {"model": flow.artifact("model")}
    parameters = {"destination": str(tmp_path / "more"), "version": 1700000000}
    outputs = run_stage("pusher", inputs, parameters, tmp_path / "again")
    flow.tasks.append(Task("pusher-2", "pusher", parameters, inputs, outputs))
    flow.record(store, "r")
    with pytest.raises(UserError, match=rf"did you mean {tmp_path}/more/1700000000\?"):
        trace("1700000000", store=store)


def test_a_replaced_version_is_traced_to_its_current_content(flow, store, run_stage, tmp_path):
    flow.record(store, "r1")
    shutil.rmtree(tmp_path / "served")
    flow.folder = tmp_path / "second"
    flow.make("trainer", {"retrained": "Model"})
    inputs = {"model": flow.artifact("retrained")}
    parameters = {"destination": str(tmp_path / "served"), "version": 7}
    outputs = run_stage("pusher", inputs, parameters, tmp_path / "again")
    flow.tasks = [flow.tasks[-1], Task("pusher", "pusher", parameters, inputs, outputs)]
    flow.record(store, "r2")
    chain = trace(str(tmp_path / "served" / "7"), store=store)
    assert [record["output"] for record in chain.records] == ["pushed_model", "retrained"]
    assert _comparable(chain) == _comparable(trace(str(tmp_path / "served" / "7")))


def test_a_digest_needs_a_store():
    with pytest.raises(UserError, match="there is no lineage store to look up deadbeef\n  fix: give the folder"):
        trace("deadbeef")


def test_an_ambiguous_prefix_lists_the_candidates(store, tmp_path):
    store.start_run("r", "p", {}, datetime.now(UTC))
    store.start_task("r", "t", "t", {})
    digests = ["sha256:" + "ab" * 6 + tail * 52 for tail in "01"]
    inputs = {f"m{i}": Model(tmp_path / str(i), {"digest": digest}) for i, digest in enumerate(digests)}
    store.finish_task("r", "t", state="COMPLETE", inputs=inputs, outputs={})
    with pytest.raises(UserError, match="is the prefix of 2 digests") as raised:
        trace("abababab", store=store)
    assert all(digest in str(raised.value) for digest in digests)


def test_an_unknown_path_suggests_a_similar_one(flow, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for known in (None, store):
        with pytest.raises(UserError) as raised:
            trace("served", store=known)
        assert "nothing is known about served: it contains no provenance.json" in str(raised.value)
        assert "did you mean served/7?" in str(raised.value)
    flow.record(store, "r1")
    with pytest.raises(UserError, match=r"did you mean artifacts/trainer/model\?"):
        trace("artifacts/trainer/modle", store=store)


def test_an_input_that_no_stage_made_has_no_chain(store, tmp_path):
    store.start_run("r", "p", {}, datetime.now(UTC))
    store.start_task("r", "t", "t", {})
    raw = Examples(tmp_path / "raw", {"digest": "sha256:" + "d" * 64})
    store.finish_task("r", "t", state="COMPLETE", inputs={"examples": raw}, outputs={})
    with pytest.raises(UserError, match="was made outside the pipelines"):
        trace("dddddddd", store=store)


@pytest.mark.parametrize("content", ["{", "[{}]", "3", '[{"digest": "x"}]'])
def test_a_damaged_provenance_file_is_reported(tmp_path: Path, content):
    (tmp_path / "provenance.json").write_text(content)
    with pytest.raises(UserError, match=r"provenance\.json is damaged: "):
        trace(str(tmp_path))


ALARM = "0123456789ab"


def watched(flow: Flow, store: Any, rows: int, event: str, hour: int) -> None:
    model, examples = flow.artifact("pushed_model"), flow.artifact("examples")
    place = flow.folder.parent / "served" / "7"
    version = windows.Watched(
        7, str(place), model.metadata["digest"], str(examples.path), str(examples.metadata["digest"])
    )
    start = datetime(2026, 1, 5, hour, tzinfo=UTC)
    changes = [{"event": event, "alarm": ALARM, "sentence": "miles moved"}] if event else []
    seen = windows.Seen("trips", start, start + timedelta(hours=1), rows, 1, "/tables/trips", 3, changes, {})
    windows.record(store, seen, [version], datetime.now(UTC))


def test_an_alarm_leads_to_its_windows_the_model_the_data_and_the_code(flow, store, tmp_path):
    flow.record(store, "r1")
    watched(flow, store, 10, "suspected", 1)
    watched(flow, store, 20, "opened", 2)
    watched(flow, store, 21, "", 2)
    chain = trace(ALARM, store=store)
    found = [each for each in chain.records if each["stage"] == "watch"]
    assert [(each["event"], each["parameters"]["rows"]) for each in found] == [("opened", 20), ("suspected", 10)]
    of_version = trace(str(tmp_path / "served" / "7"), store=store)
    assert (chain.data, chain.code, chain.modules) == (of_version.data, of_version.code, of_version.modules)
    assert {record["stage"] for record in chain.records} == {"watch", *_stages(of_version)}
    made = {record["stage"] for record in sources(chain.records[0], chain.records).values()}
    assert made == {"pusher", "example_gen"}
    assert json.loads(to_json(chain))["records"][0]["sentence"] == "miles moved"
    text = shown(chain)
    assert "opened: miles moved" in text and "training_data" in text and DATA["dvc_hash"] in text


def test_an_alarm_that_is_unknown_is_told_with_the_command_that_lists_them(flow, store):
    flow.record(store, "r1")
    watched(flow, store, 20, "opened", 2)
    with pytest.raises(UserError, match="no alarm has this id") as raised:
        trace("ba9876543210", store=store)
    assert raised.value.fix.endswith("alarms list trips --all --tables /tables` lists the alarms")
