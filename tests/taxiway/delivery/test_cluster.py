"""Weights in a cluster, with a small Kubernetes API on loopback: conflicts, missing rights, and valid objects."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components.contract.errors import ServiceError, UserError
from taxiway.delivery.settings import HttpRoute, KServe, parsed
from taxiway.delivery.weights import ways
from taxiway.delivery.weights.http_route import HttpRouteWeights
from taxiway.delivery.weights.kserve import KServeWeights
from tests import loopback
from tests.manifests.test_build import OBJECTS, SPECS, STRING
from tests.taxiway.doctor.doctor_servers import write_kubeconfig

SERVICE = "/apis/serving.kserve.io/v1beta1/namespaces/ml/inferenceservices/taxi"
ROUTE = "/apis/gateway.networking.k8s.io/v1/namespaces/ml/httproutes/taxi"

PREDICTOR = SPECS["InferenceService"]["properties"]["predictor"]
PERCENT = {"type": "integer", "minimum": 0, "maximum": 100}
SERVICE_SPEC = {
    **SPECS["InferenceService"],
    "properties": {
        "predictor": {
            **PREDICTOR,
            "properties": {**PREDICTOR["properties"], "canaryTrafficPercent": PERCENT},
            "required": ["model"],
        }
    },
}
"""The schema of the manifests' tests, and KServe's field for canaries (its CanaryTrafficPercent is an int64)."""

BACKEND = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "group": STRING,
        "kind": STRING,
        "name": {"type": "string", "minLength": 1},
        "namespace": STRING,
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "weight": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        "filters": {"type": "array"},
    },
    "required": ["name"],
}
ROUTE_SPEC = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "parentRefs": OBJECTS,
        "hostnames": {"type": "array", "items": STRING},
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "name": STRING,
                    "matches": OBJECTS,
                    "filters": {"type": "array"},
                    "timeouts": {"type": "object"},
                    "backendRefs": {"type": "array", "items": BACKEND, "maxItems": 16},
                },
            },
        },
    },
}
"""HTTPRoute's of gateway.networking.k8s.io/v1."""


