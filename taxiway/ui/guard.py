"""Who may ask for what: names of the server, other sites, tokens, and the headers that keep pages harmless.

- DNS rebinding: the Host header has to name this server, or be an address in digits.
- Other sites: they may link to pages, and nothing else. A form needs a token that only our own pages have, in a field,
  and signed for a cookie; the Origin header has to be ours if there is one.
- Other machines: with a token, every request needs it, as a cookie of `/login` or as `Authorization: Bearer`.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from multidict import CIMultiDict

from components.contract.errors import UserError
from taxiway.ui.settings import Settings

COOKIE = "taxiway"
FIELD = "form_token"
LOGIN = "/login"
OPEN_PATHS = ("/static/", LOGIN)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_COOKIE = re.compile(r"[\w-]{20,64}")
_READING = ("GET", "HEAD")
_HERE = ("same-origin", "none")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RefusedError(UserError):
    """A request that is refused: its status, and why."""

    def __init__(self, status: int, what: str, *, fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.status = status


def require_own_name(request: web.Request, settings: Settings) -> None:
    """Refuses a name of the server that is not its own, as after DNS rebinding."""
    name = _name(request.headers.get("Host", ""))
    if name.lower() in settings.known_names or _is_address(name):
        return
    raise RefusedError(
        421, f"this server is not called {name!r}", fix="open the printed address, or start with --name NAME"
    )


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def require_own_site(request: web.Request) -> None:
    """Refuses what pages of other sites ask for, except for links to ours."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "none")
    if request.method not in _READING:
        # Only the name and the port: behind a proxy, the scheme may differ.
        is_ours = origin is None or urlsplit(origin).netloc == request.headers.get("Host", "")
        if not is_ours or site not in _HERE:
            raise RefusedError(
                403, "this request comes from a page of another site", fix="use the form on our own page"
            )
    elif site not in _HERE and request.headers.get("Sec-Fetch-Mode") != "navigate":
        raise RefusedError(403, "pages of other sites may link to this page, but not load it", fix="follow the link")


def form_token(secret: bytes, cookie: str) -> str:
    """What a form has to send back, for a browser with this cookie."""
    return hmac.new(secret, cookie.encode(), hashlib.sha256).hexdigest()


def cookie_of(request: web.Request) -> str:
    """The browser's cookie; empty if it has none."""
    found = request.cookies.get(COOKIE, "")
    return found if _COOKIE.fullmatch(found) else ""


def new_cookie() -> str:
    """A cookie for a browser that has none."""
    return secrets.token_urlsafe(24)


def require_form_token(request: web.Request, secret: bytes, given: str) -> None:
    """Refuses a form that does not come from one of our pages in the same browser."""
    cookie = cookie_of(request)
    if not cookie or not hmac.compare_digest(form_token(secret, cookie).encode(), given.encode("utf-8", "replace")):
        raise RefusedError(
            403,
            "the form is not from a page of this server, or the server was started again since",
            fix="open the page again, and send the form from there",
        )


def session_name(token: str) -> str:
    """The name of the cookie that says that a browser knows the token: servers on other ports have others."""
    return f"taxiway-{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def session_value(token: str) -> str:
    """The content of that cookie."""
    return hmac.new(token.encode(), b"login", hashlib.sha256).hexdigest()


def is_known(request: web.Request, token: str) -> bool:
    """Whether a client has shown that it knows the token."""
    if not token or request.path.startswith(OPEN_PATHS):
        return True
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    session = request.cookies.get(session_name(token), "")
    return same(bearer, token) or same(session, session_value(token))


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def add_headers(headers: CIMultiDict[str]) -> None:
    """Adds the headers of every response, except for those that it sets itself."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
