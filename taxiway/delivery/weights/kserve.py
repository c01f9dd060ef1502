"""The weights of a KServe InferenceService: the share of its latest revision."""

from __future__ import annotations

from typing import Any

from components.contract.errors import ServiceError
from taxiway.delivery.settings import KServe
from taxiway.delivery.weights.cluster import ClusterObject
from taxiway.network.kubernetes import Json

_GROUP = "serving.kserve.io"
_FIELD = "canaryTrafficPercent"


class KServeWeights:
    """An InferenceService."""

    def __init__(self, settings: KServe) -> None:
        path = f"/apis/{_GROUP}/v1beta1/namespaces/{settings.namespace}/inferenceservices/{settings.name}"
        what = f"InferenceService {settings.namespace}/{settings.name}"
        self._object = ClusterObject(path, what, f"inferenceservices.{_GROUP}")

    def read(self) -> float | None:
        """See `Weights`; without the field, the latest revision has everything."""
        return float(_predictor(self._object.read()).get(_FIELD, 100))

    def require(self, champion: int, challenger: int | None) -> None:
        """See `Weights`: KServe knows revisions, and whether the latest is ready."""
        status = self._object.read().get("status", {}).get("components", {}).get("predictor", {})
        created, ready = status.get("latestCreatedRevision"), status.get("latestReadyRevision")
        if challenger is not None and created != ready:
            raise ServiceError(
                f"{self._object.what}: the revision {created} is not ready yet",
                fix=f"kubectl describe revision {created}",
            )

    def write(self, share: float) -> None:
        """See `Weights`; the field is removed at 100 %, which makes the challenger KServe's stable revision."""
        self._object.change(lambda found: _with(found, None if share == 100 else round(share)))


def _predictor(service: Json) -> Json:
    return dict(service.get("spec", {}).get("predictor", {}))


def _with(service: Json, percent: int | None) -> Json:
    predictor: dict[str, Any] = {k: v for k, v in _predictor(service).items() if k != _FIELD}
    if percent is not None:
        predictor[_FIELD] = percent
    return {**service, "spec": {**service["spec"], "predictor": predictor}}
