"""The settings of the server of pages, and which of them are refused."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.contract import files
from components.contract.commands import typed
from components.contract.errors import UserError
from taxiway.network.tls import Tls
from taxiway.storage.home import Home

PORT = 8700
_LEAST_LETTERS = 16


@dataclass(frozen=True)
class Settings:
    """A server's settings.

    Attributes:
        home: Where runs and artifacts are.
        host: The address to listen on.
        port: The port; 0 picks a free one.
        token: What clients have to know; empty if none is needed.
        tls: Certificates; None for plain HTTP.
        names: Names of the server, besides its own, that browsers may call it by.
        servers: The REST addresses of model servers, to ask which versions they serve.
        destinations: Further places that models are pushed to.
        tables: The folder or URL with the tables of watched models; empty for the home's.
        refresh: Copies runs from elsewhere into the home, and returns what went wrong; None for this machine's own.
    """

    home: Home
    host: str = "127.0.0.1"
    port: int = PORT
    token: str = ""
    tls: Tls | None = None
    names: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    tables: str = ""
    refresh: Callable[[], list[str]] | None = None

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "https" if self.tls else "http"

    @property
    def known_names(self) -> frozenset[str]:
        """The names in requests' Host headers that are accepted, besides addresses in digits."""
        own = {"localhost", self.host, *self.names}
        others = set() if is_loopback(self.host) else {socket.gethostname(), socket.getfqdn()}
        return frozenset(name.lower() for name in own | others)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def require_closed(settings: Settings) -> None:
    """Refuses to show the pages to other machines without knowing who asks.

    Raises:
        UserError: The host is not loopback, and there is neither a token nor a CA certificate of clients.
    """
    if is_loopback(settings.host) or settings.token or (settings.tls and settings.tls.ca):
        return
    raise UserError(
        f"anyone who reaches {settings.host} could read every artifact and start runs",
        fix=typed("taxiway ui --host", settings.host, "--token-file", settings.home.root / "ui.token"),
    )


def token_in(file: Path | None) -> str:
    """The token in a file; a new one is made if the file is missing.

    Raises:
        UserError: The file cannot be used, or its token is too short to be secret.
    """
    if file is None:
        return ""
    try:
        if not file.exists():
            _make(file)
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UserError(f"the token file {file} cannot be used: {reason}", fix="give another file") from error
    if len(token) < _LEAST_LETTERS or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(
            f"the token in {file} is not one word of at least {_LEAST_LETTERS} ASCII characters",
            fix=f"{typed('rm', file)}; the next start makes a new one",
        )
    return token


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(file) as partial:
        partial.touch(0o600)
        partial.write_text(f"{secrets.token_urlsafe(24)}\n")
