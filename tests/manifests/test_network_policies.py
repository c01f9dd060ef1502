"""Network policies allow only the connections that the other objects define."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml

from tests.manifests.objects import BUILDS, NAMESPACE, Object, Pod, build, of_kind, one, pods, selects

pytestmark = pytest.mark.parametrize("name", BUILDS)

# A peer as JSON, a protocol and a port.
Connection = tuple[str, str, int]

CLIENT = {"taxiway/tf-serving-client": "true"}
PROMETHEUS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
}
DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
METADATA = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}},
    "podSelector": {"matchLabels": {"component": "metadata-grpc-server"}},
}
OWN_STORES = [
    ({**METADATA, "podSelector": {"matchLabels": {"app": name}}}, port)
    for name, port in (("seaweedfs", 8333), ("minio", 9000))
]
# S3 has no fixed addresses; the excluded ones are the cloud's metadata service, which gives out credentials.
ANYWHERE = (
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}},
    {"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::254/128"]}},
)


def _connection(peer: Object, port: int, protocol: str = "TCP") -> Connection:
    return json.dumps(peer, sort_keys=True), protocol, port


def _labeled(labels: Object) -> Object:
    """A peer in this namespace; without the label `part-of`, which other pods have, too."""
    return {
        "podSelector": {"matchLabels": {key: value for key, value in labels.items() if not key.endswith("part-of")}}
    }


def _allowed(name: str, labels: Object, direction: str) -> list[Connection]:
    """The connections into or out of a pod with these labels that the policies allow."""
    side, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    found = []
    for policy in of_kind(build(name), "NetworkPolicy"):
        spec = policy["spec"]
        assert policy["metadata"]["namespace"] == NAMESPACE
        assert set(spec) & {"ingress", "egress"} == {kind.lower() for kind in spec["policyTypes"]} or spec == _DENIED
        if direction in spec["policyTypes"] and selects(spec["podSelector"], labels):
            for rule in spec.get(side, []):
                found += [
                    _connection(to, each["port"], each["protocol"]) for to in rule[peers] for each in rule["ports"]
                ]
    return found


_DENIED = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def _services(name: str) -> Iterator[tuple[str, Object, Object, list[Object]]]:
    """The name, labels, selector and ports of every Service, including the one that KServe creates."""
    for service in of_kind(build(name), "Service"):
        meta, spec = service["metadata"], service["spec"]
        yield meta["name"], meta["labels"], {"matchLabels": spec["selector"]}, spec["ports"]
    for service in of_kind(build(name), "InferenceService"):
        [pod] = pods(build(name))
        ports = [{"name": port, "port": number, "targetPort": port} for port, number in pod.ports.items()]
        yield f"{service['metadata']['name']}-predictor", service["metadata"]["labels"], {}, ports


def _backends(name: str) -> set[str]:
    """The Services and ports that the router connects to, as `SERVICE:PORT`."""
    routers = [each for each in of_kind(build(name), "ConfigMap") if each["metadata"]["name"] == "router"]
    settings = [yaml.safe_load(each["data"]["route.yaml"]) for each in routers]
    return {url for each in settings for backend in each["backends"].values() for url in backend.values()}


def _router(name: str) -> Pod | None:
    return next((pod for pod in pods(build(name)) if pod.workload.endswith("router")), None)


def _reached(name: str, pod: Pod) -> Iterator[tuple[str, int, Object]]:
    """Each port of a pod behind a Service: `SERVICE:PORT`, the pod's port, and the Service's port."""
    for service, _, selector, ports in _services(name):
        if selects(selector, pod.labels):
            for port in ports:
                yield f"{service}:{port['port']}", pod.ports[port["targetPort"]], port


def _scraped(name: str, pod: Pod) -> Iterator[int]:
    """The ports of a pod that a ServiceMonitor scrapes."""
    for monitor in of_kind(build(name), "ServiceMonitor"):
        for _, labels, selector, ports in _services(name):
            if selects(monitor["spec"]["selector"], labels) and selects(selector, pod.labels):
                expected = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
                assert expected <= {port["name"] for port in ports}
                yield from (pod.ports[port["targetPort"]] for port in ports if port["name"] in expected)


def _same(found: Iterable[Connection], expected: Iterable[Connection]) -> None:
    assert sorted(set(found)) == sorted(set(expected))


def test_everything_is_denied_by_default(name: str) -> None:
    assert one(build(name), "NetworkPolicy", "default-deny")["spec"] == _DENIED


def test_pods_accept_only_their_services_and_monitors(name: str) -> None:
    backends, router = _backends(name), _router(name)
    all_pods = list(pods(build(name)))
    assert all_pods
    for pod in all_pods:
        expected = [_connection(PROMETHEUS, port) for port in _scraped(name, pod)]
        for service, port, named in _reached(name, pod):
            if named["name"] == "metrics":  # for Prometheus alone
                continue
            behind = service in backends
            expected.append(_connection(_labeled(router.labels if router and behind else CLIENT), port))
        assert expected
        _same(_allowed(name, pod.labels, "Ingress"), expected)


def test_servers_and_routers_reach_only_their_backends_and_stores(name: str) -> None:
    backends = _backends(name)
    all_pods = list(pods(build(name)))
    assert all_pods
    for pod in all_pods:
        expected = list(_to_the_store(name, pod))
        if pod == _router(name):
            to = {name_: each for each in pods(build(name)) for name_, *_ in _reached(name, each)}
            assert backends <= set(to)
            expected += [
                _connection(_labeled(server.labels), port)
                for server in pods(build(name))
                for service, port, _ in _reached(name, server)
                if service in backends
            ]
        _same(_allowed(name, pod.labels, "Egress"), [*expected, *(_dns() if expected else [])])


def test_clients_reach_the_services_meant_for_them_and_dns(name: str) -> None:
    expected = [
        _connection(_labeled(pod.labels), port)
        for pod in pods(build(name))
        for service, port, named in _reached(name, pod)
        if service not in _backends(name) and named["name"] != "metrics"
    ]
    _same(_allowed(name, CLIENT, "Egress"), [*expected, *_dns()])
    assert _allowed(name, CLIENT, "Ingress") == []


def test_other_pods_in_the_namespace_have_no_connections(name: str) -> None:
    for direction in ("Ingress", "Egress"):
        assert _allowed(name, {"app.kubernetes.io/name": "other"}, direction) == []


def test_probes_use_ports_of_their_own_container(name: str) -> None:
    # Policies do not apply to traffic from the node itself, so probes need no rule.
    probed = 0
    for container in (container for pod in pods(build(name)) for container in pod.containers):
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        for probe in (container[kind] for kind in container if kind.endswith("Probe")):
            port_of_probe = probe["httpGet"]["port"]
            assert port_of_probe in ports or port_of_probe in ports.values()
            probed += 1
    assert probed


def _dns() -> list[Connection]:
    return [_connection(DNS, 53, "UDP"), _connection(DNS, 53)]


def _to_the_store(name: str, pod: Pod) -> Iterator[Connection]:
    """The connection to the bucket, for pods that fetch their models."""
    sources: list[Any] = [source for each in pod.containers for source in each.get("envFrom", [])]
    for source in sources:
        if "configMapRef" in source:
            settings = one(build(name), "ConfigMap", source["configMapRef"]["name"])["data"]
            assert "AWS_ENDPOINT_URL" not in settings
            yield from (_connection(each, 443) for each in ANYWHERE)
            if pod.workload == "Deployment/monitor":
                assert settings["TAXIWAY_LINEAGE"] == "grpc://metadata-grpc-service.kubeflow:8080"
                yield _connection(METADATA, 8080)
                yield from (_connection(*each) for each in OWN_STORES)
