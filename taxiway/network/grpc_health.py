"""gRPC's health service, under the names that TF Serving uses and under those of its services."""

from __future__ import annotations

from typing import Any

from grpc_health.v1 import health_pb2

_STATUS = health_pb2.HealthCheckResponse
NAMES = (
    "",
    *("PredictionService", "ModelService"),  # TF Serving's (server.cc), with --enable_grpc_healthcheck_service
    *("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"),
)


async def tell(servicer: Any, ready: bool) -> None:
    """Sets the status of a health servicer."""
    for name in NAMES:
        await servicer.set(name, _STATUS.SERVING if ready else _STATUS.NOT_SERVING)
