"""The weights of `taxiway route`, by its admin API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from urllib3.exceptions import HTTPError

from components.contract.errors import ServiceError, UserError
from taxiway.network import http_client

_SECONDS = 2.0
_FIX = "start the proxy, or give its admin API with --admin"


def read(url: str, model: str) -> dict[str, float]:
    """The weights of a model's targets.

    Raises:
        ServiceError: The proxy does not answer.
        UserError: It does not know the model.
    """
    found = _asked(url, "GET")
    if model not in found:
        raise UserError(f"the proxy at {url} has no model {model!r}", fix=f"it has {', '.join(found) or 'none'}")
    return {target: float(weight) for target, weight in found[model].items()}


def write(urls: Sequence[str], model: str, weights: Mapping[str, float]) -> None:
    """Sets the weights in every proxy; all are tried before an error is raised.

    Raises:
        ServiceError: One does not answer.
        UserError: One refuses.
    """
    failures = list[Exception]()
    for url in urls:
        try:
            _asked(url, "PUT", {model: dict(weights)})
        except (ServiceError, UserError) as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _asked(url: str, method: str, body: Any = None) -> Any:
    sent = None if body is None else json.dumps(body).encode()
    try:
        pool = http_client.pool(seconds=_SECONDS)
        answer = pool.request(method, f"{url.rstrip('/')}/weights", body=sent, redirect=False)
        found = json.loads(answer.data)
    except (HTTPError, OSError) as error:
        raise ServiceError(f"the proxy's admin API at {url} does not answer", fix=_FIX) from error
    except ValueError as error:
        raise ServiceError(f"{url} is not the admin API of a proxy", fix=_FIX) from error
    if answer.status != 200:
        raise UserError(f"the proxy at {url} refuses the weights: {found.get('error', answer.status)}", fix=_FIX)
    return found
