from __future__ import annotations

import copy
import re
from importlib.metadata import version
from typing import Any

import pytest
from google.protobuf import text_format

from components import __version__
from components.data.serving_stubs import model_server_config_pb2
from tests.manifests.objects import BUILDS, NAMESPACE, SINGLE_NODE, Object, Pod, build, of_kind, one, pods, selects
from tests.manifests.restricted import violations

pytestmark = pytest.mark.parametrize("name", BUILDS)


def _server(name: str) -> Pod:
    [pod] = [pod for pod in pods(build(name)) if pod.labels["app.kubernetes.io/name"] == "tf-serving"]
    return pod


def _selected(name: str, selector: Object) -> list[Pod]:
    return [pod for pod in pods(build(name)) if selects(selector, pod.labels)]


def _config(name: str, pod: Pod, path: str) -> str:
    """The text of a file that a ConfigMap mounts into the server's container."""
    folder, _, file = path.rpartition("/")
    [volume] = [mount["name"] for mount in pod.server["volumeMounts"] if mount["mountPath"] == folder]
    [source] = [each["configMap"]["name"] for each in pod.spec["volumes"] if each["name"] == volume]
    return str(one(build(name), "ConfigMap", source)["data"][file])


def _models(name: str) -> set[str]:
    """The models that the server is configured to serve."""
    pod = _server(name)
    if "model_name" in pod.arguments:
        return {pod.arguments["model_name"]}
    text = _config(name, pod, pod.arguments["model_config_file"])
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return {model.name for model in config.model_config_list.config}


def test_pods_comply_with_the_restricted_standard(name: str) -> None:
    assert {pod.workload: found for pod in pods(build(name)) if (found := violations(pod.spec))} == {}


def test_violations_of_the_restricted_standard_are_detected(name: str) -> None:
    def broken(change: Any) -> list[str]:
        spec = copy.deepcopy(dict(_server(name).spec))
        change(spec)
        return violations(spec)

    container = _server(name).spec["containers"][0]["name"]
    assert broken(lambda spec: spec.update(hostNetwork=True)) == ["hostNetwork"]
    assert broken(lambda spec: spec["volumes"].append({"name": "v", "hostPath": {"path": "/"}})) == ["volume v"]
    assert f"{container}: runAsUser" in broken(lambda spec: spec["securityContext"].update(runAsUser=0))
    assert f"{container}: seccompProfile" in broken(lambda spec: spec["securityContext"].pop("seccompProfile"))
    lost = broken(lambda spec: spec["containers"][0].pop("securityContext"))
    assert lost == [
        f"{container}: allowPrivilegeEscalation",
        f"{container}: readOnlyRootFilesystem",
        f"{container}: capabilities.drop",
    ]


