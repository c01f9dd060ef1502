"""A model server in a Docker or Podman container."""

from __future__ import annotations

import uuid
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container

from components.contract.errors import ServiceError, UserError
from components.infra_validator.servers.platforms import Docker
from components.infra_validator.servers.server import GRPC_PORT, MODEL_BASE_PATH, MODEL_NAME
from components.processes import container_engine
from components.processes.reaper import Reaper

_PORT = f"{GRPC_PORT}/tcp"
_LOG_LINES = 200


class ContainerServer:
    """A container with the candidate mounted read-only, and its gRPC port published on loopback."""

    def __init__(self, settings: Docker, base: Path) -> None:
        self._socket = settings.socket or container_engine.address()
        self._client = _connected(self._socket)
        name = f"taxiway-infra-validator-{uuid.uuid4().hex[:12]}"
        self._reaper = Reaper(__name__, self._socket, name)
        try:
            self._container = self._run(settings, base, name)
        except BaseException:
            self._reaper.reap()
            raise

    def address(self) -> str | None:
        """The address of its port on this machine."""
        self._container.reload()
        bound = self._container.ports.get(_PORT)
        return f"127.0.0.1:{bound[0]['HostPort']}" if bound else None

    def ended(self) -> str:
        """How the container exited; empty while it runs."""
        self._container.reload()
        state = self._container.attrs["State"]
        if state["Status"] not in ("exited", "dead"):
            return ""
        memory = ", out of memory" if state.get("OOMKilled") else ""
        return f"the container exited with status {state['ExitCode']}{memory}"

    def log(self) -> str:
        """The last lines of its output."""
        printed: bytes = self._container.logs(tail=_LOG_LINES)
        return printed.decode(errors="replace")

    def stop(self) -> None:
        """Removes the container."""
        self._client.close()
        self._reaper.reap()

    def _run(self, settings: Docker, base: Path, name: str) -> Container:
        try:
            return self._client.containers.run(
                settings.image,
                settings.args,
                name=name,
                detach=True,
                environment={
                    "MODEL_NAME": MODEL_NAME,
                    "MODEL_BASE_PATH": MODEL_BASE_PATH,
                    **settings.environment,
                },
                ports={_PORT: ("127.0.0.1", None)},
                volumes={str(base.absolute()): {"bind": f"{MODEL_BASE_PATH}/{MODEL_NAME}", "mode": "ro"}},
            )
        except (ImageNotFound, NotFound) as error:
            raise UserError(
                f"the image {settings.image!r} does not exist here and cannot be pulled: {error.explanation}",
                fix="correct serving.docker.image, or pull it",
            ) from error
        except APIError as error:
            raise ServiceError(
                f"a container of {settings.image!r} cannot be started: {error.explanation or error}",
                fix="check the settings in serving.docker, and the container engine",
            ) from error


def _connected(socket: str) -> docker.DockerClient:
    try:
        client = docker.DockerClient(base_url=socket)
        client.ping()
    except (DockerException, OSError) as error:
        raise ServiceError(
            f"no container engine answers at {socket}: {error}",
            fix="start Docker or Podman, or set its URL in serving.docker.socket or DOCKER_HOST",
        ) from error
    return client


def remove(socket: str, name: str) -> None:
    """Removes a container if it exists, even while it runs."""
    client = docker.DockerClient(base_url=socket)
    try:
        client.containers.get(name).remove(force=True)
    except NotFound:
        pass
    finally:
        client.close()
