"""A request that the proxy forwards, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Route:
    """The route of one request.

    Attributes:
        backend: The backend's name.
        target: The target's name; empty if the request is not split.
        label: The label to set; empty for none.
        shadow: The route of the copy; None for none.
    """

    backend: str
    target: str = ""
    label: str = ""
    shadow: Route | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request that is sent to a backend.

    Attributes:
        protocol: `grpc` or `rest`.
        method: `Predict`, `predict`, ...
        model: The requested model.
        route: Where it is sent.
        began: When it began, by `time.perf_counter`.
    """

    protocol: str
    method: str
    model: str
    route: Route
    began: float
