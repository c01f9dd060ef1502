"""Chooses the target of each request; weights can change while the proxy runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from components.contract.errors import UserError
from components.experiments.hashing import by_key
from taxiway.routing import targets
from taxiway.routing.access_log import AccessLog
from taxiway.routing.calls import Route
from taxiway.routing.settings import Model, Settings, StickyKey, Weights, require_weights, with_weights

ReadKey = Callable[[StickyKey], bytes | None]
"""Reads a request's sticky key; returns None if it has none."""


class Router:
    """Routes requests by the models' weights."""

    def __init__(self, settings: Settings, access_log: AccessLog) -> None:
        self.settings = settings
        self._access_log = access_log
        self._random = random.Random()
        self._models = dict(settings.models)
        self._tell(self._models)

    def split(self, model: str, read_key: ReadKey) -> Route:
        """The route of a request that names neither version nor label."""
        known = self._models.get(model)
        if known is None:
            return self.untouched(model)
        key = read_key(known.sticky_key) if known.sticky_key else None
        weights = known.weights
        name = targets.by_weight(weights, self._random) if key is None else by_key(key, weights)
        shadow = _route(known, known.shadow) if known.shadow not in ("", name) else None
        return replace(_route(known, name), shadow=shadow)

    def main(self, model: str) -> Route:
        """The route to the model's heaviest target, for requests that are not split."""
        known = self._models.get(model)
        return _route(known, known.main) if known else self.untouched(model)

    def untouched(self, model: str, label: str = "") -> Route:
        """The route of a request that names a version or label: to the label's backend, or else to the main one."""
        known = self._models.get(model)
        if known is None:
            return Route(next(iter(self.settings.backends)))
        with_label = [target.backend for target in known.targets.values() if label and target.label == label]
        return Route((with_label or [known.targets[known.main].backend])[0])

    def weights(self) -> dict[str, Weights]:
        """The weights of every model's targets."""
        return {name: model.weights for name, model in self._models.items()}

    def set_weights(self, given: Any) -> None:
        """Sets the weights of the named models, all or none.

        Raises:
            UserError: They are not a map of maps of numbers, or a name is unknown; see `require_weights`.
        """
        if not isinstance(given, Mapping) or not given or not all(isinstance(w, Mapping) for w in given.values()):
            raise UserError("weights must be a map of models", fix='send {"MODEL": {"TARGET": WEIGHT, ...}}')
        changed = {}
        for name, weights in given.items():
            if name not in self._models:
                raise UserError(f"there is no model {name!r}", fix=f"there are {', '.join(self._models)}")
            model = self._models[name]
            changed[name] = with_weights(model, require_weights(weights, model.targets, name))
        self._models |= changed
        self._tell(changed)

    def take_over(self, settings: Settings) -> None:
        """Applies the models of reloaded settings.

        Raises:
            UserError: More than the models has changed, which requires a restart.
        """
        if replace(settings, models=self.settings.models) != self.settings:
            raise UserError(
                "settings other than models have changed", fix="restart the proxy to change backends, ports or TLS"
            )
        self.settings, self._models = settings, dict(settings.models)
        self._tell(self._models)

    def _tell(self, models: Mapping[str, Model]) -> None:
        for name, model in models.items():
            self._access_log.set_weights(name, model.weights)


def _route(model: Model, name: str) -> Route:
    target = model.targets[name]
    return Route(target.backend, name, target.label)
