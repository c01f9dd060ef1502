"""Generates the OpenAPI document from the routes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import components
from taxiway.serving.rest.routes import Action, Route

_JSON = "application/json"

_PARAMETERS: dict[str, dict[str, Any]] = {
    "name": {"type": "string", "pattern": "^[^/:]+$", "description": "The model's name"},
    "version": {"type": "integer", "format": "int64", "minimum": 0, "maximum": (1 << 63) - 1},
    "label": {"type": "string", "pattern": "^[^/:]+$", "description": "A version label"},
}

_SIGNATURE = {"type": "string", "description": "The signature to call; default: serving_default"}
_ANY = {"description": 'A number, boolean, string or {"b64": ...}, or nested lists of them'}
_EXAMPLE = {
    "type": "object",
    "description": "A tf.Example: for each feature, a value or a list of values of one type",
    "additionalProperties": True,
}

_SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}},
    },
    "RowRequest": {
        "type": "object",
        "required": ["instances"],
        "not": {"required": ["inputs"]},
        "properties": {"signature_name": _SIGNATURE, "instances": {"type": "array", "minItems": 1, "items": _ANY}},
    },
    "ColumnRequest": {
        "type": "object",
        "required": ["inputs"],
        "not": {"required": ["instances"]},
        "properties": {"signature_name": _SIGNATURE, "inputs": _ANY},
    },
    "PredictRequest": {
        "oneOf": [{"$ref": "#/components/schemas/RowRequest"}, {"$ref": "#/components/schemas/ColumnRequest"}]
    },
    "PredictResponse": {
        "oneOf": [
            {"type": "object", "required": ["predictions"], "properties": {"predictions": {"type": "array"}}},
            {"type": "object", "required": ["outputs"], "properties": {"outputs": _ANY}},
        ]
    },
    "ExamplesRequest": {
        "type": "object",
        "required": ["examples"],
        "properties": {
            "signature_name": _SIGNATURE,
            "context": _EXAMPLE,
            "examples": {"type": "array", "minItems": 1, "items": _EXAMPLE},
        },
    },
    "ClassifyResponse": {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": {"type": "array", "items": {"type": "array"}}}},
    },
    "RegressResponse": {
        "type": "object",
        "required": ["results"],
        "properties": {"results": {"type": "array", "items": {"type": "number"}}},
    },
    "StatusResponse": {
        "type": "object",
        "required": ["model_version_status"],
        "properties": {
            "model_version_status": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["version", "state", "status"],
                    "properties": {
                        "version": {"type": "string", "pattern": "^[0-9]+$"},
                        "state": {"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                        "status": {
                            "type": "object",
                            "properties": {"error_code": {"type": "string"}, "error_message": {"type": "string"}},
                        },
                    },
                },
            }
        },
    },
    "MetadataResponse": {
        "type": "object",
        "required": ["model_spec", "metadata"],
        "properties": {"model_spec": {"type": "object"}, "metadata": {"type": "object"}},
    },
    "Health": {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}},
}

_REQUESTS: dict[Action, str] = {
    "predict": "PredictRequest",
    "classify": "ExamplesRequest",
    "regress": "ExamplesRequest",
}
_RESPONSES: dict[Action, str] = {
    "predict": "PredictResponse",
    "classify": "ClassifyResponse",
    "regress": "RegressResponse",
    "status": "StatusResponse",
    "metadata": "MetadataResponse",
    "live": "Health",
    "ready": "Health",
}
_OTHER_TYPES: dict[Action, str] = {"metrics": "text/plain", "page": "text/html"}

_ERRORS = {
    "400": "Malformed request; with TF Serving's message",
    "404": "No such model, version or label",
    "408": "Timeout while reading the body",
    "413": "The body is too large",
    "429": "The queue is full",
    "500": "The model failed",
    "501": "A type that JSON does not support",
    "503": "No available version, or the server is stopping",
    "504": "The model did not respond in time",
}


def _content(schema: str, kind: str = _JSON) -> dict[str, Any]:
    return {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"} if schema else {"type": "string"}}}


def _answers(route: Route) -> dict[str, Any]:
    kind = _OTHER_TYPES.get(route.action, _JSON)
    schema = _RESPONSES.get(route.action, "")
    content = {_JSON: {"schema": {"type": "object"}}} if route.action == "openapi" else _content(schema, kind)
    answers: dict[str, Any] = {"200": {"description": "The response", "content": content}}
    if route.action == "ready":
        answers["503"] = {"description": "Not ready", "content": content}
    if "{name}" in route.path:
        answers |= {code: {"description": text, "content": _content("Error")} for code, text in _ERRORS.items()}
    return answers


def _operation(route: Route) -> dict[str, Any]:
    names = [name for name in _PARAMETERS if f"{{{name}}}" in route.path]
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": [{"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]} for name in names],
        "responses": _answers(route),
    }
    if route.action in _REQUESTS:
        operation["requestBody"] = {"required": True, "content": _content(_REQUESTS[route.action])}
    return operation


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document for the given routes."""
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "TF Serving's REST API in Taxiway",
            "version": components.__version__,
            "description": "NaN, Infinity and -Infinity are numbers, in requests and responses.",
        },
        "paths": paths,
        "components": {"schemas": _SCHEMAS},
    }
