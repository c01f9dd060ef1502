"""The HTTP client uses no proxy, follows no redirect and does not retry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import urllib3

from taxiway.network import http_client


class _Asked(HTTPServer):
    requests = 0


class _Handler(BaseHTTPRequestHandler):
    server: _Asked

    def do_GET(self) -> None:
        self.server.requests += 1
        if self.path == "/broken":
            self.close_connection = True
            return
        self.send_response(302)
        self.send_header("Location", "/login")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture
def server() -> Iterator[_Asked]:
    with _Asked(("127.0.0.1", 0), _Handler) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_there_is_no_proxy_redirect_or_retry(server: _Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with http_client.pool(seconds=10) as pool:
        url = f"http://127.0.0.1:{server.server_port}"
        assert pool.request("GET", f"{url}/", redirect=False).status == 302
        with pytest.raises(urllib3.exceptions.ProtocolError):
            pool.request("GET", f"{url}/broken", redirect=False)
    assert server.requests == 2
