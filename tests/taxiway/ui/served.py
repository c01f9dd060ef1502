"""The pages on loopback, and a client that follows no redirects."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlencode

import urllib3
from aiohttp import web

from taxiway.network.http_server import Runner
from taxiway.storage.home import Home
from taxiway.ui.app import application
from taxiway.ui.server import site_of
from taxiway.ui.settings import Settings
from taxiway.ui.views import Site


@dataclass
class Client:
    """A browser's cookies, and the address of the server."""

    origin: str
    site: Site
    cookies: dict[str, str] = field(default_factory=dict)
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False))

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> urllib3.BaseHTTPResponse:
        """Sends a request; `_` in the names of headers is `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        answer = self.pool.request(method, self.origin + path, body=body or None, headers=sent, redirect=False)
        for cookie in answer.headers.getlist("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """Gets a page."""
        return self.ask("GET", path, **headers)

    def json(self, path: str) -> Any:
        """Gets a document."""
        return json.loads(self.get(path, Accept="application/json").data)

    def html(self, path: str) -> str:
        """Gets a page that has to be there."""
        answer = self.get(path)
        assert answer.status == 200, answer.data.decode()
        return answer.data.decode()

    def send(self, path: str, fields: Mapping[str, str], **headers: str) -> urllib3.BaseHTTPResponse:
        """Sends a form."""
        body = urlencode(fields)
        return self.ask("POST", path, body, Content_Type="application/x-www-form-urlencoded", **headers)

    def form_token(self, path: str) -> str:
        """The token in the form of a page."""
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', unescape(self.html(path)))
        assert found
        return found[1]


@contextmanager
def served(home: Home, **settings: Any) -> Iterator[Client]:
    """A server in a thread, on a free port."""
    given = Settings(home, **{"port": 0, **settings})
    site = site_of(given, b"s" * 32)
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ports: list[int] = []
    stopped = asyncio.Event()

    async def serve() -> None:
        runner = Runner(application(given, site))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, shutdown_timeout=1).start()
        ports.append(runner.addresses[0][1])
        ready.set()
        await stopped.wait()
        await runner.cleanup()

    def work() -> None:
        # All of the loop is in this thread: Playwright has one of its own in the thread of the test.
        loop.run_until_complete(serve())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(30)
        yield Client(f"http://127.0.0.1:{ports[0]}", site)
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
