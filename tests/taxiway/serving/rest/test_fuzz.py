"""The server answers random requests correctly or with 4xx, and keeps running."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"]
URLS = [
    "/", "//", "/v1", "/v1/", "/v1/models", "/v1/models/", "/v1/models/half_plus_two",
    "/v1/models/half_plus_two:predict",
    "/v1/models/half_plus_two:", "/v1/models/:predict", "/v1/models/half_plus_two/versions/:predict",
    "/v1/models/half_plus_two/versions/-1", "/v1/models/half_plus_two/labels/%00:predict", "/v1/models/%0A%0D:predict",
    "/v1/models/half_plus_two/metadata/metadata", "/v2/models/half_plus_two/infer", "/v1/models/half_plus_two#predict",
    "/v1/models/" + "a" * 4000 + ":predict", "/metrics/../v1/models/half_plus_two", "/openapi.json?" + "x=1&" * 500,
]  # fmt: skip
BODIES = [b"", b'{"instances": [1.0]}', b"\x00\xff" * 100, b"[" * 50_000]

_UPWARD = ["../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "..%252f", "..%c0%af", "....//", "%00../", "/"]
_TARGETS = ["etc/passwd", "proc/self/environ", "secret.txt", "half_plus_two/123/saved_model.pb", "%7Eroot/.ssh/id_rsa"]
ESCAPES = [f"{up * 8}{target}" for up, target in itertools.product(_UPWARD, _TARGETS)]


@pytest.fixture(autouse=True)
def _alive(rest: str) -> Iterator[None]:
    yield
    answer = requests.post(f"{rest}/v1/models/half_plus_two:predict", data='{"instances": [1.0]}', timeout=30)
    assert answer.json() == {"predictions": [2.5]}


def as_is(rest: str, method: str, path: str, body: bytes = b"") -> requests.Response:
    """Sends the path unchanged; requests would remove `..`."""
    prepared = requests.Request(method, rest, data=body).prepare()
    prepared.url = rest + path
    with requests.Session() as session:
        return session.send(prepared, timeout=30)


def test_every_url_with_every_method(rest: str) -> None:
    assert (len(URLS), len(METHODS)) == (20, 8)
    for url, method, body in itertools.product(URLS, METHODS, BODIES):
        answer = as_is(rest, method, url, body)
        assert answer.status_code < 500, (method, url, body[:20], answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            assert list(answer.json()) == ["error"], (method, url, answer.text)


def test_path_traversal_is_refused(rest: str) -> None:
    """No part of a path reaches the file system: everything except loaded models is not found."""
    assert len(set(ESCAPES)) == 50
    for escape in ESCAPES:
        for path in (f"/v1/models/{escape}", f"/v1/models/half_plus_two/versions/{escape}",
                     f"/v1/models/half_plus_two/labels/{escape}", f"/{escape}"):  # fmt: skip
            for method, suffix in (("GET", ""), ("GET", "/metadata"), ("POST", ":predict")):
                answer = as_is(rest, method, path + suffix, b'{"instances": [1.0]}' if method == "POST" else b"")
                assert answer.status_code in (400, 404), (method, path, answer.text)
                assert list(answer.json()) == ["error"]
                assert "root:" not in answer.text and "PATH=" not in answer.text


def check(operation: Any, seen: list[int]) -> Callable[[], None]:
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(case=operation.as_strategy())
    def run(case: Any) -> None:
        answer = case.call(timeout=30)
        seen.append(answer.status_code)
        checks = [
            not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
        ]  # fmt: skip
        case.validate_response(answer, checks=checks)

    return run  # type: ignore[no-any-return]


def test_the_server_keeps_to_its_openapi_document(rest: str) -> None:
    schema = schemathesis.openapi.from_url(f"{rest}/openapi.json")
    seen: list[int] = []
    for result in schema.get_all_operations():
        check(result.ok(), seen)()
    assert {200, 400, 404} <= set(seen)


def model_requests() -> Any:
    numbers = hypothesis.strategies.floats(width=32) | hypothesis.strategies.integers() | hypothesis.strategies.none()
    values = hypothesis.strategies.recursive(
        numbers | hypothesis.strategies.text(max_size=3), lambda inner: hypothesis.strategies.lists(inner, max_size=3)
    )
    keys = hypothesis.strategies.sampled_from(["instances", "inputs", "signature_name", "examples", "x"])
    return hypothesis.strategies.dictionaries(keys, values, max_size=3)


def test_random_documents_are_answered(rest: str) -> None:
    with requests.Session() as session:

        @settings(max_examples=150, deadline=None, database=None)
        @hypothesis.given(model_requests(), hypothesis.strategies.sampled_from(["predict", "classify", "regress"]))
        def run(document: dict[str, Any], verb: str) -> None:
            answer = session.post(f"{rest}/v1/models/half_plus_two:{verb}", data=json.dumps(document), timeout=30)
            assert answer.status_code in (200, 400), answer.text
            assert ("error" in answer.json()) == (answer.status_code == 400)

        run()
