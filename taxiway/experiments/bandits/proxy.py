"""The weights of `taxiway route`, by its admin API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from components.contract.errors import UserError
from taxiway.network.admin_api import AdminApi


@cache
def _api() -> AdminApi:
    return AdminApi("start the proxy, or give its admin API with --admin")


def read(url: str, model: str) -> dict[str, float]:
    """The weights of a model's targets.

    Raises:
        ServiceError: The proxy does not answer.
        UserError: It does not know the model.
    """
    found = _api().get(url)
    if model not in found:
        raise UserError(f"the proxy at {url} has no model {model!r}", fix=f"it has {', '.join(found) or 'none'}")
    return {target: float(weight) for target, weight in found[model].items()}


def write(urls: Sequence[str], model: str, weights: Mapping[str, float]) -> None:
    """Sets the weights in every proxy, as `AdminApi.put` does."""
    _api().put(urls, {model: weights})
