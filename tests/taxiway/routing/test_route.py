"""`taxiway route`: clients, proxy and model servers are processes that talk over sockets."""

from __future__ import annotations

import concurrent.futures
import gzip
import json
import queue
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from components.data.serving_stubs import get_model_metadata_pb2, inference_pb2, model_pb2, predict_pb2
from tests.taxiway.routing.conftest import Route, http, predict_body, predict_request, settings
from tests.taxiway.small_servers import Running, running, small_server

PATH = "/v1/models/taxi"


def until(holds: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Splits


@pytest.mark.parametrize("api", ["grpc", "rest"])
def test_two_thousand_requests_are_split_by_weight(route: Route, blue: Running, api: str) -> None:
    proxy = route(settings(blue, {"stable": 90, "canary": 10}))
    connections: queue.Queue[HTTPConnection] = queue.Queue()
    for _ in range(16):
        connections.put(HTTPConnection(proxy.running.addresses[1], timeout=10))
    with proxy.service() as service:

        def version(number: int) -> int:
            if api == "grpc":
                return service.version(predict_request())
            connection = connections.get()
            connection.request("POST", f"{PATH}:predict", json.dumps(predict_body()))
            answer = connection.getresponse()
            answer.read()
            connections.put(connection)
            return int(answer.headers["version"])

        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            answered = Counter(threads.map(version, range(2000)))
    while not connections.empty():
        connections.get().close()
    # Four standard deviations, which one run in 16,000 exceeds.
    assert set(answered) == {1, 2}
    assert abs(answered[2] - 200) < 4 * (2000 * 0.1 * 0.9) ** 0.5
    lines = proxy.lines()
    assert Counter(line["label"] for line in lines) == {"stable": answered[1], "canary": answered[2]}
    if api == "grpc":
        assert Counter(line["version"] for line in lines) == answered


@pytest.mark.parametrize("key", ["header:user-id", "feature:company"])
def test_a_sticky_key_stays_on_one_target_over_both_apis(route: Route, blue: Running, key: str) -> None:
    proxy = route(settings(blue, {"stable": 70, "canary": 30}, sticky_key=key))
    users = [f"user {number}" for number in range(150)]

    def versions_of(user: str) -> set[int]:
        header = {"user-id": user} if key.startswith("header") else {}
        request, body = (
            (predict_request(user), predict_body(user)) if not header else (predict_request(), predict_body())
        )
        by_grpc = service.version(request, metadata=list(header.items()))
        _, headers, _ = http(f"{proxy.rest}{PATH}:predict", body, **header)
        return {by_grpc, service.version(request, metadata=list(header.items())), int(headers["version"])}

    with proxy.service() as service, concurrent.futures.ThreadPoolExecutor(8) as threads:
        versions = list(threads.map(versions_of, users))
        assert [len(found) for found in versions] == [1] * len(users)
        before = [found.pop() for found in versions]
        assert abs(before.count(2) - 45) < 4 * (150 * 0.3 * 0.7) ** 0.5
        assert proxy.weights({"taxi": {"stable": 60, "canary": 40}})[0] == 200
        after = [found.pop() for found in threads.map(versions_of, users)]
    moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert 0 < len(moved) < 40
    assert set(moved) == {(1, 2)}


def test_blue_and_green_are_two_servers(route: Route, blue: Running, green: Running) -> None:
    given = settings(blue, {})
    given["backends"]["green"] = {"grpc": green.addresses[0], "rest": green.addresses[1]}
    targets = {"old": {"backend": "blue", "weight": 1}, "new": {"backend": "green", "weight": 0}}
    given["models"]["taxi"]["targets"] = targets
    proxy = route(given)
    with proxy.service() as service:
        assert service.version(predict_request()) == 2
        assert proxy.weights({"taxi": {"new": 1}}) == (200, {"taxi": {"old": 0.0, "new": 1.0}})
        assert service.version(predict_request()) == 4
        assert http(f"{proxy.rest}{PATH}:predict", predict_body())[1]["version"] == "4"


def test_a_label_that_a_request_names_is_found_on_its_backend(route: Route, blue: Running, green: Running) -> None:
    given = settings(blue, {"stable": 1})
    given["backends"]["green"] = {"grpc": green.addresses[0], "rest": green.addresses[1]}
    given["models"]["taxi"]["targets"]["canary"] = {"backend": "green", "label": "canary"}
    proxy = route(given)
    with proxy.service() as service:
        assert service.version(predict_request(version_label="canary")) == 4
    assert http(f"{proxy.rest}{PATH}/labels/canary:predict", predict_body())[1]["version"] == "4"


@pytest.mark.parametrize("spec", [{"version_label": "canary"}, {"version": {"value": 2}}])
def test_a_request_that_names_a_version_or_label_passes_untouched(route: Route, blue: Running, spec: Any) -> None:
    proxy = route(settings(blue, {"stable": 1, "canary": 0}))
    with proxy.service() as service:
        assert service.version(predict_request()) == 1
        assert service.version(predict_request(**spec)) == 2
    where = "labels/canary" if "version_label" in spec else "versions/2"
    assert http(f"{proxy.rest}{PATH}/{where}:predict", predict_body())[1]["version"] == "2"
    assert [line.get("target") for line in proxy.lines()] == ["stable", None, None]


def test_model_metadata_come_from_the_target_with_the_highest_weight(route: Route, blue: Running) -> None:
    proxy = route(settings(blue, {"stable": 1, "canary": 3}))
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "taxi"
    with proxy.service() as service:
        assert service.GetModelMetadata(request, timeout=10).model_spec.version.value == 2
    status, _, found = http(f"{proxy.rest}{PATH}/metadata")
    assert status == 200
    assert "serving_default" in found["metadata"]["signature_def"]["signature_def"]
    assert [line["target"] for line in proxy.lines()] == ["canary"] * 2


def test_unknown_models_pass_to_the_first_backend(route: Route, blue: Running) -> None:
    proxy = route(settings(blue, {"stable": 1}))
    with proxy.service() as service, pytest.raises(grpc.RpcError) as raised:
        service.version(predict_request(model="other"))
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    assert raised.value.details() == "Servable not found for request: Latest(other)"
    status, _, answer = http(f"{proxy.rest}/v1/models/other:predict", predict_body())
    assert (status, answer) == (404, {"error": "Servable not found for request: Latest(other)"})


# Passing requests through


def test_metadata_deadlines_and_errors_pass_through(route: Route, blue: Running) -> None:
    proxy = route(settings(blue, {"stable": 1}))
    with proxy.service() as service:
        response, call = service.Predict.with_call(predict_request(), timeout=20, metadata=[("user-id", "a")])
        assert dict(call.trailing_metadata())["saw"] == "a"
        assert 15 <= int(dict(call.initial_metadata())["left"]) <= 20
        assert response.model_spec.version.value == 1
        with pytest.raises(grpc.RpcError) as raised:
            service.Predict(predict_request(fare=-1.0), timeout=5, metadata=[("user-id", "b")])
        assert (raised.value.code(), raised.value.details()) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "fare is negative",
        )
        assert dict(raised.value.trailing_metadata())["saw"] == "b"
        with pytest.raises(grpc.RpcError) as raised:
            service.Predict(predict_request(), timeout=0.2, metadata=[("seconds", "5")])
        assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(grpc.RpcError) as raised:
            service.Classify(inference_pb2.MultiInferenceRequest(), timeout=5)
        assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
    status, _, answer = http(f"{proxy.rest}{PATH}:predict?x=1", predict_body(fare=-1.0), **{"user-id": "c"})
    assert (status, answer) == (400, {"error": "fare is negative"})
    assert http(f"{proxy.rest}{PATH}:predict", predict_body(), **{"user-id": "c"})[1]["saw"] == "c"


