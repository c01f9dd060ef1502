"""A real API server, which `tests/cluster/run` starts; without it these tests are skipped."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.objects import kubectl

_CLUSTER = os.environ.get("TAXIWAY_TEST_CLUSTER", "")
_CRDS = os.environ.get("TAXIWAY_TEST_CRDS", "").split()
NODE = os.environ.get("TAXIWAY_TEST_NODE", "")
"""`inside`, or why there is no node."""

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Cluster:
    """The API server, through kubectl.

    Attributes:
        kubeconfig: A kubeconfig of a user who may do everything, or of another.
    """

    kubeconfig: Path

    def run(self, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [kubectl(), "--kubeconfig", str(self.kubeconfig), *map(str, arguments)]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    def do(self, *arguments: str | Path, stdin: str = "") -> str:
        """The output of kubectl; the test fails with its error."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, *objects: Object) -> None:
        self.do("apply", "--server-side", "--filename", "-", stdin=yaml.safe_dump_all(objects))

    def refusal(self, obj: Object) -> str:
        """Why the API server rejects an object; empty if it admits it. Nothing is stored."""
        done = self.run("create", "--dry-run=server", "--filename", "-", stdin=json.dumps(obj))
        return done.stderr if done.returncode else ""


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The API server with the resource definitions of the Prometheus operator, KServe and Argo."""
    if not _CLUSTER:
        pytest.skip("tests/cluster/run starts the API server for these tests")
    found = Cluster(Path(_CLUSTER))
    for file in _CRDS:
        found.do("apply", "--server-side", "--filename", file)
    # kubectl wait fails on a definition that has no status yet.
    wait_for(lambda: found.run("wait", "--for", "condition=established", "crd", "--all").returncode == 0)
    return found


Namespace = Callable[..., str]


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """`namespace(name, labels={})`: a new namespace, which is deleted after the test."""
    made: list[str] = []

    def make(name: str, labels: Mapping[str, str] = {}) -> str:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}})
        made.append(name)
        wait_for(lambda: cluster.run("--namespace", name, "get", "serviceaccount", "default").returncode == 0)
        return name

    yield make
    for name in made:
        cluster.do("delete", "namespace", name, "--wait=true", "--timeout=60s")


@pytest.fixture
def account(cluster: Cluster, tmp_path: Path) -> Callable[..., Cluster]:
    """`account(namespace, *rules)`: the cluster, accessed by a new service account with these rights."""

    def make(namespace: str, *rules: Object) -> Cluster:
        meta = {"name": "tester", "namespace": namespace}
        rbac = "rbac.authorization.k8s.io"
        cluster.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
            {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": list(rules)},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": meta,
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "tester"},
                "subjects": [{"kind": "ServiceAccount", **meta}],
            },
        )
        token = cluster.do("--namespace", namespace, "create", "token", "tester").strip()
        settings = yaml.safe_load(cluster.kubeconfig.read_text())
        settings["users"] = [{"name": "admin", "user": {"token": token}}]
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(settings))
        return Cluster(file)

    return make


def wait_for(is_done: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.1)
