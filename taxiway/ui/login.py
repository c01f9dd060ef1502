"""The page that asks for the token, if the server has one."""

from __future__ import annotations

from aiohttp import web
from markupsafe import Markup

from components.reports.page import Section
from components.reports.parts import notice, stack
from taxiway.ui import forms, guard, layout
from taxiway.ui.settings import Settings
from taxiway.ui.views import View

_YEAR = 365 * 24 * 3600


def _view(onward: str, hint: str = "", status: int = 200) -> View:
    def sections() -> list[Section]:
        entry = forms.field("token", "Token", type_="password")
        onward_field = Markup('<input type="hidden" name="next" value="{}">').format(onward)
        form = Markup('<form method="post" action="/login" class="doing">{}</form>').format(
            stack(entry, onward_field, forms.button("Log in"))
        )
        return [Section("login", "", stack(notice(hint, "bad") if hint else None, form))]

    return View("Log in", sections, dict, "The token is in the file that the server was started with.", status=status)


def _response(view: View) -> web.Response:
    html = layout.render(view, rooms=(), current=None, json="")
    return web.Response(text=html, status=view.status, content_type="text/html")


def page(settings: Settings) -> guard.Handler:
    """Shows the form, if there is a token to ask for."""

    async def show(request: web.Request) -> web.StreamResponse:
        onward = _here(request.query.get("next", "/"))
        if not settings.token:
            return web.Response(status=303, headers={"Location": onward})
        return _response(_view(onward))

    return show


def taken(settings: Settings) -> guard.Handler:
    """Takes the token, and lets the browser in."""

    async def take(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        onward = _here(str(form.get("next", "/")))
        if not settings.token or not guard.same(str(form.get("token", "")).strip(), settings.token):
            return _response(_view(onward, "This is not the token.", 403))
        response = web.Response(status=303, headers={"Location": onward})
        response.set_cookie(
            guard.session_name(settings.token),
            guard.session_value(settings.token),
            max_age=_YEAR,
            httponly=True,
            samesite="Lax",
            secure=settings.tls is not None,
        )
        return response

    return take


def _here(place: str) -> str:
    """A place on this server; never one elsewhere."""
    is_here = place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable()
    return place if is_here else "/"
