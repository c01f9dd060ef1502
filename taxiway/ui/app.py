"""The application: every room's routes, each request guarded, each error a page or JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web
from multidict import MultiDict

from components.contract.errors import TaxiwayError, UserError
from components.reports.page import Section
from components.reports.parts import notice
from taxiway.network import http_server
from taxiway.ui import guard, layout, login
from taxiway.ui.rooms import ROOMS
from taxiway.ui.settings import Settings
from taxiway.ui.views import Action, Asked, Data, MissingError, Page, Raw, Room, Route, Site, View

_JSON = "application/json"
_MOST_FORM_BYTES = 1 << 20
_SECONDS_OF_FORM = 10.0

_log = logging.getLogger(__name__)


def application(settings: Settings, site: Site, rooms: Sequence[Room] = ROOMS) -> web.Application:
    """All pages."""
    app = web.Application(middlewares=[_Middleware(settings, site, rooms)], client_max_size=_MOST_FORM_BYTES)
    app.on_response_prepare.append(_prepared)
    app.router.add_get("/", _first)
    app.router.add_get("/static/{name}", _static)
    app.router.add_get(guard.LOGIN, login.page(settings))
    app.router.add_post(guard.LOGIN, login.taken(settings))
    for room in rooms:
        for route in room.routes:
            _add(app.router, route, _Rendering(site, rooms, room))
    return app


async def _prepared(request: web.Request, response: web.StreamResponse) -> None:
    guard.add_headers(response.headers)


async def _first(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": ROOMS[0].path})


async def _static(request: web.Request) -> web.StreamResponse:
    found = layout.files().get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    headers = {"ETag": f'"{found.etag}"', "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    response = web.Response(body=found.content, content_type=found.kind, charset="utf-8", headers=headers)
    return await http_server.compressed(response, request)


@dataclass(frozen=True)
class _Rendering:
    """Calls a room's functions in threads, and makes responses of what they return."""

    site: Site
    rooms: Sequence[Room]
    room: Room | None = None

    async def page(self, request: web.Request, route: Page) -> web.StreamResponse:
        cookie = guard.cookie_of(request) or guard.new_cookie()
        asked = replace(_asked(request), form_token=guard.form_token(self.site.secret, cookie))
        response = await asyncio.to_thread(self._shown, route, asked, request)
        if guard.cookie_of(request) != cookie:
            response.set_cookie(
                guard.COOKIE, cookie, httponly=True, samesite="Lax", secure=request.scheme == "https", path="/"
            )
        return await http_server.compressed(response, request)

    def _shown(self, route: Page, asked: Asked, request: web.Request) -> web.Response:
        return self.response(route.show(self.site, asked), request)

    def response(self, view: View, request: web.Request) -> web.Response:
        """A view as HTML or JSON, as the request wants it."""
        if wants_json(request):
            return _json(view.document(), view.status)
        address = _json_address(request) if view.status == 200 else ""
        html = layout.render(view, rooms=self.rooms, current=self.room, json=address)
        return web.Response(
            body=html.encode("utf-8", "replace"), status=view.status, content_type="text/html", charset="utf-8"
        )

    async def action(self, request: web.Request, route: Action) -> web.StreamResponse:
        form = await _form(request)
        guard.require_form_token(request, self.site.secret, str(form.get(guard.FIELD, "")))
        place = await asyncio.to_thread(route.act, self.site, replace(_asked(request), form=form))
        return web.Response(status=303, headers={"Location": place})

    async def data(self, request: web.Request, route: Data) -> web.StreamResponse:
        return _json(await asyncio.to_thread(route.answer, self.site, _asked(request)))


def _add(router: web.UrlDispatcher, route: Route, rendering: _Rendering) -> None:
    if isinstance(route, Page):

        async def page(request: web.Request, route: Page = route) -> web.StreamResponse:
            return await rendering.page(request, route)

        router.add_get(f"{route.path}.json", page)
        router.add_get(route.path, page)
    elif isinstance(route, Action):

        async def action(request: web.Request, route: Action = route) -> web.StreamResponse:
            return await rendering.action(request, route)

        router.add_post(route.path, action)
    elif isinstance(route, Data):

        async def data(request: web.Request, route: Data = route) -> web.StreamResponse:
            return await rendering.data(request, route)

        router.add_get(route.path, data)
    else:

        async def raw(request: web.Request, route: Raw = route) -> web.StreamResponse:
            return await route.handle(rendering.site, request)

        router.add_get(route.path, raw)


