"""The taxi pipeline in real containers: by Taxiway's runner, and by kfp's own, without Taxiway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

import taxiway
from components.contract.digests import tree_digest
from components.processes import container_engine
from taxiway import loading
from taxiway.fusion.fuse import fused
from taxiway.runner.call import State
from taxiway.runner.containers import ContainerLauncher
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run
from tests.pipelines.project import Project, make_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = 150
IMAGES = {"example-gen": "data", "transform": "train", "trainer": "train", "baseline": "serve", "pusher": "serve"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, taxi_csv: Path, images: dict[str, str]) -> Project:
    return make_project(tmp_path_factory.mktemp("taxi"), taxi_csv)


def _digests(run: Run) -> dict[str, str]:
    """The digests of all outputs, without reports: those show times, which differ between runs."""
    return {
        f"{name}.{output}": tree_digest(artifact.path)
        for name, task in run.tasks.items()
        for output, artifact in task.outputs.items()
        if not output.endswith("report")
    }


def test_containers_have_the_same_outputs_as_processes(
    client: docker.DockerClient, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    options: dict[str, Any] = {"home": project.home, "observer": Observer(), "train_steps": STEPS}
    processes = taxiway.run("chicago_taxi", **options, destination="served/by_processes")
    containers = taxiway.run("chicago_taxi", **options, launcher=ContainerLauncher)
    assert {task.state for task in containers.tasks.values()} == {State.SUCCEEDED}
    assert containers.tasks.keys() == processes.tasks.keys()
    # The model, too: it is trained twice with the same result.
    assert _digests(containers) == _digests(processes)
    assert containers.tasks["evaluator"].parameters == {"blessed": True}
    assert [path.name for path in (project.folder / "served/chicago_taxi").glob("[0-9]*/saved_model.pb")]
    for name, kind in IMAGES.items():
        for artifact in containers.tasks[name].outputs.values():
            assert f'"image": "taxiway-{kind}:' in artifact.metadata["provenance"]
            assert "@sha256:" in json.loads(artifact.metadata["provenance"])["image"]
    again = taxiway.run("chicago_taxi", **options, launcher=ContainerLauncher)
    # It reads the pushed versions, so it runs every time.
    assert {name for name, task in again.tasks.items() if task.state != State.CACHED} == {"baseline"}
    assert client.containers.list(all=True, filters={"label": "taxiway.runner"}) == []


def test_a_fused_pipeline_has_the_same_outputs_in_three_containers(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    # Its trainer has the same cache key outside of the fused pipeline, so this run needs another home.
    options: dict[str, Any] = {"home": tmp_path / "home", "observer": Observer(), "train_steps": STEPS}
    compiled = fused(loading.load("chicago_taxi"))
    processes = taxiway.run(compiled, **options, destination="served/fused_by_processes")
    containers = taxiway.run(compiled, **options, destination="served/fused", launcher=ContainerLauncher)
    assert {task.state for task in containers.tasks.values()} == {State.SUCCEEDED}
    assert set(containers.tasks) == {"example-gen-to-transform", "trainer", "baseline-to-pusher"}
    made, expected = _digests(containers), _digests(processes)
    assert made.keys() == expected.keys()
    # It contains measured latencies.
    assert {name for name in made if made[name] != expected[name]} <= {"baseline-to-pusher.infra_validator__blessing"}


def test_an_unmodified_tfx_module_makes_the_same_model_as_a_process(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    module = "tfx.examples.chicago_taxi_pipeline.taxi_utils_native_keras"
    options: dict[str, Any] = {"home": project.home, "observer": Observer(), "train_steps": STEPS, "module": module}
    processes = taxiway.run("chicago_taxi", **options, destination="served/tfx_by_processes")
    containers = taxiway.run("chicago_taxi", **options, destination="served/tfx", launcher=ContainerLauncher)
    assert _digests(containers) == _digests(processes)


def test_a_failed_container_fails_the_run_and_says_why(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    with pytest.raises(taxiway.RunFailedError) as caught:
        taxiway.run(
            "chicago_taxi",
            home=project.home,
            observer=Observer(),
            launcher=ContainerLauncher,
            data="data/chicago_taxi@no-such-revision",
        )
    assert caught.value.exit_status == 2
    assert "no-such-revision" in str(caught.value)


KFP = """
import os
import sys

from kfp import components, local

root, pipeline, steps = sys.argv[1:]
local.init(
    local.DockerRunner(
        network_mode="host",
        user=f"{os.getuid()}:{os.getgid()}",
        read_only=True,
        tmpfs={"/tmp": "mode=1777"},
        # Podman answers a request for a log when there is a first line in it. Then kfp asks for the container, which
        # may be gone by then: so all of them print something at once.
        environment={"PYTHONPROFILEIMPORTTIME": "1"},
    ),
    pipeline_root=root,
)
components.load_component_from_file(pipeline)(
    data=f"{root}/data", allow_unversioned=True, destination=f"{root}/served", train_steps=int(steps)
)
"""


@pytest.mark.parametrize("options", [[], ["--fuse"]], ids=["single", "fused"])
def test_kfps_own_runner_runs_the_same_yaml(
    images: dict[str, str], taxi_csv: Path, tmp_path: Path, options: list[str]
) -> None:
    root, compiled = tmp_path / "root", tmp_path / "pipeline.yaml"
    (root / "data").mkdir(parents=True)
    shutil.copy(taxi_csv, root / "data/data.csv")
    # kfp looks up an image by the name that the engine lists.
    named = {"TAXIWAY_STAGE_IMAGE": images["data"].replace("taxiway-data", "taxiway-{kind}")}
    environment = {**os.environ, **named, "DOCKER_HOST": container_engine.address()}
    checkout = Path(__file__).parents[2]
    command = str(Path(sys.executable).with_name("taxiway"))
    subprocess.run(
        [command, "compile", "chicago_taxi", *options, "-o", compiled], cwd=checkout, env=environment, check=True
    )
    spec = yaml.safe_load(compiled.read_text().split("\n---\n")[0])
    used = {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}
    assert used == ({images["train"]} if options else set(images.values()))
    # kfp.local 2.17 evaluates a condition on a task's named output as false, because it looks for a pipeline parameter.
    # In a fused task, kfp does not evaluate the condition.
    branches = [task for task in spec["root"]["dag"]["tasks"].values() if "triggerPolicy" in task]
    assert len(branches) == (0 if options else 1)
    for branch in branches:
        del branch["triggerPolicy"]
    compiled.write_text(yaml.safe_dump(spec))
    for _ in range(3):
        result = subprocess.run(
            [sys.executable, "-c", KFP, root, compiled, str(STEPS)],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        # kfp reads the log of a container that is removed when it ends, so it may miss that of a quick one.
        if "no such container" not in result.stdout:
            break
    assert result.returncode == 0, result.stdout[-3000:]
    assert list((root / "served").glob("[0-9]*/saved_model.pb"))
    # All stages that share a container, except the one that is never cached.
    assert len(list(root.glob(".taxiway-cache/*/entry.json"))) == (8 if options else 0)
