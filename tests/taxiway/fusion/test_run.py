"""Fused pipelines in processes and containers have the artifacts and records of single stages."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

import taxiway
from components.contract.digests import tree_digest
from components.execution import provenance
from components.fused import report
from taxiway import loading
from taxiway.dsl import Baseline, Pusher
from taxiway.fusion.fuse import fused
from taxiway.kubeflow import compilation
from taxiway.runner import attempts
from taxiway.runner.call import State
from taxiway.runner.containers import ContainerLauncher
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, RunFailedError
from tests.components.models import make_model
from tests.taxiway.runner.process_engine import Containers, image, process_engine

NAME = "baseline-to-pusher-2"
SAME = ("stage", "stage_version", "parameters", "inputs", "output", "digest")


@dsl.pipeline(name="pushing")
def pushing(model: str, destination: str, version: int = 0):
    """Pushes to one destination only if it has no model yet, and always to another."""
    candidate = dsl.importer(artifact_uri=model, artifact_class=dsl.Model).output
    baseline = Baseline(candidate=candidate, destination=destination)
    with dsl.If(baseline.outputs["found"] == False):  # noqa: E712 (kfp builds the condition from ==)
        Pusher(model=candidate, destination=destination, version=version)
    with dsl.If(baseline.outputs["version"] != "none"):
        Pusher(model=candidate, destination=f"{destination}-too", version=version)


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "model")
    return {"model": str(tmp_path / "model"), "version": 7}


def _run(fuse: bool, home: str, **options: Any) -> Run:
    compiled = loading.compiled(pushing)
    return taxiway.run(fused(compiled) if fuse else compiled, home=home, observer=Observer(), **options)


def _outputs(run: Run) -> dict[str, Any]:
    """The digests and records of the stages' outputs, by their names in fused pipelines; a report has the time."""
    found = {}
    for name, task in run.tasks.items():
        for output, artifact in task.outputs.items():
            record = json.loads(artifact.metadata.get("provenance", "{}"))
            made = {
                key: record.get(key) for key in ("stage", "stage_version", "parameters", "inputs", "output", "digest")
            }
            key = output if "__" in output else f"{name.replace('-', '_')}__{output}"
            if artifact.is_chained:
                found[key] = artifact.type_name, tree_digest(artifact.path), made
            else:
                assert artifact.path.read_text().startswith("<!DOCTYPE html>")
    return found


def test_artifacts_and_records_equal_those_of_single_stages(given: dict[str, Any], tmp_path: Path) -> None:
    single = _run(False, "single", **given, destination="served")
    (tmp_path / "served").rename("away")
    (tmp_path / "served-too").rename("away-too")
    together = _run(True, "fused", **given, destination="served")
    assert set(together.tasks) == {"importer", NAME}
    assert _outputs(together) == _outputs(single)
    assert len(_outputs(together)) == 4
    places = {artifact.uri for artifact in together.tasks[NAME].outputs.values()}
    assert len(places) == 5  # with the reports of two pushers
    log = together.tasks[NAME].log.read_text()
    assert re.findall(r"==> (.*)", log) == ["baseline, 1 of 3", "pusher, 2 of 3", "pusher-2, 3 of 3"]
    assert re.findall(r"    (\S+) took \d+\.\d s", log) == ["baseline", "pusher", "pusher-2"]


def test_a_member_that_a_condition_skips_leaves_no_artifact(given: dict[str, Any], tmp_path: Path) -> None:
    _run(True, "home", **given, destination="served")
    make_model(tmp_path / "other", seed=1)
    other = {"model": str(tmp_path / "other"), "version": 8}
    again = _run(True, "home", **other, destination="served")
    assert set(again.tasks[NAME].outputs) == {"baseline__model", "pusher_2__pushed_model", "pusher_2__report"}
    assert again.tasks[NAME].state == State.SUCCEEDED
    assert [path.name for path in (tmp_path / "served").glob("[0-9]*")] == ["7"]


