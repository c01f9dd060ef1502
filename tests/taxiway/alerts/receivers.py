"""Receivers on loopback, and a model with alarms for them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests import loopback
from tests.components.monitoring.alarms.windows import HOUR, START, STRONG, Decided, Watch, categories, numbers

NOW = START + HOUR


@dataclass
class Receiver:
    """An HTTP server that keeps what it gets.

    Attributes:
        url: Its URL.
        requests: The path, the headers and the body of each request.
        statuses: The status of each next answer; 200 if there is none left.
    """

    url: str = ""
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)

    @property
    def bodies(self) -> list[Any]:
        return [body for _, _, body in self.requests]


@contextmanager
def receiver(answer: Callable[[str, Any], Any] = lambda path, body: {}) -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append((self.path, dict(self.headers), json.loads(body)))
            found.came.set()
            status = found.statuses.pop(0) if found.statuses else 200
            said = json.dumps(answer(self.path, json.loads(body))).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *arguments: Any) -> None:
            pass

    with loopback.serving(Handler) as found.url:
        yield found


def two_alarms(folder: Path) -> Watch:
    """A model with two open alarms, one of them without a picture."""
    watch = Watch(folder)
    miles = numbers("trip_miles", [5.1, 4.9, 7.0] * 300)
    payment = categories("payment_type", {"Cash": 859, "Prcard": 41}, ["Credit Card", "Cash"])
    watch.see(
        0,
        STRONG,
        Decided("payment_type", 1e-9, "unseen", effect=0.041, effect_unit="share of rows", importance=0.9),
        Decided("gone", 1e-9, importance=0.0),
        summaries={"trip_miles": miles, "payment_type": payment},
    )
    return watch


def close_all(watch: Watch) -> None:
    for number in (1, 2, 3):
        watch.see(number)
