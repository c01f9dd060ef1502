"""A process that outlives this one for a moment and removes what it leaves elsewhere.

    python -m components.processes.reaper MODULE ARGUMENTS...

It waits for the end of its standard input, which this process holds open: the kernel closes it however this one ends.
Then it calls the module's `remove(*ARGUMENTS)`.
"""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys

_SECONDS = 60


class Reaper:
    """This process's end of it."""

    def __init__(self, module: str, *arguments: str) -> None:
        # A session of its own: what kills this process's group is to leave it.
        self._process = subprocess.Popen(
            # Not from the working folder, which may have a package of this one's name.
            [sys.executable, "-P", "-m", __name__, module, *arguments],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def begin(self) -> None:
        """Has everything removed, and does not wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def reap(self) -> None:
        """Has everything removed now; where an engine or a cluster hangs, it is when that goes on."""
        self.begin()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS)


def main(module: str, *arguments: str) -> None:
    """Waits for the end of who started it, and removes what that left."""
    remove = importlib.import_module(module).remove
    sys.stdin.read()
    remove(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
