"""What takes the weights of a rollout."""

from __future__ import annotations

from typing import Protocol

from taxiway.delivery.settings import Delivery
from taxiway.delivery.weights.http_route import HttpRouteWeights
from taxiway.delivery.weights.kserve import KServeWeights
from taxiway.delivery.weights.route import RouteWeights


class Weights(Protocol):
    """A place that splits the traffic between the champion and the challenger."""

    def read(self) -> float | None:
        """The challenger's share in percent; None if the parts of the place differ, or others have a share.

        Raises:
            ServiceError: The place does not answer.
        """

    def require(self, champion: int, challenger: int | None) -> None:
        """Raises ServiceError if these versions do not answer yet, as far as the place knows.

        Args:
            champion: The version that the champion's target should have.
            challenger: The version that the challenger's target should have; None if it does not matter.
        """

    def write(self, share: float) -> None:
        """Gives the challenger a share in percent, and the champion the rest; writing it twice changes nothing.

        Raises:
            ServiceError: The place does not answer, or refuses.
        """


def of(settings: Delivery, model: str) -> Weights:
    """The place that the settings name."""
    places = settings.weights
    if places.kserve:
        return KServeWeights(places.kserve)
    if places.http_route:
        return HttpRouteWeights(places.http_route)
    return RouteWeights(settings.weights.route, model, settings.champion, settings.challenger)
