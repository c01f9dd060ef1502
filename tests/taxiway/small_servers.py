"""Starts small model servers and proxies as processes that end with the test."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Running:
    """A serving process: its addresses and its log."""

    process: subprocess.Popen[str]
    addresses: list[str]
    log: Path

    @property
    def grpc(self) -> str:
        return self.addresses[0]

    @property
    def rest(self) -> str:
        return f"http://{self.addresses[1]}"


@contextmanager
def running(folder: Path, *command: Any) -> Iterator[Running]:
    """Runs `python -m COMMAND... --address-file FILE`, and waits for the file."""
    folder.mkdir(parents=True, exist_ok=True)
    address, log = folder / "address", folder / "log"
    address.unlink(missing_ok=True)
    with log.open("a") as output:
        arguments = [sys.executable, "-m", *map(str, command), "--address-file", str(address)]
        process = subprocess.Popen(arguments, stdout=output, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 30
        while not address.is_file():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        yield Running(process, address.read_text().split(), log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def small_server(folder: Path, *options: Any) -> Iterator[Running]:
    """A small model server; see its module."""
    with running(folder, "tests.taxiway.small_server", *options) as server:
        yield server