def _asked(request: web.Request) -> Asked:
    return Asked(request.match_info, request.query, MultiDict())


async def _form(request: web.Request) -> MultiDict[str]:
    if request.content_type != "application/x-www-form-urlencoded":
        raise guard.RefusedError(415, "a form has to be sent as application/x-www-form-urlencoded")
    async with asyncio.timeout(_SECONDS_OF_FORM):
        return MultiDict((name, str(value)) for name, value in (await request.post()).items())


def wants_json(request: web.Request) -> bool:
    """Whether a request asks for the document instead of the page."""
    accepted = request.headers.get("Accept", "")
    return (
        request.path.endswith(".json")
        or request.query.get("format") == "json"
        or (_JSON in accepted and "text/html" not in accepted)
    )


def _json(document: Any, status: int = 200) -> web.Response:
    try:
        body = _dumped(document)
    except TypeError:  # names may have lone surrogates, which UTF-8 cannot have
        body = _dumped(_encodable(document))
    return web.Response(body=body, status=status, content_type=_JSON)


def _dumped(document: Any) -> bytes:
    return orjson.dumps(document, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    return [_encodable(each) for each in value] if isinstance(value, list | tuple) else value


def _json_address(request: web.Request) -> str:
    path = request.rel_url.raw_path
    return f"{path}.json{f'?{request.rel_url.raw_query_string}' if request.rel_url.raw_query_string else ''}"


class _Middleware:
    """Guards each request, and answers errors. aiohttp calls it for each request."""

    __middleware_version__ = 1

    def __init__(self, settings: Settings, site: Site, rooms: Sequence[Room]) -> None:
        self._settings = settings
        self._rendering = _Rendering(site, rooms)

    async def __call__(self, request: web.Request, handler: guard.Handler) -> web.StreamResponse:
        try:
            guard.require_own_name(request, self._settings)
            guard.require_own_site(request)
            if not guard.is_known(request, self._settings.token):
                return self._unknown(request)
            return await handler(request)
        except web.HTTPException as error:
            return self._error(request, error.status, f"{error.reason}: {request.path}", "", error.headers)
        except TaxiwayError as error:
            return self._error(request, _status(error), error.what, error.fix)
        except TimeoutError:
            return self._error(request, 408, "the form did not arrive in time", "")
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return self._error(request, 500, "this page cannot be shown: a bug", "see the server's messages")

    def _unknown(self, request: web.Request) -> web.StreamResponse:
        if wants_json(request) or request.method != "GET":
            fix = "send the header Authorization: Bearer TOKEN"
            return self._error(request, 401, "this server needs its token", fix, {"WWW-Authenticate": "Bearer"})
        onward = quote(request.rel_url.raw_path_qs, safe="")
        return web.Response(status=303, headers={"Location": f"{guard.LOGIN}?next={onward}"})

    def _error(
        self, request: web.Request, status: int, what: str, fix: str, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        kept = {name: value for name, value in (headers or {}).items() if name in ("Allow", "WWW-Authenticate")}
        response = self._rendering.response(_error_view(status, what, fix), request)
        response.headers.update(kept)
        return response


def _status(error: TaxiwayError) -> int:
    if isinstance(error, guard.RefusedError):
        return error.status
    if isinstance(error, MissingError):
        return 404
    return 400 if isinstance(error, UserError) else 503


def _error_view(status: int, what: str, fix: str) -> View:
    def sections() -> list[Section]:
        told = what + (f"\nFix: {fix}" if fix else "")
        return [Section("error", "", notice(told, "bad"))]

    title = {401: "Log in", 403: "Refused", 404: "Not found", 421: "Refused"}.get(status, "This did not work")
    return View(title, sections, lambda: {"error": what, "fix": fix}, status=status)