def test_a_call_that_is_cancelled_is_cancelled_at_the_backend(route: Route, blue: Running) -> None:
    proxy = route(settings(blue, {"stable": 1}))
    with proxy.service() as service:

        def cancelled() -> int:
            _, call = service.Predict.with_call(predict_request(), timeout=5)
            return int(dict(call.trailing_metadata())["cancelled"])

        before = cancelled()
        pending = service.Predict.future(predict_request(), timeout=30, metadata=[("seconds", "20")])
        time.sleep(0.5)
        pending.cancel()
        until(lambda: cancelled() == before + 1)
    assert "CANCELLED" in [line["status"] for line in proxy.lines()]


def test_invalid_messages_reach_the_backend(route: Route, blue: Running) -> None:
    proxy = route(settings(blue, {"stable": 1}, sticky_key="feature:company"))
    values = random.Random(3)
    with grpc.insecure_channel(proxy.grpc) as channel:
        for method in ("Predict", "MultiInference", "Nothing"):
            call = channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
            for _ in range(20):
                with pytest.raises(grpc.RpcError) as raised:
                    call(values.randbytes(50), timeout=5)
                assert raised.value.code() != grpc.StatusCode.UNAVAILABLE
    for body in (b"", b"{", b"[" * 50_000, b'{"instances": []}', b"\xff"):
        assert http(f"{proxy.rest}{PATH}:predict", body)[0] == 500
    assert http(f"{proxy.rest}/v1/models/../../etc/passwd")[0] in (400, 404)
    assert http(f"{proxy.rest}/nothing")[::2] == (404, {"error": "Not Found: GET /nothing"})
    with proxy.service() as service:
        assert service.version(predict_request()) == 1


