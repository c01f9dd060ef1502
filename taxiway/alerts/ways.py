"""What all ways out have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import urllib3

from components.contract.errors import UserError
from taxiway.alerts.message import Message
from taxiway.alerts.secret import Secret, is_secret
from taxiway.network.http_client import pool

SECONDS = 5.0
"""The timeout for connecting and for each read."""

_ANSWER_BYTES = 300


class NotTakenError(Exception):
    """A receiver did not take a message, for a reason that has no secret in it."""


class Way(Protocol):
    """A way out."""

    @property
    def name(self) -> str:
        """Its name: what it has taken is kept under it."""

    @property
    def events(self) -> tuple[str, ...]:
        """The events that it tells."""

    def tell(self, message: Message) -> None:
        """Tells a message; raises NotTakenError."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Sends JSON.

    Raises:
        NotTakenError: The receiver is away, or answers with another status than 2xx.
    """
    host = urlsplit(url).hostname or ""  # paths such as Slack's are secrets
    try:
        with pool(seconds=SECONDS) as http:
            answer = http.request(
                "POST",
                url,
                body=body,
                headers={"Content-Type": "application/json", **headers},
                redirect=False,
                preload_content=False,
            )
            said = answer.read1(_ANSWER_BYTES) if answer.status >= 300 else b""
            answer.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise NotTakenError(f"{host} does not answer: {type(error).__name__}") from None
    if answer.status >= 300:
        raise NotTakenError(f"{host} answers {answer.status}: {' '.join(said.decode(errors='replace').split())}")


def address(text: str) -> str:
    """A URL, perhaps from a secret.

    Raises:
        NotTakenError: The secret is not there.
    """
    return revealed(text) if is_secret(text) else text


def revealed(place: str) -> str:
    """A secret.

    Raises:
        NotTakenError: It is not there.
    """
    try:
        return Secret(place).read()
    except UserError as error:
        raise NotTakenError(error.what) from None
