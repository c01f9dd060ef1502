"""Runs in containers, on an engine that runs them as processes; `tests/docker` uses real containers."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

import taxiway
from components.contract.digests import tree_digest
from components.contract.errors import ServiceError, UserError
from taxiway import loading
from taxiway.runner.call import State
from taxiway.runner.containers import ContainerLauncher
from taxiway.runner.local import LocalLauncher
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, RunFailedError
from tests.components.engines import until
from tests.taxiway.chain_pipeline import chain
from tests.taxiway.runner.process_engine import Containers, image, process_engine


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _run(pipeline: Any, home: Path, **options: Any) -> Run:
    compiled = pipeline if isinstance(pipeline, loading.Pipeline) else loading.compiled(pipeline)
    return taxiway.run(compiled, home=home, observer=Observer(), **{"launcher": ContainerLauncher, **options})


def _shell(script: str, **options: Any) -> Any:
    """A pipeline of one container that runs a script with its output's path as `$0`."""

    @dsl.container_component
    def shell(out: dsl.Output[dsl.Dataset]):
        return dsl.ContainerSpec(image="any:1", command=["sh", "-ec", script], args=[out.path])

    @dsl.pipeline(name="shells")
    def shells() -> None:
        for name, value in options.items():
            shell().set_env_variable(name, value)
        if not options:
            shell()

    return loading.compiled(shells)


def _failure(pipeline: Any, home: Path) -> RunFailedError:
    with pytest.raises(RunFailedError) as caught:
        _run(pipeline, home)
    return caught.value


def _states(run: Run) -> set[State]:
    return {task.state for task in run.tasks.values()}


# The same as processes


def test_containers_have_the_same_outputs_as_processes(engine: Containers, home: Path, tmp_path: Path) -> None:
    pipeline = loading.compiled(chain)
    processes = _run(pipeline, tmp_path / "processes", launcher=LocalLauncher)
    assert engine.bodies == []
    containers = _run(pipeline, home)
    assert len(engine.bodies) == len(containers.tasks) == len(processes.tasks)
    for name, artifact in processes.artifacts.items():
        assert tree_digest(containers.artifacts[name].path) == tree_digest(artifact.path)
    assert _states(_run(pipeline, home)) == {State.CACHED}
    assert engine.existing == {}


