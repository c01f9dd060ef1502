"""A process that outlives the stage for a moment and removes what the stage leaves elsewhere.

    python -m components.infra_validator.reaper docker|kubernetes ARGUMENTS...

It waits for the end of its standard input, which the stage holds open: the kernel closes it however the stage ends.
"""

from __future__ import annotations

import importlib
import subprocess
import sys

_MODULES = {
    "docker": "components.infra_validator.container",
    "kubernetes": "components.infra_validator.pod",
}
_SECONDS = 60


class Reaper:
    """The stage's end of the process."""

    def __init__(self, platform: str, *arguments: str) -> None:
        # A session of its own: what kills the stage's process group is to leave it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, platform, *arguments], stdin=subprocess.PIPE, start_new_session=True
        )

    def reap(self) -> None:
        """Has everything removed now."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(_SECONDS)


def main(platform: str, *arguments: str) -> None:
    """Waits for the stage's end, and removes what it left."""
    remove = importlib.import_module(_MODULES[platform]).remove
    sys.stdin.read()
    remove(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
