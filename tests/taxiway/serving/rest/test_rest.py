"""The REST API of a real server, over its socket."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests

HALF = "/v1/models/half_plus_two"
MIXED = "/v1/models/mixed"


def post(rest: str, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = requests.post(rest + path, data=data, headers=headers, timeout=30)
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, response.json()


def get(rest: str, path: str) -> tuple[int, Any]:
    response = requests.get(rest + path, timeout=30)
    return response.status_code, response.json()


def raw(rest: str, request: bytes) -> bytes:
    """The server's response to these bytes, read until it closes the connection."""
    parts = urlsplit(rest)
    with socket.create_connection((str(parts.hostname), parts.port or 80), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(autouse=True)
def _alive(rest: str) -> Iterator[None]:
    """Asserts that the server still answers after each test."""
    yield
    assert post(rest, f"{HALF}:predict", {"instances": [1.0]}) == (200, {"predictions": [2.5]})


def test_tf_servings_documented_examples_work(rest: str) -> None:
    assert post(rest, f"{HALF}:predict", {"instances": [1.0, 2.0, 5.0]}) == (200, {"predictions": [2.5, 3.0, 4.5]})
    assert post(rest, f"{HALF}:predict", {"inputs": [3.0, 4.0]}) == (200, {"outputs": [3.5, 4.0]})
    assert post(rest, f"{HALF}:predict", {"signature_name": "serving_default", "inputs": {"x": [3.0]}}) == (
        200,
        {"outputs": [3.5]},
    )
    regression = {"signature_name": "regress_x_to_y", "examples": [{"x": 80.0}, {"x": 2.0}]}
    assert post(rest, f"{HALF}:regress", regression) == (200, {"results": [42.0, 3.0]})
    classes = {"signature_name": "classify_x_to_y", "examples": [{"x": 20.0}]}
    assert post(rest, f"{HALF}:classify", classes) == (200, {"results": [[["", 12.0]]]})
    assert post(rest, f"{HALF}:classify", {**classes, "context": {"x": 10.0}, "examples": [{}]}) == (
        200,
        {"results": [[["", 7.0]]]},
    )
    assert post(rest, "/v1/models/half:predict", {"instances": [1.0, 5.0]}) == (
        404,
        {"error": "Servable not found for request: Latest(half)"},
    )


def test_paths_may_have_versions_and_labels(rest: str) -> None:
    answered = (200, {"predictions": [2.5]})
    assert post(rest, f"{HALF}/versions/123:predict", {"instances": [1.0]}) == answered
    assert post(rest, f"{HALF}/labels/stable:predict", {"instances": [1.0]}) == answered
    status, body = post(rest, f"{HALF}/versions/99:predict", {"instances": [1.0]})
    assert (status, body["error"]) == (404, "Servable not found for request: Specific(half_plus_two, 99)")
    status, body = post(rest, f"{HALF}/labels/none:predict", {"instances": [1.0]})
    assert status == 400
    assert "Unrecognized servable version label: none" in body["error"]


def test_status_and_metadata_are_returned(rest: str) -> None:
    available = {"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in (HALF, f"{HALF}/versions/123", f"{HALF}/labels/stable"):
        assert get(rest, path) == (200, {"model_version_status": [available]})
    for path in ("/v1/models/none", f"{HALF}/versions/9", "/v1/models/none/metadata"):
        status, body = get(rest, path)
        assert (status, list(body)) == (404, ["error"])
    for path in (HALF, f"{HALF}/versions/123", f"{HALF}/labels/stable"):
        status, body = get(rest, f"{path}/metadata")
        assert status == 200
        assert (body["model_spec"]["name"], body["model_spec"]["version"]) == ("half_plus_two", "123")
        signature = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
        assert signature["inputs"]["x"]["name"] == "serving_default_x:0"
        assert signature["method_name"] == "tensorflow/serving/predict"


def test_several_inputs_and_outputs_in_rows_and_columns(rest: str) -> None:
    rows = [{"number": 0.1, "word": "é"}, {"number": 2, "word": {"b64": "aGk="}}]
    assert post(rest, f"{MIXED}:predict", {"instances": rows})[1]["predictions"] == [
        {"doubled": 0.2, "same": "é", "raw_bytes": {"b64": "w6k="}},
        {"doubled": 4.0, "same": "hi", "raw_bytes": {"b64": "aGk="}},
    ]
    columns = {"number": [0.1, 2], "word": ["é", {"b64": "aGk="}]}
    assert post(rest, f"{MIXED}:predict", {"inputs": columns})[1]["outputs"] == {
        "doubled": [0.2, 4.0],
        "same": ["é", "hi"],
        "raw_bytes": [{"b64": "w6k="}, {"b64": "aGk="}],
    }
    status, body = post(rest, f"{MIXED}:predict", {"inputs": {"number": [1], "word": [{"b64": "/w=="}]}})
    assert status == 400
    assert "tensor: same contains bytes that are not UTF-8" in body["error"]


def test_nan_and_infinity_pass_through(rest: str) -> None:
    text = requests.post(f"{rest}{HALF}:predict", data=b'{"instances": [NaN, Infinity, -Infinity, 1]}', timeout=30).text
    assert text == '{"predictions":[NaN,Infinity,-Infinity,2.5]}'


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("half_plus_two:predict", b"", 400, "JSON Parse error: The document is empty"),
        ("half_plus_two:predict", b"instances = [1, 2]", 400, "JSON Parse error: Invalid value"),
        ("half_plus_two:predict", b'{"instances": ["x", "y"]}', 400, "not of expected type: float"),
        ("half_plus_two:predict", b'{"instances": [[1, 2], [3]]}', 400, "Expecting tensor size: 2 but got: 1"),
        ("half_plus_two:predict", b'{"signature_name": 100}', 400, "'signature_name' key must be a string value."),
        (
            "half_plus_two:predict",
            b'{"signature_name": "none", "inputs": 1}',
            400,
            'Serving signature name: "none" not found in signature def',
        ),
        ("half_plus_two:predict", b'{"x": 1}', 400, "Missing 'inputs' or 'instances' key"),
        ("half_plus_two:predict", b'{"inputs": {"y": 1}}', 400, "Missing named input: x in 'inputs' object."),
        ("mixed:predict", b'{"instances": [{"number": 1}]}', 400, "keys must be equal to: number,word"),
        ("mixed:predict", b'{"inputs": {"number": [1], "word": ["a"], "x": 1}}', 400, "does not have named input: x"),
        ("half_plus_two:classify", b'{"examples": []}', 400, "'examples' value is an empty array"),
        ("half_plus_two:regress", b"{}", 400, "When method is regress, key 'examples' is expected"),
        ("half_plus_two:regress", b'{"examples": [{"x": [1.0, "a"]}]}', 400, "feature: x expecting type: float"),
        ("half_plus_two:predict", b'{"instances":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "nested too deeply"),
        ("half_plus_two:predict", b'{"instances":' + b"[" * 50_000, 400, "JSON Parse error: "),
        ("half_plus_two:predict", b'{"instances":' + b'{"x":' * 50_000 + b"1" + b"}" * 50_001, 400, "nested too"),
        ("half_plus_two:predict", b'{"instances":' + b"[" * 999 + b"]" * 999 + b"}", 400, "at unexpected level: 64"),
        ("half_plus_two:predict", b'{"instances": [' + b"9" * 100_000 + b"]}", 400, "Number too big"),
        ("half_plus_two:predict", b'{"instances": [1], "instances": [2]}', 400, '"instances" occurs more than once'),
        ("half_plus_two:predict", b'{"instances": ["\xff"]}', 400, "Invalid encoding in string. at offset: 16"),
        ("half_plus_two:predict", b'{"instances": ["\0"]}', 400, "Invalid encoding in string. at offset: 16"),
        ("half_plus_two/versions/99999999999999999999:predict", b"{}", 400, "Failed to convert version: 99999"),
        ("%FF:predict", b"{}", 400, "Failed to decode model name:%FF"),
    ],
)
def test_invalid_input_is_refused(rest: str, path: str, body: bytes, status: int, message: str) -> None:
    answer = post(rest, f"/v1/models/{path}", body)
    assert answer[0] == status
    assert message in answer[1]["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", HALF, 400, f"Malformed request: POST {HALF}"),
        ("GET", f"{HALF}:predict", 400, f"Malformed request: GET {HALF}:predict"),
        ("DELETE", f"{HALF}:predict", 400, f"Malformed request: DELETE {HALF}:predict"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("OPTIONS", f"{HALF}:predict", 400, "Origin header is missing in CORS preflight"),
        ("GET", "/foo?x=1", 404, "Malformed request: GET /foo?x=1"),
        ("POST", "/metrics", 405, "POST is not allowed at /metrics"),
    ],
)
def test_invalid_paths_and_methods_are_refused(rest: str, method: str, path: str, status: int, message: str) -> None:
    response = requests.request(method, rest + path, timeout=30)
    assert (response.status_code, response.json()) == (status, {"error": message})