def test_the_command_line_chooses_containers(engine: Containers, tmp_path: Path) -> None:
    loading.compile_to(chain, tmp_path / "chain.yaml")
    command = [sys.executable, "-m", "taxiway", "run", "chain.yaml", "--runner", "docker"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "chain succeeded in" in result.stderr
    assert "source: running\n" in result.stderr
    assert len(engine.bodies) == 11


def test_containers_run_in_parallel(engine: Containers, home: Path, tmp_path: Path) -> None:
    @dsl.container_component
    def meet(mine: str, other: str):
        script = 'touch "$0"; until [ -e "$1" ]; do sleep 0.02; done'
        return dsl.ContainerSpec(image="any:1", command=["sh", "-ec", script], args=[mine, other])

    @dsl.pipeline(name="meets")
    def meets(one: str, two: str) -> None:
        meet(mine=one, other=two)
        meet(mine=two, other=one)

    run = _run(meets, home, jobs=2, one=str(tmp_path / "one"), two=str(tmp_path / "two"))
    assert _states(run) == {State.SUCCEEDED}


def test_a_container_has_only_the_mounts_and_limits_of_its_task(
    engine: Containers, home: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", "/somewhere")
    monkeypatch.setenv("UNRELATED", "secret")
    monkeypatch.setenv("SSL_CERT_FILE", __file__)
    monkeypatch.chdir(home.parent)
    _run(_shell('echo "$MODE" > "$0"', MODE="fast"), home)
    [body] = engine.bodies
    host = body["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["NetworkMode"] == "host"
    folders = [bind for bind in host["Binds"] if not bind.endswith(":ro")]
    # This folder contains the home.
    assert folders == [f"{home.parent}:{home.parent}"]
    assert f"{__file__}:{__file__}:ro" in host["Binds"]
    assert body["User"] == f"{os.getuid()}:{os.getgid()}"
    assert body["WorkingDir"] == str(home.parent)
    variables = dict(pair.split("=", 1) for pair in body["Env"])
    assert variables["MODE"] == "fast"
    assert variables["AWS_REGION"] == "eu-north-1"
    assert variables.keys().isdisjoint({"UNRELATED", "DVC_SITE_CACHE_DIR", "PATH"})


def test_arguments_without_a_command_go_to_the_images_entrypoint(engine: Containers, home: Path) -> None:
    @dsl.container_component
    def own(text: str):
        return dsl.ContainerSpec(image="any:1", args=["--text", text])

    @dsl.pipeline(name="owns")
    def owns() -> None:
        own(text="hello")

    run = _run(owns, home)
    assert run.tasks["own"].log.read_text() == "the image's own command: --text hello\n"


def test_a_container_may_run_longer_than_the_engines_response_timeout(
    engine: Containers, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taxiway.runner.engine.SECONDS", 0.5)
    run = _run(_shell('sleep 1.5; echo done > "$0"'), home)
    assert _states(run) == {State.SUCCEEDED}


# Images


def test_a_changed_image_is_a_cache_miss_and_the_former_one_a_hit(engine: Containers, home: Path) -> None:
    pipeline = _shell('echo same > "$0"')
    assert _states(_run(pipeline, home)) == {State.SUCCEEDED}
    engine.images["any:1"] = image("2")
    assert _states(_run(pipeline, home)) == {State.SUCCEEDED}
    engine.images["any:1"] = image("1")
    assert _states(_run(pipeline, home)) == {State.CACHED}


@pytest.mark.parametrize(("known", "expected"), [([], "sha256:1"), (["registry.example/any@sha256:abc"], "sha256:abc")])
def test_the_lineage_names_the_image_by_its_digest(
    engine: Containers, home: Path, known: list[str], expected: str
) -> None:
    engine.images["any:1"]["RepoDigests"] = known
    run = _run(_shell('echo "$TAXIWAY_IMAGE" > "$0"'), home)
    assert run.artifacts["out"].path.read_text() == f"any:1@{expected}\n"
    assert json.loads(run.artifacts["out"].metadata["provenance"])["image"] == f"any:1@{expected}"


def test_a_missing_image_is_reported_before_the_run_starts(engine: Containers, home: Path) -> None:
    engine.images["there:1"] = image("2")
    pipeline = loading.compiled(chain)
    [*_, last] = pipeline.spec["deploymentSpec"]["executors"].values()
    last["container"]["image"] = "nowhere:1"
    with pytest.raises(UserError) as caught:
        _run(pipeline, home)
    assert str(caught.value) == (
        "the image nowhere:1 is not on this machine and cannot be pulled: pull access denied\n"
        "  fix: build it (Taxiway's own: make images), or correct its name"
    )
    assert engine.bodies == []
    assert not (home / "runs").exists()


def test_images_may_be_parameters(engine: Containers, home: Path) -> None:
    @dsl.container_component
    def tell(out: dsl.OutputPath(str)):  # type: ignore[valid-type]
        script = 'printf "there:1" > "$0"; echo "$TAXIWAY_IMAGE"'
        return dsl.ContainerSpec(image="any:1", command=["sh", "-ec", script], args=[out])

    @dsl.pipeline(name="chooses")
    def chooses(tag: str = "1") -> None:
        first = tell().set_container_image(f"any:{tag}")
        tell().set_container_image(first.output)

    engine.images["there:1"] = image("2")
    run = _run(chooses, home)
    assert [run.tasks[name].log.read_text() for name in ("tell", "tell-2")] == [
        "any:1@sha256:1\n",
        "there:1@sha256:2\n",
    ]
    with pytest.raises(UserError, match="the image any:2 is not on this machine"):
        _run(chooses, home, tag="2")
    assert len(engine.bodies) == 2
    del engine.images["there:1"]
    assert "the image there:1 is not on this machine" in str(_failure(chooses, home))


def test_an_image_for_another_architecture_is_reported_before_the_run_starts(engine: Containers, home: Path) -> None:
    engine.images["any:1"] = image("1", "s390x")
    with pytest.raises(UserError, match=r"^the image any:1 is built for s390x, but this machine is \w+\n  fix: build"):
        _run(chain, home)
    assert engine.bodies == []


# Failures


def test_a_failed_container_fails_the_run_with_its_last_lines(engine: Containers, home: Path) -> None:
    failed = _failure(_shell('echo half > "$0"; echo "no such table: trips" >&2; exit 3'), home)
    assert failed.exit_status == 1
    assert "shell ended with exit status 3; its log ends:\n  no such table: trips" in str(failed)
    assert engine.existing == {}
    assert not list((home / "work").glob("*"))


def test_a_container_that_refuses_its_input_is_a_user_error(engine: Containers, home: Path) -> None:
    failed = _failure(_shell('echo "error: no such column: fare"; exit 2'), home)
    assert failed.exit_status == 2
    assert str(failed) == "no such column: fare"


def test_a_container_stopped_from_outside_has_failed(engine: Containers, home: Path) -> None:
    failed = _failure(_shell("kill -TERM $$"), home)
    assert str(failed).startswith("shell ended with exit status 143; its log ends:")


@pytest.mark.parametrize(
    ("out_of_memory", "expected"),
    [
        (False, "shell was killed by signal 9, as the kernel does when memory runs out; its log ends:"),
        (True, "the container was killed: out of memory"),
    ],
)
def test_a_killed_containers_signal_is_reported(
    engine: Containers, home: Path, out_of_memory: bool, expected: str
) -> None:
    engine.out_of_memory = out_of_memory
    assert str(_failure(_shell("kill -KILL $$"), home)).startswith(expected)


def test_a_command_that_the_image_lacks_is_reported(engine: Containers, home: Path) -> None:
    pipeline = _shell("")
    [executor] = pipeline.spec["deploymentSpec"]["executors"].values()
    executor["container"]["command"] = ["no-such-program"]
    failed = _failure(pipeline, home)
    assert failed.exit_status == 2
    assert "any:1 cannot run no-such-program " in str(failed)
    assert "exec: no-such-program: not found\n  fix: correct the component's image or command" in str(failed)


def test_a_container_removed_from_outside_has_failed(engine: Containers, home: Path) -> None:
    def remove() -> None:
        until(lambda: engine.processes)
        [name] = engine.processes
        engine.remove(name)

    remover = threading.Thread(target=remove)
    remover.start()
    failed = _failure(_shell('echo done > "$0"; sleep 30'), home)
    remover.join()
    assert "its container was removed while it was running" in str(failed)


# When Docker's client cannot connect, its socket is only closed by garbage collection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_that_stops_fails_the_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaving(ContainerLauncher):
        def launch(self, job: Any) -> Any:
            shutil.rmtree(folder)
            return super().launch(job)

    with process_engine() as (containers, url):
        folder = containers.folder
        monkeypatch.setenv("DOCKER_HOST", url)
        launcher = Leaving()
        launcher._reaper.reap()
        with pytest.raises(RunFailedError, match="the container engine failed: "):
            _run(_shell("true"), home, launcher=lambda: launcher)
        folder.mkdir()
    gc.collect()


def test_a_container_mounts_the_repositories_of_its_data(
    engine: Containers, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dsl.container_component
    def read(input_path: str, data_repo: str):
        return dsl.ContainerSpec(image="any:1", command=["true"], args=[input_path, data_repo])

    @dsl.pipeline(name="reads")
    def reads(data: str, repo: str = "") -> None:
        read(input_path=data, data_repo=repo)

    for folder in ("here", "around/.git", "around/data", "other"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "around/data/rows.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path / "here")
    pipeline = loading.compiled(reads)
    definitions = pipeline.spec["components"]["comp-read"]["inputDefinitions"]["parameters"]
    definitions["input_path"]["description"] = "[Data] What is read."
    definitions["data_repo"]["description"] = "[Repository] Where it is."
    definitions["allow_unversioned"] = {
        "defaultValue": True,
        "description": "[Unversioned] As it is.",
        "isOptional": True,
        "parameterType": "BOOLEAN",
    }
    pipeline = replace(pipeline, spec=pipeline.spec)
    _run(pipeline, home, data=str(tmp_path / "around/data"))
    (tmp_path / "other/rows.csv").write_text("a\n1\n")
    _run(pipeline, home, data="rows.csv", repo="../other")
    shown = [{bind.split(":")[0] for bind in body["HostConfig"]["Binds"]} for body in engine.bodies]
    assert {str(tmp_path / "here"), str(tmp_path / "around")} <= shown[0]
    assert str(tmp_path / "other") in shown[1]


def test_a_mount_that_would_hide_folders_of_the_image_is_refused(engine: Containers, home: Path) -> None:
    @dsl.container_component
    def copy(data: dsl.Input[dsl.Dataset]):
        return dsl.ContainerSpec(image="any:1", command=["true"], args=[data.path])

    @dsl.pipeline(name="imports")
    def imports() -> None:
        copy(data=dsl.importer(artifact_uri="/etc/hostname", artifact_class=dsl.Dataset).output)

    failed = _failure(imports, home)
    assert "/etc/hostname cannot be mounted into a container: it would hide the image's own /etc" in str(failed)
    assert "fix: use a path in another folder that exists" in str(failed)


# Interrupts


def _runner(home: Path) -> subprocess.Popen[bytes]:
    """A run in a separate process."""
    code = (
        "import sys, taxiway\n"
        "from taxiway.runner.containers import ContainerLauncher\n"
        "from tests.taxiway.chain_pipeline import chain\n"
        "taxiway.run(chain, home=sys.argv[1], launcher=ContainerLauncher, pause='30')"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(home)], stderr=subprocess.PIPE)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_container_outlives_its_runner(engine: Containers, home: Path, how: signal.Signals) -> None:
    runner = _runner(home)
    until(lambda: engine.processes)
    runner.send_signal(how)
    runner.communicate(timeout=20)
    until(lambda: not engine.existing)
    if how != signal.SIGKILL:
        [record] = (home / "runs").glob("*/run.json")
        assert json.loads(record.read_text())["state"] == "CANCELED"


# The engine


def test_a_missing_engine_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    began = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        _run(chain, home)
    assert time.monotonic() - began < 5
    assert str(caught.value) == (
        f"no container engine answers at unix://{tmp_path}/none.sock: [Errno 2] No such file or directory\n"
        "  fix: start one: systemctl start docker, or systemctl start podman.socket, or docker/engine start; or "
        "set DOCKER_HOST to its URL"
    )


def test_a_missing_permission_on_the_socket_is_reported(engine: Containers) -> None:
    """In a separate process, because root drops its privileges for good."""
    engine.folder.chmod(0o700)
    url = os.environ["DOCKER_HOST"]
    Path(url.removeprefix("unix://")).chmod(0o000)
    code = (
        "import os, sys\n"
        "from taxiway.runner import engine\n"
        "from components.contract.errors import ServiceError\n"
        "import docker.transport.unixconn\n"
        "os.geteuid() or os.seteuid(65534)\n"
        "try:\n"
        "    engine.connect(sys.argv[1])\n"
        "except ServiceError as error:\n"
        "    print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)
    uid = os.geteuid() or 65534
    assert result.stdout.startswith(
        f"{url} denies access to this user (uid {uid})\n  fix: for Docker, join its group: "
    )
