"""The routes of the REST API, used to match requests and to generate the OpenAPI document.

Paths under `/v1/models` follow TF Serving's grammar: names and labels contain neither `/` nor `:` before decoding;
versions are digits; the fixed words before the verb are case-insensitive; a query string is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Action = Literal["predict", "classify", "regress", "status", "metadata", "metrics", "live", "ready", "openapi", "page"]

_SELECTORS = {"": "the latest version", "/versions/{version}": "one version", "/labels/{label}": "a label's version"}
_PARTS = {"{name}": r"(?P<name>[^/:]+)", "{version}": r"(?P<version>[0-9]+)", "{label}": r"(?P<label>[^/:]+)"}
_FIXED = re.compile(r"/(v1/models|versions|labels)(?=/)")


@dataclass(frozen=True)
class Route:
    """A method, a path with `{name}`, `{version}` and `{label}`, and the action."""

    method: Literal["GET", "POST"]
    path: str
    action: Action
    summary: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the route's paths before percent-decoding."""
        pattern = _FIXED.sub(lambda found: f"(?i:{found[0]})", self.path).replace(".", r"\.")
        for part, regex in _PARTS.items():
            pattern = pattern.replace(part, regex)
        return re.compile(pattern)


def _of_models() -> list[Route]:
    routes = []
    for selector, whose in _SELECTORS.items():
        model = f"/v1/models/{{name}}{selector}"
        routes += [
            Route("POST", f"{model}:predict", "predict", f"Runs a signature of {whose} on tensors"),
            Route("POST", f"{model}:classify", "classify", f"Classifies examples with {whose}"),
            Route("POST", f"{model}:regress", "regress", f"Regresses examples with {whose}"),
            Route("GET", f"{model}/metadata", "metadata", f"The signatures of {whose}"),
            Route("GET", model, "status", f"The state of {whose if selector else 'all versions'}"),
        ]
    return routes


METRICS_PATHS = ("/metrics", "/monitoring/prometheus/metrics")
"""The default paths of the metrics; the second is TF Serving's."""

OWN_PATHS = ("/healthz", "/readyz", "/openapi.json", "/")


def routes(metrics_paths: Iterable[str] = METRICS_PATHS) -> tuple[Route, ...]:
    """All routes.

    Args:
        metrics_paths: The paths of the metrics.
    """
    return (
        *_of_models(),
        *(Route("GET", path, "metrics", "Metrics for Prometheus") for path in metrics_paths),
        Route("GET", "/healthz", "live", "Whether the server is alive"),
        Route("GET", "/readyz", "ready", "Whether all models have an available version"),
        Route("GET", "/openapi.json", "openapi", "This document"),
        Route("GET", "/", "page", "HTML page with the models"),
    )


def is_model_path(path: str) -> bool:
    """Whether TF Serving's REST handler gets this path; for unknown ones, it returns 400 instead of 404."""
    return path[:4].lower() == "/v1/"