def test_requests_and_responses_may_be_gzipped(rest: str) -> None:
    body = gzip.compress(json.dumps({"instances": [0.5] * 20_000}).encode())
    response = requests.post(
        f"{rest}{HALF}:predict", data=body, headers={"Content-Encoding": "gzip", "Accept-Encoding": "gzip"}, timeout=30
    )
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.json() == {"predictions": [2.25] * 20_000}
    for accepted in ("identity", "gzip;q=0"):
        plain = requests.post(
            f"{rest}{HALF}:predict",
            data=body,
            headers={"Content-Encoding": "gzip", "Accept-Encoding": accepted},
            timeout=30,
        )
        assert "Content-Encoding" not in plain.headers
        assert plain.json() == response.json()
    status, answer = post(rest, f"{HALF}:predict", b"no gzip", **{"Content-Encoding": "gzip"})
    assert (status, answer["error"]) == (400, "The request's body does not match its Content-Encoding: gzip")


def test_a_large_batch_is_answered_in_order(rest: str) -> None:
    numbers = np.random.default_rng(7).random((40_000, 3)).astype(np.float32)
    status, answer = post(rest, f"{HALF}:predict", {"instances": numbers.tolist()})
    assert status == 200
    np.testing.assert_array_equal(np.array(answer["predictions"], np.float32), numbers * np.float32(0.5) + 2)


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(rest: str) -> None:
    head = f"POST {HALF}:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 40}\r\n\r\n"
    answer = raw(rest, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'{"error":"The request\'s body is larger than 67108864 bytes"}')


