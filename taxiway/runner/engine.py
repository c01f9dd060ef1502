"""The container engine of this machine, Docker or Podman, over Docker's API."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.images import Image

from components.contract.commands import typed
from components.contract.errors import ServiceError, UserError

SECONDS = 60.0
_UNIX = "unix://"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def connect(url: str, seconds: float | None = None) -> docker.DockerClient:
    """A client of the engine at a URL; uses DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.

    Args:
        url: As in DOCKER_HOST.
        seconds: The timeout for answers; default: SECONDS.

    Raises:
        ServiceError: No engine answers there, or it denies this user access.
    """
    try:
        if url.startswith(_UNIX):
            # Raises one clear error; the client would raise three nested ones.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(url.removeprefix(_UNIX))
        # Connects right away, to ask for the engine's version.
        client = docker.from_env(timeout=seconds or SECONDS, environment={**os.environ, "DOCKER_HOST": url})
    except PermissionError as error:
        raise ServiceError(
            f"{url} denies access to this user (uid {os.geteuid()})",
            fix="for Docker, join its group: sudo usermod --append --groups docker $USER, and log in again; "
            "for Podman, use your own: systemctl --user start podman.socket",
        ) from error
    except (DockerException, OSError) as error:
        raise ServiceError(
            f"no container engine answers at {url}: {error}",
            fix="start one: systemctl start docker, or systemctl start podman.socket, or "
            f"{typed('docker/engine start')}; or set DOCKER_HOST to its URL",
        ) from error
    return client


def architecture(info: Mapping[str, Any]) -> str:
    """The architecture of the engine's machine by its name in images (`amd64`), from the engine's info."""
    machine = info.get("Architecture") or platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def image(client: docker.DockerClient, name: str, machine: str) -> Image:
    """An image for a machine of that architecture; pulls it if it is missing.

    Raises:
        UserError: It cannot be pulled, or is built for another architecture.
    """
    try:
        found = client.images.get(name)
    except NotFound:
        found = _pulled(client, name)
    made_for = found.attrs["Architecture"]
    if made_for != machine:
        raise UserError(
            f"the image {name} is built for {made_for}, but this machine is {machine}",
            fix=f"build it here (Taxiway's own: {typed('make images')}), or use an image for this machine",
        )
    return found


def _pulled(client: docker.DockerClient, name: str) -> Image:
    try:
        client.images.pull(name)
        return client.images.get(name)
    except APIError as error:
        raise UserError(
            f"the image {name} is not on this machine and cannot be pulled: {reason(error)}",
            fix=f"build it (Taxiway's own: {typed('make images')}), or correct its name",
        ) from error


def reason(error: APIError) -> str:
    """The engine's error message, in one line."""
    return " ".join(str(error.explanation or error).split())


def remove(url: str, label: str) -> None:
    """Removes all containers with a label; does nothing if the engine does not answer."""
    try:
        client = connect(url)
    except ServiceError:
        return
    for container in client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            # Another process may have removed it already, or be removing it.
            if error.status_code not in (404, 409):
                raise
    client.close()
