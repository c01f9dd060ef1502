"""A process that outlives the runner for a moment and removes the containers that it has left.

    python -m taxiway.runner.reaper URL LABEL

It waits for the end of its standard input, which the runner holds open: the kernel closes it however the runner ends.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys

from docker.errors import APIError

from components.errors import ServiceError
from taxiway.runner import engine

_SECONDS = 60


class Reaper:
    """The runner's end of the process."""

    def __init__(self, url: str, label: str) -> None:
        # A session of its own: what kills the runner's process group is to leave it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, url, label], stdin=subprocess.PIPE, start_new_session=True
        )

    def reap(self) -> None:
        """Has all containers of the label removed now; where the engine hangs, they are when it goes on."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS)


def main(url: str, label: str) -> None:
    """Waits for the runner's end, and removes what it left."""
    sys.stdin.read()
    try:
        client = engine.connect(url)
    except ServiceError:
        # Gone, and its containers with it, or out of reach.
        return
    for container in client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            # Another may have removed it, or be about to.
            if error.status_code not in (404, 409):
                raise
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