@pytest.mark.parametrize(
    "request_line",
    [
        b"",
        b"\0" * 100,
        b"GET",
        b"GET /v1/models/half_plus_two",
        b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{",
        b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/models/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"* /v1/models/half_plus_two HTTP/9.9\r\n\r\n",
    ],
)
def test_incomplete_requests_and_invalid_http_are_refused(rest: str, request_line: bytes) -> None:
    answer = raw(rest, request_line)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert answer == b"" or (head.split()[1].startswith(b"4") and list(json.loads(body)) == ["error"])


def test_health_metrics_and_page_are_served(rest: str) -> None:
    assert get(rest, "/healthz") == (200, {"status": "alive"})
    assert get(rest, "/readyz") == (200, {"status": "ready"})
    post(rest, f"{HALF}:predict", {"instances": [1.0]})
    metrics = [requests.get(rest + path, timeout=30) for path in ("/metrics", "/monitoring/prometheus/metrics")]
    assert all(each.ok and each.headers["Content-Type"].startswith("text/plain") for each in metrics)
    page = requests.get(rest, timeout=30)
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "curl -d &#x27;{&quot;inputs&quot;: {&quot;x&quot;" in page.text
    assert '<td>123</td><td class="AVAILABLE">AVAILABLE</td><td><span class="label">stable</span></td>' in page.text
