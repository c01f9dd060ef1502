"""Paths as TF Serving parses them, and the OpenAPI document of the same routes."""

from __future__ import annotations

import pytest

from taxiway.serving.errors import ServingError
from taxiway.serving.metrics import Metrics
from taxiway.serving.model.served_model import Models
from taxiway.serving.rest import openapi
from taxiway.serving.rest.app import Rest, model_spec
from taxiway.serving.rest.routes import routes


def found(method: str, path: str) -> tuple[str, str, int, str] | None:
    rest = Rest(Models(Metrics()), max_body_bytes=1, timeout_seconds=1, metrics_paths=(), cors=False, recorder=None)
    route, parts = rest.matched(method, path)
    if route is None:
        return None
    spec = model_spec(parts)
    return route.action, spec.name, spec.version.value, spec.version_label


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/models/half:predict", ("predict", "half", 0, "")),
        ("POST", "/v1/models/half/versions/123:classify", ("classify", "half", 123, "")),
        ("POST", "/v1/models/half/labels/stable:regress", ("regress", "half", 0, "stable")),
        ("POST", "/V1/Models/half/VERSIONS/007:predict", ("predict", "half", 7, "")),
        ("POST", "/v1/models/a%2Fb%20%C3%A9/labels/x%3Ay:predict", ("predict", "a/b é", 0, "x:y")),
        ("GET", "/v1/models/half", ("status", "half", 0, "")),
        ("GET", "/v1/models/half/metadata", ("metadata", "half", 0, "")),
        ("GET", "/v1/models/half/versions/123/metadata", ("metadata", "half", 123, "")),
        ("GET", "/v1/models/half/labels/stable", ("status", "half", 0, "stable")),
        ("GET", "/v1/models/versions", ("status", "versions", 0, "")),
        # From here: paths that http_rest_api_handler_test.cc considers malformed.
        ("GET", "/v1/foo", None),
        ("POST", "/v1/foo", None),
        ("GET", "/v1/models/debug/model_name", None),
        ("POST", "/v1/models", None),
        ("GET", "/v1/models/foo:predict", None),
        ("GET", "/v1/models/foo/version/50:predict", None),
        ("POST", "/v1/models/foo/version/50:regress", None),
        ("POST", "/v1/models/foo/versions/HELLO:regress", None),
        ("POST", "/v1/models/foo/metadata", None),
        ("POST", "/v1/models/foo/label/some_label:regress", None),
        ("POST", "/v1/models/foo/versions/50/labels/some_label:regress", None),
        ("POST", "/v1/models/foo:Predict", None),
        ("POST", "/v1/models/foo:predict?x=1", None),
        ("POST", "/v1/models/foo/versions/٣:predict", None),
    ],
)
def test_paths_are_parsed_as_by_tf_serving(method: str, path: str, expected: tuple[str, str, int, str] | None) -> None:
    assert found(method, path) == expected


@pytest.mark.parametrize("version", ["9223372036854775808", "18446744073709551615", "9" * 5000])
def test_a_version_beyond_64_bits_is_invalid(version: str) -> None:
    with pytest.raises(ServingError, match=f"Failed to convert version: {version} to numeric."):
        found("POST", f"/v1/models/foo/versions/{version}:regress")


@pytest.mark.parametrize("part", ["%ff", "\udcff"])
def test_a_name_that_is_not_utf_8_is_refused(part: str) -> None:
    with pytest.raises(ServingError, match="Failed to decode model name:"):
        found("GET", f"/v1/models/{part}")
    with pytest.raises(ServingError, match="Failed to decode model version label:"):
        found("GET", f"/v1/models/foo/labels/{part}")


def test_the_document_has_every_route_and_every_reference() -> None:
    document = openapi.document(routes())
    assert {(route.method.lower(), route.path) for route in routes()} == {
        (method, path) for path, item in document["paths"].items() for method in item
    }
    references = {part.split('"')[0] for part in str(document).replace("'", '"').split("#/components/schemas/")[1:]}
    assert references == set(document["components"]["schemas"])
