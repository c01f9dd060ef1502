"""The output of kustomize for the overlays, and the pods in it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
BUILDS = ("base", *sorted(f"overlays/{path.name}" for path in (MANIFESTS / "overlays").iterdir()))
SINGLE_NODE = tuple(name for name in BUILDS if name.startswith(("overlays/kind", "overlays/minikube")))
NAMESPACE = "taxiway"

Object = Mapping[str, Any]

# Flags that `taxiway serve` names differently.
_THEIRS = {"rest_port": "rest_api_port", "config": "model_config_file"}


@dataclass(frozen=True)
class Pod:
    """A pod of a workload.

    Attributes:
        workload: The kind and name of the workload.
        labels: The pod's.
        spec: A PodSpec.
    """

    workload: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def containers(self) -> list[Object]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def server(self) -> Object:
        """The container that serves the models."""
        return next(each for each in self.spec["containers"] if each["name"] in ("tf-serving", "kserve-container"))

    @property
    def arguments(self) -> dict[str, str]:
        """The server's metrics, by TF Serving's names."""
        flags = (argument.removeprefix("--").partition("=") for argument in self.server["args"] if "--" in argument)
        given = {name.replace("-", "_"): value for name, _, value in flags}
        return {_THEIRS.get(name, name): value for name, value in given.items()}

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])}


def kubectl() -> str:
    """The path of kubectl; the test is skipped without it, except in the Debian root, which must have it."""
    program_path = shutil.which("kubectl")
    if program_path is None:
        (pytest.fail if os.environ.get("TAXIWAY_INSIDE") else pytest.skip)("kubectl is missing")
    return str(program_path)


def kustomize(folder: Path) -> list[Object]:
    """The objects of a kustomization."""
    result = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not result.stderr, result.stderr
    return list(yaml.safe_load_all(result.stdout))


@functools.cache
def build(name: str) -> list[Object]:
    """The objects of an overlay, by its path in manifests/."""
    return kustomize(MANIFESTS / name)


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def one(objects: list[Object], kind: str, name: str) -> Object:
    [found] = [each for each in of_kind(objects, kind) if each["metadata"]["name"] == name]
    return found


def _predictor_pod(service: Object, objects: list[Object]) -> Pod:
    """The pod that KServe creates for an InferenceService: the runtime's pod, merged with the predictor."""
    predictor = service["spec"]["predictor"]
    model = predictor["model"]
    runtime = one(objects, "ServingRuntime", model["runtime"])["spec"]
    [container] = runtime["containers"]
    claim, _, folder = model["storageUri"].removeprefix("pvc://").partition("/")
    mount = {"name": "kserve-pvc-source", "mountPath": "/mnt/models", "subPath": folder, "readOnly": True}
    served = {
        **container,
        "resources": model["resources"],
        "volumeMounts": [*container["volumeMounts"], mount],
    }
    source = {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    pod_fields = ("serviceAccountName", "automountServiceAccountToken", "securityContext")
    spec = {
        **{name: predictor[name] for name in pod_fields},
        "containers": [served],
        "volumes": [*runtime["volumes"], source],
    }
    labels = {**service["metadata"]["labels"], **predictor["labels"]}
    return Pod(f"InferenceService/{service['metadata']['name']}", labels, spec)


def pods(objects: list[Object]) -> Iterator[Pod]:
    """A pod of each workload."""
    for each in of_kind(objects, "Deployment"):
        template = each["spec"]["template"]
        yield Pod(f"Deployment/{each['metadata']['name']}", template["metadata"]["labels"], template["spec"])
    for each in of_kind(objects, "CronJob"):
        template = each["spec"]["jobTemplate"]["spec"]["template"]
        yield Pod(f"CronJob/{each['metadata']['name']}", template["metadata"]["labels"], template["spec"])
    for each in of_kind(objects, "InferenceService"):
        yield _predictor_pod(each, objects)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector with `matchLabels` matches these labels; an empty one matches everything."""
    assert set(selector) <= {"matchLabels"}, selector
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
