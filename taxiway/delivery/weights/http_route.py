"""The weights of a Gateway API HTTPRoute: those of the backends in its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.contract.errors import UserError
from taxiway.delivery.settings import HttpRoute
from taxiway.delivery.weights.cluster import ClusterObject
from taxiway.network.kubernetes import Json

_GROUP = "gateway.networking.k8s.io"
_WHOLE = 10_000
"""Weights are whole numbers; this allows hundredths of a percent."""


class HttpRouteWeights:
    """An HTTPRoute. Every rule that has both Services as backends gets the weights; other rules stay as they are."""

    def __init__(self, settings: HttpRoute) -> None:
        path = f"/apis/{_GROUP}/v1/namespaces/{settings.namespace}/httproutes/{settings.name}"
        self._settings = settings
        self._object = ClusterObject(path, f"HTTPRoute {settings.namespace}/{settings.name}", f"httproutes.{_GROUP}")

    def read(self) -> float | None:
        """See `Weights`."""
        shares = {self._share(rule) for rule in self._rules(self._object.read())}
        return shares.pop() if len(shares) == 1 else None

    def require(self, champion: int, challenger: int | None) -> None:
        """See `Weights`: a route does not know versions; a Service without ready pods answers errors."""

    def write(self, share: float) -> None:
        """See `Weights`."""
        self._object.change(lambda found: self._with(found, round(share / 100 * _WHOLE)))

    def _rules(self, route: Json) -> list[Mapping[str, Any]]:
        found = [rule for rule in route.get("spec", {}).get("rules", []) if self._has_both(rule)]
        if not found:
            raise UserError(
                f"{self._object.what} has no rule with the backends {self._settings.champion} and "
                f"{self._settings.challenger}",
                fix="add both Services to the backendRefs of a rule, the challenger with weight: 0",
            )
        return found

    def _has_both(self, rule: Mapping[str, Any]) -> bool:
        names = {_service(backend) for backend in rule.get("backendRefs", [])}
        return {self._settings.champion, self._settings.challenger} <= names

    def _share(self, rule: Mapping[str, Any]) -> float | None:
        """The challenger's share; None if a third backend has one. The default weight is 1."""
        weights = [(_service(each), each.get("weight", 1)) for each in rule["backendRefs"]]
        total = sum(weight for _, weight in weights)
        known = dict(weights)
        theirs, own = known[self._settings.champion], known[self._settings.challenger]
        return 100 * own / total if total and theirs + own == total else None

    def _with(self, route: Json, weight: int) -> Json:
        self._rules(route)
        rules = [self._weighed(rule, weight) if self._has_both(rule) else rule for rule in route["spec"]["rules"]]
        return {**route, "spec": {**route["spec"], "rules": rules}}

    def _weighed(self, rule: Mapping[str, Any], weight: int) -> Json:
        wanted = {self._settings.champion: _WHOLE - weight, self._settings.challenger: weight}
        backends = [{**each, "weight": wanted.get(_service(each), 0)} for each in rule["backendRefs"]]
        return {**rule, "backendRefs": backends}


def _service(backend: Mapping[str, Any]) -> str:
    """The name of a backend's Service; empty for another kind of backend."""
    return str(backend["name"]) if backend.get("kind", "Service") == "Service" and not backend.get("group") else ""
