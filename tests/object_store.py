"""A real S3 API on loopback in a process of its own, which can go away and come back with all that it has.

It is a process because delta-rs holds the GIL while it waits for an answer.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class ObjectStore:
    """The store. Its address stays the same."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.object_store"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self._answer()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which everything finds it."""
        return {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.url}

    def stop(self) -> None:
        """It goes away: its port is closed."""
        self._say("stop")

    def start(self) -> None:
        """It comes back."""
        self._say("start")

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()

    def _say(self, what: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout
        answer = self._process.stdout.readline().strip()
        assert answer, "the object store has ended"
        return answer


def _serve() -> None:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server: Any = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            server.stop()
        else:
            server = ThreadedMotoServer(ip_address=host, port=port, verbose=False)
            server.start()
        print("done", flush=True)


if __name__ == "__main__":
    _serve()
