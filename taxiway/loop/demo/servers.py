"""The processes of the demo: the model server, the proxy, the monitor and the loop."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from components.contract.commands import typed
from components.contract.errors import ServiceError, UserError
from taxiway.loop.demo.ground import MODEL, Ground
from taxiway.monitoring.demo import shown, taxiway
from taxiway.network import http_client
from taxiway.runs import cancel, folders

_SECONDS = 180.0
_ANY = ["--port", "0", "--rest-port", "0"]


@contextmanager
def server(ground: Ground) -> Iterator[str]:
    """A model server that records every request. Gives its gRPC address."""
    addresses = ground.root / "server.addresses"
    options = ["--config", str(ground.root / "served/models.config"), "--poll-seconds", "1", *_ANY]
    recording = ["--inference-tables", str(ground.tables), "--inference-share", "1"]
    with process(ground, "serve", *options, *recording, "--address-file", str(addresses)) as started:

        def is_up() -> bool:
            return addresses.exists() and _is_loaded(addresses.read_text().split()[1])

        _await(started, is_up, "the model server", ground.root / "serve.log")
        yield addresses.read_text().split()[0]


@contextmanager
def proxy(ground: Ground, backend: str) -> Iterator[tuple[str, str]]:
    """A proxy before it. Gives its gRPC address, and the URL of its admin API."""
    addresses = ground.root / "proxy.addresses"
    options = ["--listen-port", "0", "--rest-port", "0", "--admin-port", "0", "--address-file", str(addresses)]
    split = ["--model", MODEL, "--backend", backend, "--split", "stable=100,canary=0"]
    with process(ground, "route", *split, *options) as started:
        _await(started, addresses.exists, "the proxy", ground.root / "route.log")
        grpc, _, admin = addresses.read_text().split()
        yield grpc, f"http://{admin}"


@contextmanager
def process(ground: Ground, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `taxiway` command that ends with the block."""
    started = start(ground, *arguments)
    try:
        yield started
    finally:
        stop(started)


def start(ground: Ground, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a `taxiway` command; what it says is in `<command>.log`."""
    with (ground.root / f"{arguments[0]}.log").open("ab") as log:
        return subprocess.Popen(taxiway(*arguments), stdout=log, stderr=log, env=ground.variables)


def stop(started: subprocess.Popen[bytes]) -> None:
    """Ends a process."""
    started.terminate()
    try:
        started.wait(30)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()


@dataclass
class Watched:
    """The monitor and the loop, which must not end.

    Attributes:
        ground: The demo's folder.
        processes: The processes, by name.
    """

    ground: Ground
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for name in ("monitor", "loop"):
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.processes.values():
            stop(each)
        # A run outlives the loop that has started it.
        for run in folders.living(self.ground.home):
            with suppress(UserError):  # it has ended meanwhile
                cancel.request(run, self.ground.home)

    def start(self, name: str) -> None:
        """Starts one of them."""
        settings = self.ground.root / f"{name}.yaml"
        words = {
            "monitor": (MODEL, "--tables", str(self.ground.tables), "--settings", str(settings), "--every", "2s"),
            "loop": ("run", str(settings), "--every", "1s"),
        }
        self.processes[name] = start(self.ground, name, *words[name])

    def check(self) -> None:
        """Raises ServiceError if one has ended."""
        for name, each in self.processes.items():
            if each.poll() is not None:
                log = self.ground.root / f"{name}.log"
                raise ServiceError(f"{name} has ended: {last_words(log)}", fix=f"see {log}")


def _await(started: subprocess.Popen[bytes], is_up: Callable[[], bool], what: str, log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while not is_up():
        if started.poll() is not None or time.monotonic() > end:
            raise ServiceError(f"{what} does not start: {last_words(log)}", fix=f"see {log}")
        time.sleep(0.1)


def last_words(log: Path) -> str:
    """The last line of a log."""
    return " ".join(log.read_text(errors="replace").strip().splitlines()[-1:])


def _is_loaded(rest: str) -> bool:
    answer = http_client.pool(seconds=5).request("GET", f"http://{rest}/v1/models/{MODEL}")
    return answer.status == 200 and b"AVAILABLE" in answer.data


def by_hand(ground: Ground, *words: str) -> str:
    """A command as it is typed to the demo's loop."""
    return f"TAXIWAY_HOME={shlex.quote(shown(ground.home.root))} {typed(*words)}"
