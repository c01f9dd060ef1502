"""The weights of `taxiway route`, by its admin API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.contract.errors import ServiceError, UserError
from taxiway.network.admin_api import AdminApi

_FIX = "start the proxy, or give its admin API in weights.route"


class RouteWeights:
    """Several proxies get the same weights."""

    def __init__(self, urls: tuple[str, ...], model: str, champion: str, challenger: str) -> None:
        self._urls, self._model = urls, model
        self._champion, self._challenger = champion, challenger
        self._api = AdminApi(_FIX)

    def read(self) -> float | None:
        """See `Weights`."""
        shares = {self._share(self._api.get(url)) for url in self._urls}
        return shares.pop() if len(shares) == 1 else None

    def require(self, champion: int, challenger: int | None) -> None:
        """See `Weights`."""
        for url in self._urls:
            answering = self._api.get(url, "versions").get(self._model, {})
            self._require(answering, self._champion, champion)
            if challenger is not None:
                self._require(answering, self._challenger, challenger)

    def _require(self, answering: Mapping[str, Any], target: str, version: int) -> None:
        found = answering.get(target)
        if found != version:
            raise ServiceError(
                f"version {version} does not answer yet at the target {target!r} of {self._model!r}"
                f" (there is {found or 'no version'})",
                fix="let the server load it: see its log, and the version_labels in its models.config",
            )

    def write(self, share: float) -> None:
        """See `Weights`. All proxies are tried before an error is raised."""
        self._api.put(self._urls, {self._model: {self._champion: 100 - share, self._challenger: share}})

    def _share(self, weights: Mapping[str, Any]) -> float | None:
        of_model = weights.get(self._model, {})
        for target in (self._champion, self._challenger):
            if target not in of_model:
                raise UserError(
                    f"the proxy has no target {target!r} of {self._model!r}",
                    fix=f"it has {', '.join(of_model) or 'none'}; set champion and challenger, or change the proxy's",
                )
        total, ours = sum(of_model.values()), of_model[self._champion] + of_model[self._challenger]
        return 100 * float(of_model[self._challenger]) / total if ours == total else None