def test_compressed_bodies_pass_unchanged(route: Route, blue: Running) -> None:
    proxy = route(settings(blue, {"stable": 1}))
    body = gzip.compress(json.dumps(predict_body()).encode())
    status, headers, _ = http(f"{proxy.rest}{PATH}:predict", body, **{"Content-Encoding": "gzip"})
    assert (status, headers["version"]) == (200, "1")


def test_requests_that_are_too_large_are_refused(route: Route, blue: Running) -> None:
    proxy = route({**settings(blue, {"stable": 1}), "max_megabytes": 1})
    large = "x" * (2 << 20)
    with proxy.service() as service, pytest.raises(grpc.RpcError) as raised:
        service.version(predict_request(large))
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert http(f"{proxy.rest}{PATH}:predict", predict_body(large))[0] == 413
    assert http(f"{proxy.rest}{PATH}:predict", predict_body())[0] == 200


# Backends that are down


def test_a_backend_that_was_down_is_used_again(route: Route, tmp_path: Path) -> None:
    with small_server(tmp_path / "one") as server:
        proxy = route(settings(server, {"stable": 1}))
        assert http(f"{proxy.rest}/readyz")[::2] == (200, "ok\n")
    with proxy.service() as service:
        with pytest.raises(grpc.RpcError) as raised:
            service.version(predict_request())
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        assert raised.value.details() == f"the backend blue at {server.addresses[0]} does not answer"
        status, _, answer = http(f"{proxy.rest}{PATH}:predict", predict_body())
        assert (status, answer) == (503, {"error": f"the backend blue at {server.addresses[1]} does not answer"})
        assert http(f"{proxy.rest}/readyz")[::2] == (503, {"error": "the backend blue is unreachable"})
        assert http(f"{proxy.rest}/healthz")[0] == 200
        names = ("--port", "--rest-port")
        ports = [text for n, address in enumerate(server.addresses) for text in (names[n], address.split(":")[1])]
        with small_server(tmp_path / "two", *ports):
            until(lambda: _answers(service))
            assert http(f"{proxy.rest}{PATH}:predict", predict_body())[0] == 200


def _answers(service: Any) -> bool:
    try:
        return bool(service.version(predict_request()))
    except grpc.RpcError:
        return False


# Shadows


def test_a_shadow_gets_copies_and_its_answers_are_logged(route: Route, blue: Running) -> None:
    proxy = route(settings(blue, {"stable": 1, "canary": 0}, shadow="canary"))
    with proxy.service() as service:
        assert [service.version(predict_request()) for _ in range(10)] == [1] * 10
        with pytest.raises(grpc.RpcError):
            service.version(predict_request(fare=-1.0))
    assert http(f"{proxy.rest}{PATH}:predict", predict_body())[1]["version"] == "1"
    until(lambda: len(proxy.lines("shadow")) == 12)
    entries = proxy.lines("shadow")
    assert [line["version"] for line in entries if line["status"] == "OK"] == [2] * 10
    assert [line["same"] for line in entries if line["status"] == "OK"] == [True] * 10
    assert all("<blue>" in line["answer"] for line in entries if line["status"] in ("OK", "200"))
    assert [line["answer"] for line in entries if line["status"] == "INVALID_ARGUMENT"] == ["fare is negative"]
    assert 'taxiway_route_shadow_total{model="taxi",outcome="same"} 11.0' in http(f"{proxy.rest}/metrics")[2]


def test_a_slow_or_dead_shadow_delays_nothing_and_its_queue_is_bounded(
    route: Route, blue: Running, tmp_path: Path
) -> None:
    with small_server(tmp_path / "shadow") as other:
        given = settings(blue, {"stable": 1}, shadow="dark")
        given["backends"]["other"] = {"grpc": other.addresses[0], "rest": other.addresses[1]}
        given["models"]["taxi"]["targets"]["dark"] = {"backend": "other"}
        proxy = route({**given, "shadow_queue": 10})
        other.process.send_signal(signal.SIGSTOP)
        try:
            with proxy.service() as service:
                began = time.monotonic()
                assert {service.version(predict_request()) for _ in range(100)} == {1}
                assert time.monotonic() - began < 3
            metrics_text = http(f"{proxy.rest}/metrics")[2]
            assert 'taxiway_route_shadow_total{model="taxi",outcome="dropped"} 74.0' in metrics_text
        finally:
            other.process.send_signal(signal.SIGCONT)
    with proxy.service() as service:
        assert service.version(predict_request()) == 1


