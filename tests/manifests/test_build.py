from __future__ import annotations

from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from tests.manifests.objects import BUILDS, NAMESPACE, SINGLE_NODE, build, of_kind, one, pods

KUBERNETES_VERSIONS = ("1.33", "1.36")
"""The oldest and the latest version that Kubeflow Pipelines is tested with."""

CUSTOM = ("ServiceMonitor", "InferenceService", "ServingRuntime")


def _strict(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(properties)}


STRING = {"type": "string"}
STRINGS = {"type": "object", "additionalProperties": STRING}
NUMBER = {"type": "integer", "minimum": 1}
OBJECTS = {"type": "array", "items": {"type": "object"}, "minItems": 1}
FORMAT = _strict(name=STRING, version=STRING)

SPECS = {
    # monitoring.coreos.com/v1
    "ServiceMonitor": _strict(
        selector=_strict(matchLabels=STRINGS),
        endpoints={
            "type": "array",
            "items": _strict(port=STRING, path={"pattern": "^/"}, interval={"pattern": "^[0-9]+s$"}),
        },
    ),
    # serving.kserve.io/v1alpha1; its containers and volumes are Kubernetes' own and checked like a pod's.
    "ServingRuntime": _strict(
        supportedModelFormats={"type": "array", "items": FORMAT},
        protocolVersions={"type": "array", "items": {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}},
        containers={**OBJECTS, "contains": {"properties": {"name": {"const": "kserve-container"}}}},
        volumes=OBJECTS,
    ),
    # serving.kserve.io/v1beta1
    "InferenceService": _strict(
        predictor=_strict(
            minReplicas=NUMBER,
            maxReplicas=NUMBER,
            scaleMetric={"enum": ["cpu", "memory"]},
            scaleTarget={"type": "integer", "minimum": 1, "maximum": 100},
            labels=STRINGS,
            serviceAccountName=STRING,
            automountServiceAccountToken={"type": "boolean"},
            securityContext={"type": "object"},
            model=_strict(modelFormat=FORMAT, runtime=STRING, storageUri={"pattern": "^(pvc|s3|gs)://"}, resources={}),
        )
    ),
}
API_VERSIONS = {
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "ServingRuntime": "serving.kserve.io/v1alpha1",
    "InferenceService": "serving.kserve.io/v1beta1",
}


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("name", BUILDS)
def test_every_object_fits_the_schemas_of_kubernetes(name: str, version: str) -> None:
    for each in build(name):
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(dict(each), version, strict=True)
    for pod in pods(build(name)):
        object_ = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": dict(pod.spec)}
        kubernetes_validate.validate(object_, version, strict=True)


@pytest.mark.parametrize("name", BUILDS)
def test_custom_resources_have_the_fields_of_their_definitions(name: str) -> None:
    objects = of_kind(build(name), *CUSTOM)
    # Single-node clusters have no Prometheus.
    assert bool(objects) == (name not in SINGLE_NODE)
    for each in objects:
        assert each["apiVersion"] == API_VERSIONS[each["kind"]]
        jsonschema.validate(each["spec"], SPECS[each["kind"]])


def test_the_checks_detect_a_misspelt_field() -> None:
    deployment = one(build("base"), "Deployment", "tf-serving")
    wrong = {**deployment, "spec": {**deployment["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSIONS[0], strict=True)
    monitor = one(build("base"), "ServiceMonitor", "tf-serving")
    with pytest.raises(jsonschema.ValidationError, match="endpoint"):
        jsonschema.validate({**monitor["spec"], "endpoint": []}, SPECS["ServiceMonitor"])


@pytest.mark.parametrize("name", BUILDS)
def test_each_overlay_serves_with_one_workload(name: str) -> None:
    expected = "InferenceService/chicago-taxi" if name == "overlays/kserve" else "Deployment/tf-serving"
    others = {"overlays/canary": ["Deployment/tf-serving-router"], "overlays/monitoring": ["Deployment/monitor"]}
    assert sorted(pod.workload for pod in pods(build(name))) == sorted([expected, *others.get(name, [])])


@pytest.mark.parametrize("name", BUILDS)
def test_namespaces_are_created_or_kubeflows(name: str) -> None:
    cluster_wide = ("Namespace", "PersistentVolume")
    namespaces = {each["metadata"]["name"] for each in of_kind(build(name), "Namespace")}
    assert namespaces == {NAMESPACE}
    for each in build(name):
        if each["kind"] not in cluster_wide:
            runs_store = each["kind"] == "PersistentVolumeClaim" and name in SINGLE_NODE
            assert each["metadata"]["namespace"] in namespaces | ({"kubeflow"} if runs_store else set())
