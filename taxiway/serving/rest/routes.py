"""The table of the REST side's routes: requests are matched with it, and the OpenAPI document is written from it.

The grammar of `/v1/models` is TF Serving's: names and labels hold neither `/` nor `:`, as sent; versions are digits;
the fixed words before the verb may be in any case; nothing may follow, no query either.
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
    """A method and a path with `{name}`, `{version}` and `{label}`, and what it does."""

    method: Literal["GET", "POST"]
    path: str
    action: Action
    summary: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the paths of this route as they are sent, before percent-decoding."""
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
"""Where metrics are by default; TF Serving's usual path is the second."""

OWN_PATHS = ("/healthz", "/readyz", "/openapi.json", "/")


def routes(metrics_paths: Iterable[str] = METRICS_PATHS) -> tuple[Route, ...]:
    """All routes.

    Args:
        metrics_paths: Where metrics are.
    """
    return (
        *_of_models(),
        *(Route("GET", path, "metrics", "Metrics for Prometheus") for path in metrics_paths),
        Route("GET", "/healthz", "live", "Whether the server is alive"),
        Route("GET", "/readyz", "ready", "Whether all models have a version that is available"),
        Route("GET", "/openapi.json", "openapi", "This document"),
        Route("GET", "/", "page", "The models, as a page for people"),
    )


def is_model_path(path: str) -> bool:
    """Whether TF Serving's REST handler takes a path, and answers 400 rather than 404 where it has no such call."""
    return path[:4].lower() == "/v1/"
