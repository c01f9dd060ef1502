"""The admin API of `taxiway route`, where something else answers."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

from components.contract.errors import ServiceError, UserError
from taxiway.network.admin_api import AdminApi
from tests import loopback


def handler(status: int, content: bytes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


@pytest.mark.parametrize(
    ("content", "said", "fix"),
    [
        (b'{"error": "no model", "fix": "name another"}', "no model", "name another"),
        (b'{"error": "no model"}', "no model", "start it"),
        (b'["no", "map"]', "502", "start it"),
    ],
)
def test_a_refusal_says_why_whatever_it_is(content: bytes, said: str, fix: str) -> None:
    with (
        loopback.serving(handler(502, content)) as url,
        pytest.raises(UserError, match=f"refuses weights: {said}") as of,
    ):
        AdminApi("start it").put([url], {"taxi": {"stable": 1.0}})
    assert of.value.fix == fix


def test_something_else_at_the_address_is_told() -> None:
    with loopback.serving(handler(200, b"<html>")) as url, pytest.raises(ServiceError, match="is not the admin API"):
        AdminApi("start it").put([url], {"taxi": {"stable": 1.0}})
