"""Kubernetes Events, one for each alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from components.monitoring.alarms.alarm import Change
from taxiway.alerts.message import Message
from taxiway.alerts.settings import Kubernetes
from taxiway.alerts.ways import NotTakenError
from taxiway.network.kubernetes import KubernetesApi, NoAnswerError

_SECONDS = 10.0
_LONGEST = 1024  # characters, by the API
_VERSIONS = {"CronJob": "batch/v1", "Deployment": "apps/v1"}
_REASONS = {"opened": "AlarmOpened", "acknowledged": "AlarmAcknowledged", "closed": "AlarmClosed"}
_EXISTS = 409


@dataclass(frozen=True)
class KubernetesWay:
    """Events in a namespace."""

    settings: Kubernetes
    name: str = "kubernetes"

    @property
    def events(self) -> tuple[str, ...]:
        """The events that it tells."""
        return tuple(self.settings.on)

    def tell(self, message: Message) -> None:
        """Creates an Event for each alarm; raises NotTakenError."""
        path = f"/api/v1/namespaces/{self.settings.namespace}/events"
        try:
            api = KubernetesApi(seconds=_SECONDS)
            for change in message.changes:
                _create(api, path, _event(change, message, self.settings))
        except NoAnswerError as error:
            raise NotTakenError(error.found) from None


def _create(api: KubernetesApi, path: str, event: dict[str, Any]) -> None:
    """Creates an Event, unless a pass before has done so."""
    try:
        api.post(path, event)
    except NoAnswerError as error:
        if error.status != _EXISTS:
            raise


def _event(change: Change, message: Message, settings: Kubernetes) -> dict[str, Any]:
    kind, _, name = settings.object.partition("/")
    kind, name = (kind, name) if name else ("Namespace", settings.namespace)
    time = message.time.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"taxiway-{change.id}",
            "namespace": settings.namespace,
            "labels": {"app.kubernetes.io/managed-by": "taxiway"},
        },
        "involvedObject": {
            "apiVersion": _VERSIONS.get(kind, "v1"),
            "kind": kind,
            "name": name,
            "namespace": settings.namespace,
        },
        "reason": _REASONS[change.event],
        "message": change.alarm.sentence[:_LONGEST],
        "type": "Warning" if change.event == "opened" else "Normal",
        "source": {"component": "taxiway-monitor"},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
