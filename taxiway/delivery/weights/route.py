"""The weights of `taxiway route`, by its admin API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from urllib3.exceptions import HTTPError

from components.contract.errors import ServiceError, UserError
from taxiway.network import http_client

_SECONDS = 2.0
_FIX = "start the proxy, or give its admin API in weights.route"


class RouteWeights:
    """Several proxies get the same weights."""

    def __init__(self, urls: tuple[str, ...], model: str, champion: str, challenger: str) -> None:
        self._urls, self._model = urls, model
        self._champion, self._challenger = champion, challenger
        self._pool = http_client.pool(seconds=_SECONDS)

    def read(self) -> float | None:
        """See `Weights`."""
        shares = {self._share(self._ask(url, "GET")) for url in self._urls}
        return shares.pop() if len(shares) == 1 else None

    def require(self, champion: int, challenger: int | None) -> None:
        """See `Weights`."""
        for url in self._urls:
            answering = self._ask(url, "GET", path="versions").get(self._model, {})
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
        wanted = {self._model: {self._champion: 100 - share, self._challenger: share}}
        failures = list[Exception]()
        for url in self._urls:
            try:
                self._ask(url, "PUT", wanted)
            except (ServiceError, UserError) as error:
                failures.append(error)
        if failures:
            raise failures[0]

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

    def _ask(self, url: str, method: str, body: Any = None, path: str = "weights") -> Any:
        sent = None if body is None else json.dumps(body).encode()
        try:
            answer = self._pool.request(method, f"{url}/{path}", body=sent, redirect=False)
            found = json.loads(answer.data)
        except (HTTPError, OSError) as error:
            raise ServiceError(f"the proxy's admin API at {url} does not answer", fix=_FIX) from error
        except ValueError as error:
            raise ServiceError(f"{url} is not the admin API of a proxy", fix=_FIX) from error
        if answer.status != 200:
            said = found.get("error", answer.status) if isinstance(found, dict) else answer.status
            raise UserError(f"the proxy at {url} refuses weights: {said}", fix=str(found.get("fix", _FIX)))
        return found
