"""What takes the weights of a rollout."""

from __future__ import annotations

from typing import Protocol

from taxiway.delivery.settings import Delivery
from taxiway.delivery.weights.route import RouteWeights


class Weights(Protocol):
    """A place that splits the traffic between the champion and the challenger."""

    def read(self) -> float | None:
        """The challenger's share in percent; None if the parts of the place differ, or others have a share.

        Raises:
            ServiceError: The place does not answer.
        """

    def write(self, share: float) -> None:
        """Gives the challenger a share in percent, and the champion the rest; writing it twice changes nothing.

        Raises:
            ServiceError: The place does not answer, or refuses.
        """


def of(settings: Delivery, model: str) -> Weights:
    """The place that the settings name."""
    return RouteWeights(settings.weights.route, model, settings.champion, settings.challenger)