# New weights


def test_weights_change_by_file_signal_and_request_without_failures(route: Route, blue: Running) -> None:
    given = settings(blue, {"stable": 1, "canary": 0})
    proxy = route(given)
    failed, stop = [], threading.Event()

    def ask() -> None:
        with proxy.service() as service:
            while not stop.is_set():
                try:
                    service.version(predict_request())
                except grpc.RpcError as error:
                    failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert proxy.weights() == (200, {"taxi": {"stable": 1.0, "canary": 0.0}})
        assert proxy.weights({"taxi": {"canary": 2}}) == (200, {"taxi": {"stable": 0.0, "canary": 2.0}})
        given["models"]["taxi"]["targets"]["stable"]["weight"] = 5
        proxy.file.write_text(yaml.safe_dump(given))
        until(lambda: proxy.weights()[1] == {"taxi": {"stable": 5.0, "canary": 0.0}})
        proxy.weights({"taxi": {"canary": 2}})
        proxy.running.process.send_signal(signal.SIGHUP)
        until(lambda: proxy.weights()[1] == {"taxi": {"stable": 5.0, "canary": 0.0}})
        for wrong, text in (
            ("models: {", "is not YAML"),
            (yaml.safe_dump({**given, "port": 1}), "settings other than"),
        ):
            proxy.file.write_text(wrong)
            until(lambda text=text: any(text in line["error"] for line in proxy.lines("reload")))
        proxy.file.unlink()
        until(lambda: any("cannot be read" in line["error"] for line in proxy.lines("reload")))
        assert proxy.weights()[1] == {"taxi": {"stable": 5.0, "canary": 0.0}}
    finally:
        stop.set()
        asking.join()
    assert failed == []
    weights = [line["weights"] for line in proxy.lines("weights")]
    assert weights[1] == {"stable": 0.0, "canary": 2.0}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        ([], "weights must be a map of models"),
        ({}, "weights must be a map of models"),
        ({"taxi": 1}, "weights must be a map of models"),
        ({"tax": {"stable": 1}}, "there is no model 'tax'"),
        ({"taxi": {"blue": 1}}, "taxi has no target 'blue'"),
        ({"taxi": {"stable": -1}}, "taxi: the weight of 'stable' is -1"),
        ({"taxi": {"stable": True}}, "taxi: the weight of 'stable' is True"),
        ({"taxi": {"stable": "1"}}, "taxi: the weight of 'stable' is '1'"),
        (b'{"taxi": {"stable": NaN}}', "taxi: the weight of 'stable' is nan"),
        ({"taxi": {"stable": 0}}, "taxi: all weights are 0"),
    ],
)
def test_invalid_weights_change_nothing(one: Any, body: Any, text: str) -> None:
    status, answer = one.weights(body)
    assert (status, answer["error"][: len(text)]) == (400, text)
    assert one.weights()[1] == {"taxi": {"stable": 1.0, "canary": 0.0}}


