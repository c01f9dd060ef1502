"""`manifests/cluster`: its steps and errors, with stubs of the programs that it calls.

The effects of the commands on kind, minikube and Kubeflow are not tested here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.manifests.objects import MANIFESTS, kubectl

CHECKOUT = MANIFESTS.parent
TOOLS = ("sh", "sed", "grep", "sort", "mktemp", "cat", "rm", "dirname", "sleep", "seq", "head", "mkdir", "env")

RECORDER = """#!/bin/sh
echo "$(basename "$0") $*" >>"$RECORD"
case "$(basename "$0") $*" in
'kind get clusters') ;;
*port-forward*ml-pipeline-ui*) echo 'Forwarding from 127.0.0.1:40001 -> 3000'; exec sleep 60 ;;
*port-forward*8500*) echo 'Forwarding from 127.0.0.1:40002 -> 8500'; exec sleep 60 ;;
'docker image inspect'*) [ -z "${NO_IMAGES:-}" ] ;;
'docker info') [ -z "${NO_DAEMON:-}" ] ;;
'docker save'* | 'podman save'*) : >"$3" ;;
'kind create cluster'*) echo "by ${KIND_EXPERIMENTAL_PROVIDER:-docker}" >>"$RECORD" ;;
'taxiway compile'*) printf 'image: %s\\n' taxiway-data:0.1.0 registry.example/team/taxiway-train:0.1.0 >"$6" ;;
'kubectl kustomize'*) exec "$KUBECTL" "$@" ;;
esac
"""


class Machine:
    """A checkout with the real script, and stub programs that record their arguments."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.record = folder / "record"
        self.programs = folder / "programs"
        self.programs.mkdir(parents=True)
        (self.checkout / "bin").mkdir(parents=True)
        shutil.copytree(MANIFESTS, self.checkout / "manifests")
        for name in TOOLS:
            program_path = shutil.which(name)
            assert program_path is not None, name
            (self.programs / name).symlink_to(program_path)
        (self.programs / "basename").symlink_to(str(shutil.which("basename")))
        for name in ("kind", "minikube", "kubectl", "docker", "make", "git"):
            self._program(self.programs / name)
        self._program(self.checkout / "bin/taxiway")

    @staticmethod
    def _program(path: Path) -> None:
        path.write_text(RECORDER)
        path.chmod(0o755)

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.programs),
            "RECORD": str(self.record),
            "KUBECTL": kubectl(),
            "TMPDIR": os.environ["TMPDIR"],
            **variables,
        }
        script = self.checkout / "manifests/cluster"
        return subprocess.run(
            [script, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def calls(self) -> list[str]:
        return self.record.read_text().splitlines() if self.record.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def _in_order(calls: list[str], *wanted: str) -> None:
    """Asserts that all of these calls occur, in this order."""
    rest = iter(calls)
    for part in wanted:
        assert any(part in call for call in rest), f"{part} is missing or in the wrong order in {calls}"


def test_up_creates_a_cluster_with_kubeflow_images_and_manifests(machine: Machine) -> None:
    done = machine.run("kind", "up")
    assert done.returncode == 0, done.stderr
    _in_order(
        machine.calls(),
        "kind create cluster --name taxiway --config manifests/overlays/kind/cluster.yaml",
        "docker exec taxiway-control-plane chmod 1777 /var/lib/taxiway/models",
        "apply -k github.com/kubeflow/pipelines/manifests/kustomize/cluster-scoped-resources?ref=2.18.1",
        "apply -k github.com/kubeflow/pipelines/manifests/kustomize/env/platform-agnostic?ref=2.18.1",
        "wait --for condition=Available",
        "make images",
        "kind load image-archive",
        "apply -k manifests/overlays/kind",
    )


def test_images_of_the_pipeline_are_loaded_under_their_full_names(machine: Machine) -> None:
    machine.run("kind", "up")
    calls = machine.calls()
    saved = [call.rpartition(" ")[2] for call in calls if call.startswith("docker save ")]
    assert sorted(saved) == ["docker.io/library/taxiway-data:0.1.0", "registry.example/team/taxiway-train:0.1.0"]
    # TF Serving's own image is pulled.
    assert not any("tensorflow" in call for call in calls)


def test_podman_is_used_without_docker(machine: Machine) -> None:
    (machine.programs / "docker").rename(machine.programs / "podman")
    done = machine.run("kind", "up")
    assert done.returncode == 0, done.stderr
    _in_order(machine.calls(), "podman info", "kind create", "by podman", "podman save --output")


def test_every_call_of_kubectl_names_the_scripts_own_cluster(machine: Machine) -> None:
    for command in ("up", "demo"):
        machine.run("kind", command)
    calls = [call for call in machine.calls() if call.startswith("kubectl ") and "kustomize manifests" not in call]
    assert calls
    assert all(call.startswith("kubectl --context kind-taxiway ") for call in calls)


def test_demo_runs_the_pipeline_and_calls_the_pushed_model(machine: Machine) -> None:
    done = machine.run("kind", "demo")
    assert done.returncode == 0, done.stderr
    calls = machine.calls()
    _in_order(
        calls,
        "make data",
        "docker cp data/chicago_taxi/data.csv taxiway-control-plane:/var/lib/taxiway/data/chicago_taxi/data.csv",
        "taxiway submit chicago_taxi --host http://127.0.0.1:40001 --profile cluster --wait",
        "rollout status deployment/tf-serving",
        "taxiway predict 127.0.0.1:40002 --model chicago_taxi",
    )
    assert "--param destination=/models/chicago_taxi" in next(call for call in calls if "submit" in call)


def test_minikube_has_the_same_steps(machine: Machine) -> None:
    for command in ("up", "demo", "down"):
        done = machine.run("minikube", command)
        assert done.returncode == 0, done.stderr
    _in_order(
        machine.calls(),
        "minikube --profile taxiway start --driver docker --cni calico",
        "minikube --profile taxiway ssh -- sudo chmod 1777 /data/taxiway/models",
        "minikube --profile taxiway image load",
        "kubectl --context taxiway apply -k manifests/overlays/minikube",
        "minikube --profile taxiway cp data/chicago_taxi/data.csv /data/taxiway/data/chicago_taxi/data.csv",
        "taxiway predict",
        "minikube --profile taxiway delete",
    )


def test_taxiways_server_can_replace_tf_serving(machine: Machine) -> None:
    done = machine.run("kind", "up", SERVER="taxiway-serve")
    assert done.returncode == 0, done.stderr
    _in_order(machine.calls(), "apply -k manifests/overlays/kind-taxiway-serve")
    done = machine.run("kind", "up", SERVER="none")
    assert done.returncode == 1
    assert "there is no manifests/overlays/kind-none, which SERVER=none names" in done.stderr


def test_down_removes_this_cluster_and_needs_no_engine(machine: Machine) -> None:
    (machine.programs / "docker").unlink()
    assert machine.run("kind", "down").returncode == 0
    assert machine.calls() == ["kind delete cluster --name taxiway"]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("kind", "kind is missing; see https://kind.sigs.k8s.io"),
        ("kubectl", "kubectl is missing; install Debian's package kubectl"),
        ("docker", "podman is missing; install docker or podman"),
        ("git", "git is missing; kubectl fetches Kubeflow's manifests with it"),
    ],
)
def test_a_missing_program_is_reported_before_the_first_step(missing: str, message: str, machine: Machine) -> None:
    (machine.programs / missing).unlink()
    done = machine.run("kind", "up")
    assert done.returncode == 1
    assert message in done.stderr
    assert not any("create" in call or "apply" in call for call in machine.calls())


def test_an_engine_that_does_not_answer_is_reported(machine: Machine) -> None:
    done = machine.run("kind", "up", NO_DAEMON="1")
    assert done.returncode == 1
    assert "docker does not answer; start it, or join its group" in done.stderr


def test_a_missing_image_is_named(machine: Machine) -> None:
    done = machine.run("kind", "up", NO_IMAGES="1")
    assert done.returncode == 1
    assert "is missing; run: make images" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("kind",), ("k3d", "up"), ("kind", "sideways")])
def test_other_arguments_print_the_usage(arguments: tuple[str, ...], machine: Machine) -> None:
    done = machine.run(*arguments)
    assert done.returncode == 2
    assert "manifests/cluster kind|minikube up|demo|down" in done.stderr
    assert machine.calls() == []


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is missing")
@pytest.mark.parametrize("script", ["manifests/cluster", "manifests/base/config/await-models"])
def test_shellcheck_accepts_the_scripts(script: str) -> None:
    result = subprocess.run(["shellcheck", CHECKOUT / script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
