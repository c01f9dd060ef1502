from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.manifests.objects import MANIFESTS, NAMESPACE, SINGLE_NODE, build, kustomize, of_kind, one, pods


@pytest.mark.parametrize("name", ["overlays/gpu", "overlays/gpu-s3"])
def test_gpu_servers_request_a_gpu_and_select_gpu_nodes(name: str) -> None:
    [pod] = pods(build(name))
    assert pod.server["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert all(each["image"].endswith("-gpu") for each in pod.containers if each["name"] != "mirror")
    assert pod.spec["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod.spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    cache = {variable["name"]: variable["value"] for variable in pod.server["env"]}["CUDA_CACHE_PATH"]
    assert Path(cache).parent.as_posix() in {mount["mountPath"] for mount in pod.server["volumeMounts"]}


@pytest.mark.parametrize("name", ["base", "overlays/s3", "overlays/kind", "overlays/kserve"])
def test_other_overlays_request_no_gpu(name: str) -> None:
    assert "nvidia" not in str(build(name))


@pytest.mark.parametrize("name", ["overlays/s3", "overlays/gpu-s3"])
def test_the_s3_overlay_claims_no_volume_and_uses_the_users_secret(name: str) -> None:
    objects = build(name)
    [pod] = pods(objects)
    assert not of_kind(objects, "PersistentVolumeClaim")
    mirror, await_models = pod.spec["initContainers"]
    assert (mirror["name"], await_models["name"]) == ("mirror", "await-models")
    assert mirror["restartPolicy"] == "Always"
    assert {"secretRef": {"name": "model-store"}} in mirror["envFrom"]
    [settings] = [source["configMapRef"]["name"] for source in mirror["envFrom"] if "configMapRef" in source]
    assert one(objects, "ConfigMap", settings)["data"]["MODEL_STORE"].startswith("s3://")


def _relative(path: str, start: Path) -> str:
    return os.path.relpath((MANIFESTS / path).resolve(), start.resolve())


@pytest.mark.parametrize("order", [["gpu", "s3"], ["s3", "gpu"]])
def test_gpu_and_s3_can_be_combined_in_either_order(order: list[str], tmp_path: Path) -> None:
    """Builds a user's overlay; the copier starts before the containers that wait for its copies."""
    kustomization = {
        "resources": [_relative("base", tmp_path)],
        "components": [_relative(f"components/{part}", tmp_path) for part in (*order, "images")],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    [pod] = pods(kustomize(tmp_path))
    assert [container["name"] for container in pod.spec["initContainers"]] == ["mirror", "await-models"]
    images = [container["image"] for container in pod.containers if container["name"] != "mirror"]
    assert len(set(images)) == 1
    assert images[0].endswith("-gpu")


@pytest.mark.parametrize("name", SINGLE_NODE)
def test_each_claim_of_a_single_node_has_its_volume(name: str) -> None:
    objects = build(name)
    claims = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]
        for each in of_kind(objects, "PersistentVolumeClaim")
    }
    assert set(claims) == {("kubeflow", "model-store"), ("kubeflow", "taxiway-data"), (NAMESPACE, "model-store")}
    for (namespace, claim), spec in claims.items():
        volume = one(objects, "PersistentVolume", spec["volumeName"])["spec"]
        assert volume["claimRef"] == {"namespace": namespace, "name": claim}
        assert volume["storageClassName"] == spec["storageClassName"] == ""
        assert volume["accessModes"] == spec["accessModes"]
        assert volume["capacity"]["storage"] == spec["resources"]["requests"]["storage"]


@pytest.mark.parametrize(
    ("name", "place"), [("overlays/kind", "/var/lib/taxiway"), ("overlays/minikube", "/data/taxiway")]
)
def test_servers_and_stages_share_the_folder_that_the_script_creates(name: str, place: str) -> None:
    folders = {
        each["metadata"]["name"]: each["spec"]["hostPath"]["path"] for each in of_kind(build(name), "PersistentVolume")
    }
    assert folders == {
        "taxiway-data": f"{place}/data",
        "taxiway-models-pushed": f"{place}/models",
        "taxiway-models-served": f"{place}/models",
    }
    assert f"stores={place} " in (MANIFESTS / "cluster").read_text()