@pytest.fixture(scope="module")
def one(blue: Running, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.taxiway.routing.conftest import Proxy

    folder = tmp_path_factory.mktemp("one")
    flags = ("--model", "taxi", "--backend", blue.addresses[0], "--rest-backend", blue.addresses[1])
    ports = ("--listen-port", 0, "--rest-port", 0, "--admin-port", 0, "--split", "stable=1,canary=0")
    with running(folder, "taxiway", "route", *flags, *ports) as started:
        yield Proxy(started, folder / "none")


# Health, metrics, TLS, the command


def test_flags_health_and_metrics(one: Any) -> None:
    with one.service() as service:
        assert service.version(predict_request()) == 1
    with grpc.insecure_channel(one.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "PredictionService", "ModelService", "tensorflow.serving.PredictionService"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    metrics_text = http(f"{one.rest}/metrics")[2]
    labels = 'backend="default",method="Predict",model="taxi",protocol="grpc",status="OK",target="stable"'
    assert f"taxiway_route_requests_total{{{labels}}}" in metrics_text
    assert 'taxiway_route_weight{model="taxi",target="stable"} 1.0' in metrics_text
    assert 'taxiway_route_seconds_count{model="taxi",target="stable"}' in metrics_text


def test_the_admin_api_tells_versions_and_metrics(route: Route, blue: Running, green: Running) -> None:
    given = settings(blue, {"stable": 1, "canary": 0})
    given["backends"]["green"] = {"grpc": green.addresses[0]}
    given["backends"]["none"] = {"grpc": "127.0.0.1:1"}
    targets = given["models"]["taxi"]["targets"]
    targets |= {"new": {"backend": "green"}, "old": {"backend": "green", "label": "old"}, "down": {"backend": "none"}}
    proxy = route(given)
    found = http(f"{proxy.admin}/versions")[2]
    assert found == {"taxi": {"stable": 1, "canary": 2, "new": 4, "old": None, "down": None}}
    with proxy.service() as service:
        service.version(predict_request())
        metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        metadata.model_spec.name = "taxi"
        service.GetModelMetadata(metadata, timeout=10)
    metrics = http(f"{proxy.admin}/metrics")[2]
    # Requests that are not split, such as metadata, would make the heaviest target look quick.
    assert 'taxiway_route_seconds_count{model="taxi",target="stable"} 1.0' in metrics
    bounds = [float(bound) for bound in re.findall(r'taxiway_route_seconds_bucket{le="([0-9.]+)"', metrics)]
    assert max(high / low for low, high in pairwise(bounds[2:-1])) < 1.3


def test_the_proxy_listens_on_loopback_and_ends_on_sigterm(route: Route, blue: Running) -> None:
    proxy = route(settings(blue, {"stable": 1}))
    assert {address.partition(":")[0] for address in proxy.running.addresses} == {"127.0.0.1"}
    with proxy.service() as service:
        pending = service.Predict.future(predict_request(), timeout=20, metadata=[("seconds", "1")])
        time.sleep(0.3)
        proxy.running.process.terminate()
        assert pending.result().model_spec.version.value == 1
    assert proxy.running.process.wait(10) == 0
    assert proxy.lines("stop")


def test_tls_is_used_on_both_sides(route: Route, blue: Running, tmp_path: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    pair = {"cert": str(cert), "key": str(key), "ca": str(cert)}
    inner = route({**settings(blue, {"stable": 1}), "tls": pair})
    given = settings(blue, {"stable": 1})
    given["backends"]["blue"] = {"grpc": inner.grpc, "rest": inner.running.addresses[1], "tls": pair}
    outer = route(given)
    with outer.service() as service:
        assert service.version(predict_request()) == 1
    assert http(f"{outer.rest}{PATH}:predict", predict_body())[1]["version"] == "1"
    # Without a client certificate, connections are refused.
    given["backends"]["blue"]["tls"] = {"ca": str(cert)}
    refused = route(given)
    with refused.service() as service, pytest.raises(grpc.RpcError) as raised:
        service.version(predict_request())
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert http(f"{refused.rest}{PATH}:predict", predict_body())[0] == 503


def test_an_occupied_port_is_reported(blue: Running) -> None:
    port = blue.addresses[0].partition(":")[2]
    flags = ["--model", "taxi", "--backend", blue.addresses[0], "--split", "stable=1", "--listen-port", port]
    command = [sys.executable, "-m", "taxiway", "route", *flags, "--rest-port", "0", "--admin-port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"error: cannot listen on port {port} of 127.0.0.1" in result.stderr
    assert "fix: use another port, or 0 to pick a free one" in result.stderr


def test_the_label_is_merged_into_the_request() -> None:
    from taxiway.routing.request_fields import labelled, requested_model

    request = predict_request(signature_name="examples")
    routed = predict_pb2.PredictRequest.FromString(labelled("Predict", request.SerializeToString(), "canary"))
    request.model_spec.version_label = "canary"
    assert routed == request
    several = inference_pb2.MultiInferenceRequest()
    for name in ("a", "b"):
        several.tasks.add(model_spec=model_pb2.ModelSpec(name="taxi", signature_name=name), method_name="m")
    requested = requested_model("MultiInference", several.SerializeToString())
    assert requested is not None
    assert (requested.model, requested.is_pinned) == ("taxi", False)
    routed = inference_pb2.MultiInferenceRequest.FromString(
        labelled("MultiInference", several.SerializeToString(), "canary")
    )
    assert [(task.model_spec.signature_name, task.model_spec.version_label) for task in routed.tasks] == [
        ("a", "canary"),
        ("b", "canary"),
    ]