@dataclass
class Api:
    """A Kubernetes API that keeps objects; others change one before the next `conflicts` updates."""

    url: str = ""
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    conflicts: int = 0
    forbidden: bool = False
    puts: int = 0

    def get(self, path: str) -> tuple[int, Any]:
        found = self.objects.get(path)
        return (200, found) if found else (404, {"kind": "Status", "message": "not found", "code": 404})

    def put(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.puts += 1
        if self.forbidden:
            return 403, {"kind": "Status", "message": 'cannot update resource "httproutes"', "code": 403}
        found = self.objects[path]
        if self.conflicts:
            self.conflicts -= 1
            self._touch(path)
        if body["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            return 409, {"kind": "Status", "message": "the object has been modified", "code": 409}
        self.objects[path] = copy.deepcopy(body)
        self._touch(path)
        return 200, self.objects[path]

    def _touch(self, path: str) -> None:
        metadata = self.objects[path]["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        metadata.setdefault("annotations", {})["others"] = metadata["resourceVersion"]


@contextmanager
def serving() -> Iterator[Api]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, document: Any) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer(*api.get(self.path))

        def do_PUT(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(*api.put(self.path, body))

    with loopback.serving(Handler) as api.url:
        yield api


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with serving() as started:
        write_kubeconfig(tmp_path / "kubeconfig", started.url)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        model = {"modelFormat": {"name": "tensorflow", "version": "2"}, "runtime": "taxiway-server"}
        started.objects[SERVICE] = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": "taxi", "namespace": "ml", "resourceVersion": "7"},
            "spec": {
                "predictor": {
                    "minReplicas": 1,
                    "canaryTrafficPercent": 0,
                    "model": {**model, "storageUri": "s3://models/taxi/2", "resources": {}},
                }
            },
        }
        backends = [{"name": "taxi-stable", "port": 8501}, {"name": "taxi-canary", "port": 8501, "weight": 0}]
        started.objects[ROUTE] = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "taxi", "namespace": "ml", "resourceVersion": "3"},
            "spec": {
                "parentRefs": [{"name": "gateway"}],
                "rules": [
                    {"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}], "backendRefs": backends},
                    {"backendRefs": [{"name": "docs", "port": 80}]},
                ],
            },
        }
        yield started


def kserve() -> KServeWeights:
    return KServeWeights(KServe("ml", "taxi"))


def http_route() -> HttpRouteWeights:
    return HttpRouteWeights(HttpRoute("ml", "taxi", "taxi-stable", "taxi-canary"))


def predictor(api: Api) -> Any:
    spec = api.objects[SERVICE]["spec"]
    model = spec["predictor"]["model"]
    strict = {**spec, "predictor": {**spec["predictor"], "model": model}}
    jsonschema.validate(strict, {**SERVICE_SPEC})
    return spec["predictor"]


def test_kserve_gets_the_share_of_the_latest_revision(api: Api) -> None:
    weights = kserve()
    assert weights.read() == 0
    weights.write(5)
    assert weights.read() == 5 and predictor(api)["canaryTrafficPercent"] == 5
    weights.write(100)
    assert weights.read() == 100 and "canaryTrafficPercent" not in predictor(api)
    weights.write(0)
    assert predictor(api)["canaryTrafficPercent"] == 0 and predictor(api)["minReplicas"] == 1


def test_a_revision_that_is_not_ready_gets_nothing(api: Api) -> None:
    status = {"latestCreatedRevision": "taxi-00002", "latestReadyRevision": "taxi-00001"}
    api.objects[SERVICE]["status"] = {"components": {"predictor": status}}
    with pytest.raises(ServiceError, match="the revision taxi-00002 is not ready yet"):
        kserve().require(1, 2)
    status["latestReadyRevision"] = "taxi-00002"
    kserve().require(1, 2)


def test_http_route_gets_the_weights_of_its_backends(api: Api) -> None:
    weights = http_route()
    assert weights.read() == 0
    weights.write(0.5)
    assert weights.read() == pytest.approx(0.5)
    spec = api.objects[ROUTE]["spec"]
    jsonschema.validate(spec, ROUTE_SPEC)
    assert [each["weight"] for each in spec["rules"][0]["backendRefs"]] == [9950, 50]
    assert spec["rules"][1] == {"backendRefs": [{"name": "docs", "port": 80}]}
    weights.write(100)
    assert weights.read() == 100


def test_what_others_change_meanwhile_is_kept(api: Api) -> None:
    api.conflicts = 3
    http_route().write(25)
    assert api.puts == 4 and http_route().read() == 25
    assert api.objects[ROUTE]["metadata"]["annotations"]["others"]
    puts = api.puts
    http_route().write(25)
    assert api.puts == puts  # nothing to change
    api.conflicts = 99
    with pytest.raises(ServiceError, match="HTTPRoute ml/taxi is changed by others all the time"):
        http_route().write(50)


def test_missing_rights_are_told_with_what_to_grant(api: Api) -> None:
    api.forbidden = True
    with pytest.raises(ServiceError, match="HTTPRoute ml/taxi: here answers 403: cannot update") as refused:
        http_route().write(50)
    assert refused.value.fix.startswith("grant get and update on httproutes.gateway.networking.k8s.io")


def test_missing_objects_and_backends(api: Api) -> None:
    with pytest.raises(UserError, match="there is no InferenceService ml/other"):
        KServeWeights(KServe("ml", "other")).read()
    with pytest.raises(UserError, match="has no rule with the backends taxi-stable and dark"):
        HttpRouteWeights(HttpRoute("ml", "taxi", "taxi-stable", "dark")).read()


def test_a_third_backend_with_a_share_is_seen_and_loses_it(api: Api) -> None:
    rule = api.objects[ROUTE]["spec"]["rules"][0]
    rule["backendRefs"].append({"name": "old", "port": 8501, "weight": 5})
    assert http_route().read() is None
    http_route().write(10)
    assert [each["weight"] for each in api.objects[ROUTE]["spec"]["rules"][0]["backendRefs"]] == [9000, 1000, 0]


def test_the_settings_name_the_place(api: Api, tmp_path: Path) -> None:
    route = {"namespace": "ml", "name": "taxi", "champion": "taxi-stable", "challenger": "taxi-canary"}
    more = {"evidence": "tables", "tables": str(tmp_path)}
    assert ways.of(parsed({"weights": {"http_route": route}, **more}), "taxi").read() == 0
    assert ways.of(parsed({"weights": {"kserve": {"namespace": "ml", "name": "taxi"}}, **more}), "taxi").read() == 0
