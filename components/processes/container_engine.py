"""The address of this machine's container engine."""

from __future__ import annotations

import os
from pathlib import Path

_UNIX = "unix://"


def address() -> str:
    """DOCKER_HOST, or else the first socket of Docker or Podman that exists, or else Docker's default socket."""
    user = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    places = ["/var/run/docker.sock", f"{user}/podman/podman.sock", "/run/podman/podman.sock"]
    there = [_UNIX + place for place in places if Path(place).exists()]
    return os.environ.get("DOCKER_HOST") or next(iter(there), _UNIX + places[0])
