"""The admin API of `taxiway route`: weights and versions of its targets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from urllib3.exceptions import HTTPError

from components.contract.errors import ServiceError, UserError
from taxiway.network import http_client

_SECONDS = 2.0


class AdminApi:
    """A client of proxies.

    Args:
        fix: What a user can do about a proxy that does not answer.
    """

    def __init__(self, fix: str) -> None:
        self._fix, self._pool = fix, http_client.pool(seconds=_SECONDS)

    def get(self, url: str, path: str = "weights") -> Any:
        """What a proxy has at a path.

        Raises:
            ServiceError: It does not answer.
            UserError: It refuses.
        """
        return self._ask(url, "GET", path)

    def put(self, urls: Sequence[str], weights: Mapping[str, Mapping[str, float]]) -> None:
        """Sets the weights in every proxy; all are tried before an error is raised.

        Args:
            urls: The URLs of the proxies.
            weights: The weights by model and target.

        Raises:
            ServiceError: One does not answer.
            UserError: One refuses.
        """
        failures = list[Exception]()
        for url in urls:
            try:
                self._ask(
                    url, "PUT", "weights", json.dumps({model: dict(each) for model, each in weights.items()}).encode()
                )
            except (ServiceError, UserError) as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _ask(self, url: str, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            answer = self._pool.request(method, f"{url.rstrip('/')}/{path}", body=body, redirect=False)
            found = json.loads(answer.data)
        except (HTTPError, OSError) as error:
            raise ServiceError(f"the proxy's admin API at {url} does not answer", fix=self._fix) from error
        except ValueError as error:
            raise ServiceError(f"{url} is not the admin API of a proxy", fix=self._fix) from error
        if answer.status != 200:
            said = found if isinstance(found, dict) else {}
            why = said.get("error", answer.status)
            raise UserError(f"the proxy at {url} refuses weights: {why}", fix=str(said.get("fix", self._fix)))
        return found
