"""Which versions of a model the model servers have loaded, by their own word: `GET /v1/models/NAME`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import urllib3

from taxiway.network import http_client

_SECONDS = 2.0
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Served:
    """What a server says of a model.

    Attributes:
        server: Its address.
        states: The state of each version that it knows, by number: `AVAILABLE`, `LOADING` and the like.
        problem: Why it is not known; empty if it is.
    """

    server: str
    states: dict[int, str]
    problem: str = ""


def by(servers: Sequence[str], model: str) -> list[Served]:
    """What each server says of a model. Servers that lack it are left out."""
    found = [_asked(server, model) for server in servers]
    return [each for each in found if each.states or each.problem]


def _asked(server: str, model: str) -> Served:
    url = f"{server if '://' in server else f'http://{server}'}".rstrip("/") + f"/v1/models/{quote(model, safe='')}"
    try:
        answer = http_client.pool(seconds=_SECONDS).request("GET", url, redirect=False, preload_content=False)
        with answer:
            body = answer.read(_MOST_BYTES)
        if answer.status == 404:
            return Served(server, {})
        statuses = json.loads(body)["model_version_status"]
        return Served(server, {int(each["version"]): str(each["state"]) for each in statuses})
    except urllib3.exceptions.HTTPError as error:
        return Served(server, {}, f"does not answer: {error}")
    except (ValueError, KeyError, TypeError):
        return Served(server, {}, "does not answer as a model server does")
