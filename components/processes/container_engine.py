"""Where the container engine of this machine is."""

from __future__ import annotations

import os
from pathlib import Path

_UNIX = "unix://"


def address() -> str:
    """DOCKER_HOST; else Docker's socket or one of Podman's, whichever is there; else where Docker's would be."""
    user = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    places = ["/var/run/docker.sock", f"{user}/podman/podman.sock", "/run/podman/podman.sock"]
    there = [_UNIX + place for place in places if Path(place).exists()]
    return os.environ.get("DOCKER_HOST") or next(iter(there), _UNIX + places[0])
