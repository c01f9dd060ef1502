"""A process that briefly outlives this one, to remove resources that it leaves behind elsewhere.

    python -m components.processes.reaper MODULE ARGUMENTS...

It waits for the end of its standard input, which this process keeps open: the kernel closes it however this process
ends. Then it calls the module's `remove(*ARGUMENTS)`.
"""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys

_SECONDS = 60


class Reaper:
    """This process's handle on the reaper process."""

    def __init__(self, module: str, *arguments: str) -> None:
        # In its own session, so that a signal to this process's group does not kill it.
        self._process = subprocess.Popen(
            # Not from the working folder, which may have a package of this one's name.
            [sys.executable, "-P", "-m", __name__, module, *arguments],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def begin(self) -> None:
        """Starts the removal and does not wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def reap(self) -> None:
        """Removes everything now; if an engine or cluster hangs, the removal happens later in the background."""
        self.begin()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS)


def main(module: str, *arguments: str) -> None:
    """Waits until the process that started this one ends, and removes what it left behind."""
    remove = importlib.import_module(module).remove
    sys.stdin.read()
    remove(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
