"""Our own server in real pods: kubelet and containerd run the overlay of a node without TF Serving's image."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.cluster.conftest import NODE, Cluster, Namespace, wait_for
from tests.manifests.objects import NAMESPACE, build, kubectl, of_kind
from tests.taxiway.serving import models

OVERLAY = "overlays/kind-taxiway-serve"
STORES = "/var/lib/taxiway"
START = 240


@pytest.fixture
def store(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> Iterator[Path]:
    """The model's folder on the node, after the overlay was applied with two servers."""
    if NODE != "inside":
        pytest.skip(f"no node: {NODE.removeprefix('no: ')}")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    for name in ("models", "data"):
        (tmp_path / name).mkdir()
    namespace("kubeflow")
    namespace(NAMESPACE)
    cluster.apply(*json.loads(json.dumps(build(OVERLAY)).replace(STORES, str(tmp_path))))
    cluster.do("--namespace", NAMESPACE, "scale", "deployment/tf-serving", "--replicas=2")
    yield tmp_path / "models/chicago_taxi"
    volumes = [each["metadata"]["name"] for each in of_kind(build(OVERLAY), "PersistentVolume")]
    cluster.do("delete", "persistentvolume", *volumes, "--wait=false")


def _publish(store: Path, model: str, version: int, tmp_path: Path) -> None:
    models.publish(models.write(model, tmp_path / model), store, version)


def _ready(cluster: Cluster) -> list[str]:
    """The servers that are ready and not terminating."""
    document = json.loads(cluster.do("--namespace", NAMESPACE, "get", "pods", "--output=json"))["items"]
    live = [pod for pod in document if "deletionTimestamp" not in pod["metadata"]]
    conditions = {pod["metadata"]["name"]: pod["status"].get("conditions", []) for pod in live}
    return [name for name, all_ in conditions.items() if ("Ready", "True") in [(c["type"], c["status"]) for c in all_]]


@contextmanager
def _forwarded(cluster: Cluster, target: str) -> Iterator[str]:
    """The URL of a port forward."""
    command = [kubectl(), "--kubeconfig", str(cluster.kubeconfig), "--namespace", NAMESPACE, "port-forward", target]
    with subprocess.Popen([*command, ":8501"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            match = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
            assert match
            yield f"http://{match[0]}"
        finally:
            process.terminate()


def _predict(url: str) -> float:
    answer = requests.post(f"{url}/v1/models/chicago_taxi:predict", json={"instances": [1.0]}, timeout=30)
    assert answer.status_code == 200, answer.text
    return float(answer.json()["predictions"][0])


def test_servers_answer_while_a_pod_is_deleted_during_a_swap(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    _publish(store, "half_plus_two", 1, tmp_path)
    wait_for(lambda: len(_ready(cluster)) == 2, START)
    with _forwarded(cluster, "service/tf-serving") as url:
        assert _predict(url) == 2.5
    doomed, survivor = _ready(cluster)
    with _forwarded(cluster, f"pod/{survivor}") as url:
        _publish(store, "half_plus_three", 2, tmp_path)
        cluster.do("--namespace", NAMESPACE, "delete", "pod", doomed, "--wait=false")
        answers = [_predict(url)]

        def is_swapped() -> bool:
            answers.append(_predict(url))
            return answers[-1] == 3.5

        wait_for(is_swapped, START)
    # No request failed.
    assert set(answers) == {2.5, 3.5}
    wait_for(lambda: len(_ready(cluster)) == 2, START)
    [replacement] = set(_ready(cluster)) - {survivor}
    assert replacement != doomed
    with _forwarded(cluster, f"pod/{replacement}") as url:
        assert _predict(url) == 3.5