def test_the_namespace_enforces_the_restricted_standard(name: str) -> None:
    labels = one(build(name), "Namespace", NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_containers_have_requests_and_limits(name: str) -> None:
    containers = [each for pod in pods(build(name)) for each in pod.containers]
    kinds = [(each, kind) for each in containers for kind in ("requests", "limits")]
    assert kinds
    for container, kind in kinds:
        assert {"cpu", "memory"} <= set(container["resources"][kind]), (container["name"], kind)


def test_images_have_fixed_tags(name: str) -> None:
    images = [container["image"] for container in _server(name).containers]
    assert images
    for image in images:
        assert re.fullmatch(r"[a-z0-9./-]+:[0-9]+\.[0-9]+\.[0-9]+(-gpu)?", image)


def test_images_match_the_installed_versions(name: str) -> None:
    images = dict(container["image"].split(":") for container in _server(name).containers)
    serving = images.pop("tensorflow/serving", None)
    assert (serving is None) == ("taxiway-serve" in name)
    assert serving is None or serving.split(".")[:2] == version("tensorflow").split(".")[:2]
    assert set(images.values()) <= {__version__}


def test_no_service_account_has_a_role_or_a_token(name: str) -> None:
    objects, pod = build(name), _server(name)
    assert not of_kind(objects, "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
    account = one(objects, "ServiceAccount", pod.spec["serviceAccountName"])
    assert account["automountServiceAccountToken"] is False
    assert pod.spec["automountServiceAccountToken"] is False


def test_no_secret_is_committed(name: str) -> None:
    assert not of_kind(build(name), "Secret")


def test_the_budget_covers_the_servers(name: str) -> None:
    budget = one(build(name), "PodDisruptionBudget", "tf-serving")
    assert budget["spec"]["selector"]["matchLabels"]
    assert selects(budget["spec"]["selector"], _server(name).labels)


def test_an_autoscaled_workload_has_no_fixed_replicas(name: str) -> None:
    if name == "overlays/kserve":
        predictor = one(build(name), "InferenceService", "chicago-taxi")["spec"]["predictor"]
        assert 2 <= predictor["minReplicas"] <= predictor["maxReplicas"]
        return
    if name in SINGLE_NODE:
        # Neither kind nor minikube has the metrics server that an autoscaler needs.
        assert not of_kind(build(name), "HorizontalPodAutoscaler")
        assert one(build(name), "Deployment", "tf-serving")["spec"]["replicas"] == 1
        return
    [scaler] = of_kind(build(name), "HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    workload = one(build(name), target["kind"], target["name"])
    assert workload["apiVersion"] == target["apiVersion"]
    assert "replicas" not in workload["spec"]
    assert 2 <= scaler["spec"]["minReplicas"] <= scaler["spec"]["maxReplicas"]


def test_probes_request_the_status_of_a_served_model(name: str) -> None:
    pod = _server(name)
    rest = int(pod.arguments["rest_api_port"])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        request = pod.server[probe]["httpGet"]
        own = {"livenessProbe": "/healthz"}.get(probe, "/readyz")
        of_models = {f"/v1/models/{model}" for model in _models(name)}
        assert request["path"] in ({own} if "taxiway-serve" in name else of_models)
        assert pod.ports.get(request["port"], request["port"]) == rest


def test_the_server_listens_on_its_declared_ports(name: str) -> None:
    pod = _server(name)
    recorder = {"recorder-grpc": 8600, "recorder-rest": 8601} if name == "overlays/monitoring" else {}
    assert pod.ports == {"grpc": 8500, "rest": 8501, **recorder}
    assert {pod.arguments["port"], pod.arguments["rest_api_port"]} == {"8500", "8501"}


def test_services_target_ports_of_the_pods(name: str) -> None:
    services = of_kind(build(name), "Service")
    # KServe creates its own Service; the router and the monitor add one.
    assert len(services) == {"overlays/kserve": 0, "overlays/canary": 2, "overlays/monitoring": 2}.get(name, 1)
    for service in services:
        [pod] = _selected(name, {"matchLabels": service["spec"]["selector"]})
        # Clients reach the recorder where there is one.
        recorded = {8500: 8600, 8501: 8601, 8502: 8501}
        ports = {port["port"]: pod.ports[port["targetPort"]] for port in service["spec"]["ports"]}
        expected = recorded if name == "overlays/monitoring" else {8500: 8500, 8501: 8501}
        assert ports == ({9464: 9464} if service["metadata"]["name"] == "monitor" else expected)
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_prometheus_scrapes_the_servers_metrics_path(name: str) -> None:
    objects, pod = build(name), _server(name)
    monitoring = _config(name, pod, pod.arguments["monitoring_config_file"])
    assert "enable: true" in monitoring
    for monitor in of_kind(objects, "ServiceMonitor"):
        # KServe's Service has the labels of the InferenceService and the port names of the container.
        services = of_kind(objects, "Service", "InferenceService")
        [_] = [each for each in services if selects(monitor["spec"]["selector"], each["metadata"]["labels"])]
        if monitor["metadata"]["name"] in ("tf-serving-router", "recorder", "monitor"):
            assert monitor["spec"]["endpoints"][0]["path"] == "/metrics"
            continue
        [endpoint] = monitor["spec"]["endpoints"]
        named = {port["name"]: port["targetPort"] for each in services for port in each["spec"].get("ports", [])}
        assert pod.ports[named.get(endpoint["port"], endpoint["port"])] == int(pod.arguments["rest_api_port"])
        assert f'path: "{endpoint["path"]}"' in monitoring


def test_overlays_without_the_prometheus_operator_have_none_of_its_objects(name: str) -> None:
    assert bool(of_kind(build(name), "ServiceMonitor")) == (name not in SINGLE_NODE)


def test_everything_that_pods_refer_to_exists(name: str) -> None:
    objects, pod = build(name), _server(name)
    for volume in pod.spec["volumes"]:
        if "configMap" in volume:
            one(objects, "ConfigMap", volume["configMap"]["name"])
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            claims = [each for each in of_kind(objects, "PersistentVolumeClaim") if each["metadata"]["name"] == claim]
            assert NAMESPACE in {each["metadata"]["namespace"] for each in claims}
    for source in (source for container in pod.containers for source in container.get("envFrom", [])):
        if "configMapRef" in source:
            one(objects, "ConfigMap", source["configMapRef"]["name"])
    volumes = {volume["name"] for volume in pod.spec["volumes"]}
    assert {mount["name"] for each in pod.containers for mount in each["volumeMounts"]} == volumes


def test_files_in_the_servers_arguments_are_in_its_config_maps(name: str) -> None:
    pod = _server(name)
    for argument in ("batching_parameters_file", "monitoring_config_file"):
        assert _config(name, pod, pod.arguments[argument])


def test_servers_mount_models_read_only(name: str) -> None:
    pod = _server(name)
    [mount] = [each for each in pod.server["volumeMounts"] if each["name"] in ("models", "kserve-pvc-source")]
    assert mount["readOnly"]


def test_tensorflows_threads_equal_the_cpu_limit(name: str) -> None:
    pod = _server(name)
    processors = pod.server["resources"]["limits"]["cpu"]
    assert pod.arguments["tensorflow_intra_op_parallelism"] == processors
    if pod.server["command"] == ["tensorflow_model_server"]:
        assert pod.arguments["tensorflow_inter_op_parallelism"] == processors
    batching = _config(name, pod, pod.arguments["batching_parameters_file"])
    assert f"num_batch_threads {{ value: {processors} }}" in batching
