"""How a client identifies itself to Kubeflow: a token, a cookie of the login page, or a header."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contract.errors import UserError

AUDIENCE = "pipelines.kubeflow.org"
"""The audience of tokens for Kubeflow Pipelines."""


@dataclass(frozen=True)
class Login:
    """Where the user's identity comes from; without any, requests are anonymous.

    Attributes:
        token_file: File with a token, usually of a service account.
        cookie_file: File with the cookies of a session, in the form `NAME=VALUE; NAME=VALUE`.
        header: A header in the form `NAME: VALUE`.
    """

    token_file: Path | None = None
    cookie_file: Path | None = None
    header: str = ""

    def headers(self) -> dict[str, str]:
        """The headers of a request. The files are read again, so that they can be renewed while a run is followed.

        Raises:
            UserError: A file or the header cannot be used.
        """
        found = dict([_split(self.header)]) if self.header else {}
        if self.token_file:
            found["Authorization"] = f"Bearer {_read('token', self.token_file)}"
        if self.cookie_file:
            found["Cookie"] = _cookies(self.cookie_file)
        return found

    def __bool__(self) -> bool:
        return bool(self.token_file or self.cookie_file or self.header)

    def __str__(self) -> str:
        if self.token_file:
            return f"the token in {self.token_file}"
        return f"the cookies in {self.cookie_file}" if self.cookie_file else f"the header {self.header!r}"

    def flaw(self) -> str:
        """Why a server may have rejected it."""
        claims = _claims(_read("token", self.token_file)) if self.token_file else {}
        expires, audiences = claims.get("exp"), claims.get("aud", AUDIENCE)
        if isinstance(expires, int | float) and expires < time.time():
            return f"which expired at {datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M} UTC"
        if AUDIENCE not in ([audiences] if isinstance(audiences, str) else audiences):
            return f"whose audience is {audiences}, not {AUDIENCE}"
        return "which may have expired"

    def renewal(self, namespace: str) -> str:
        """The command or change that renews it."""
        if self.token_file:
            return f"{new_token(namespace)} > {self.token_file}"
        if self.cookie_file:
            return f"log in with a browser, and write the session's cookie to {self.cookie_file}"
        return "give a token: --token-file FILE"


ANONYMOUS = Login()


def new_token(namespace: str) -> str:
    """The command that prints a token for a namespace."""
    return f"kubectl create token default-editor --audience {AUDIENCE} --namespace {namespace or 'NAMESPACE'}"


def _read(what: str, file: Path) -> str:
    """The content of a file, which must fit in a header."""
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(f"the {what} file {file} cannot be read: {reason}") from error
    if not re.fullmatch(r"[\x20-\x7e]+", text):
        raise UserError(f"the {what} file {file} is empty, or has more than one line of plain ASCII")
    return text


def _cookies(file: Path) -> str:
    text = _read("cookie", file)
    if not re.fullmatch(r"[^=;\s]+=[^;]*(; *[^=;\s]+=[^;]*)*;?", text):
        raise UserError(
            f"the cookie file {file} is not of the form NAME=VALUE",
            fix="copy the session's cookie from the browser, as oauth2_proxy_kubeflow=VALUE",
        )
    return text


def _split(header: str) -> tuple[str, str]:
    match = re.fullmatch(r"([\w-]+):\s*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)\s*", header, flags=re.ASCII)
    if not match:
        raise UserError(
            f"the header {header!r} is not of the form NAME: VALUE", fix="write --header 'kubeflow-userid: EMAIL'"
        )
    return match[1], match[2]


def _claims(token: str) -> dict[str, Any]:
    """What a JSON web token says of itself; empty for other tokens."""
    part = f"{token}..".split(".")[1]
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