def test_an_unchanged_fused_task_is_a_cache_hit(given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _run(True, "home", **given, destination="served").tasks[NAME].state == State.SUCCEEDED
    assert _run(True, "home", **given, destination="served").tasks[NAME].state == State.CACHED
    known = provenance.stage_version
    monkeypatch.setattr(provenance, "stage_version", lambda stage: known(stage) + "changed" * (stage == "pusher"))
    assert _run(True, "home", **given, destination="served").tasks[NAME].state == State.SUCCEEDED


def _states(run: Run) -> dict[str, str]:
    """The states of the members, from the log of the fused task."""
    return {each.name: each.state for each in report.read(run.tasks[NAME].log.read_text().splitlines())}


def test_a_rerun_runs_only_members_affected_by_a_change(given: dict[str, Any], tmp_path: Path) -> None:
    first = _run(True, "home", **given, destination="served")
    again = _run(True, "home", **{**given, "version": 8}, destination="served")
    assert _states(first) == dict.fromkeys(("baseline", "pusher", "pusher-2"), "SUCCEEDED")
    assert [(each.name, each.state) for each in again.tasks[NAME].stages] == list(_states(again).items())
    # Here the baseline is cached, unlike in the taxi pipeline.
    assert _states(again) == {"baseline": "CACHED", "pusher": "SUCCEEDED", "pusher-2": "SUCCEEDED"}
    place = "baseline__model"
    one, other = (each.tasks[NAME].outputs[place] for each in (first, again))
    assert one.uri != other.uri
    assert tree_digest(one.path) == tree_digest(other.path)
    assert one.metadata["provenance"] == other.metadata["provenance"]
    every = _run(True, "home", **{**given, "version": 9}, destination="served", use_cache=False)
    assert set(_states(every).values()) == {"SUCCEEDED"}


def test_the_cache_keeps_entries_for_as_long_as_is_set(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXIWAY_STAGE_CACHE_DAYS", "10")
    _run(True, "home", **given, destination="served")
    for each in (tmp_path / "home/stages").rglob("*"):
        then = each.stat().st_mtime - 11 * 24 * 60 * 60
        os.utime(each, (then, then))
    again = _run(True, "home", **{**given, "version": 8}, destination="served")
    assert "    2 old entries removed from the stage cache\n" in again.tasks[NAME].log.read_text()


def test_a_rerun_after_a_failure_resumes_inside_the_task(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "served-too").write_text("in the way")
    with pytest.raises(RunFailedError) as caught:
        _run(True, "home", **given, destination="served")
    assert _states(caught.value.run) == {"baseline": "SUCCEEDED", "pusher": "SUCCEEDED", "pusher-2": "RUNNING"}
    (tmp_path / "served-too").unlink()
    again = _run(True, "home", **given, destination="served")
    assert _states(again) == {"baseline": "CACHED", "pusher": "CACHED", "pusher-2": "SUCCEEDED"}


def test_a_failure_has_the_same_message_as_in_the_single_stage(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "model/Format-Serving/saved_model.pb").unlink()
    errors = {}
    for fuse in (False, True):
        with pytest.raises(RunFailedError) as caught:
            _run(fuse, f"home-{fuse}", **given, destination="served")
        [name] = caught.value.run.failures
        errors[fuse] = caught.value.run.tasks[name].error, caught.value.exit_status
    assert errors[True] == errors[False]
    assert errors[True][1] == 2


def test_a_compiled_file_gives_the_same_outputs_in_containers_and_processes(
    given: dict[str, Any], tmp_path: Path
) -> None:
    compilation.write(fused(loading.compiled(pushing)), tmp_path / "fused.yaml")
    options: dict[str, Any] = {"observer": Observer(), **given, "destination": "served"}
    processes = taxiway.run("fused.yaml", home="processes", **options)
    (tmp_path / "served").rename("away")
    (tmp_path / "served-too").rename("away-too")
    with process_engine() as (engine, url), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", url)
        _has_image(engine)
        containers = taxiway.run("fused.yaml", home="containers", launcher=ContainerLauncher, **options)
        assert len(engine.bodies) == 1
    assert _outputs(containers) == _outputs(processes)


def _has_image(engine: Containers) -> None:
    container = fused(loading.compiled(pushing)).spec["deploymentSpec"]["executors"][f"exec-{NAME}"]["container"]
    engine.images[container["image"]] = image("1")


def test_a_container_loads_libraries_only_for_a_change() -> None:
    names = ["baseline", "evaluator", "pusher"]
    assert attempts._forked_for(names, has_changed=True) == "evaluator"
    assert attempts._forked_for(names, has_changed=False) in ("baseline", "pusher")
    assert attempts._forked_for(["evaluator"], has_changed=False) == "evaluator"
    assert attempts._forked_for([], has_changed=False) == ""


@dsl.pipeline(name="in-turn")
def after_the_baseline(model: str, destination: str, version: int = 0):
    """Pushes after the baseline was found."""
    candidate = dsl.importer(artifact_uri=model, artifact_class=dsl.Model).output
    baseline = Baseline(candidate=candidate, destination=destination)
    Pusher(model=candidate, destination=destination, version=version).after(baseline)


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_the_next_container_is_started_ahead_and_used_if_its_mounts_fit(
    given: dict[str, Any], place: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    destination = "served" if place == "inside" else str(tmp_path_factory.mktemp("elsewhere") / "served")
    compiled = loading.compiled(after_the_baseline)
    with process_engine() as (engine, url), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", url)
        for executor in compiled.spec["deploymentSpec"]["executors"].values():
            if "container" in executor:
                engine.images[executor["container"]["image"]] = image("1")
        options: dict[str, Any] = {"observer": Observer(), **given, "destination": destination}
        run = taxiway.run(compiled, home="home", launcher=ContainerLauncher, **options)
        entries = [" ".join(body["Entrypoint"]) for body in engine.bodies]
        assert engine.existing == {}
    expected = ["python -m components baseline", "python -m components.ahead"]
    # The container that was started ahead lacks the pusher's mount.
    assert sorted(entries) == sorted(expected + ["python -m components pusher"] * (place == "outside"))
    assert json.loads(run.tasks["pusher"].outputs["pushed_model"].metadata["provenance"])["stage"] == "pusher"
    assert (Path(destination) / "7/saved_model.pb").is_file()
