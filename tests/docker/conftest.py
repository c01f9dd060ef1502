"""Taxiway's images on a real container engine, if there is one and `make images` has been run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import docker
import pytest

from components import __version__
from components.contract.errors import ServiceError
from components.execution.provenance import code_commit
from components.processes import container_engine
from taxiway.runner import engine

KINDS = ("serve", "data", "train")
Inside = Callable[..., str]


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    """The engine of this machine."""
    try:
        client = engine.connect(container_engine.address())
    except ServiceError as error:
        pytest.skip(error.what)
    yield client
    client.close()


@pytest.fixture(scope="session")
def images(client: docker.DockerClient) -> dict[str, str]:
    """The images' names by kind, as the engine lists them; Podman adds a registry prefix."""
    listed = [tag for image in client.images.list() for tag in image.tags]
    names = {kind: f"taxiway-{kind}:{__version__}" for kind in KINDS}
    found = {kind: tag for kind, name in names.items() for tag in listed if f"/{tag}".endswith(f"/{name}")}
    if missing := names.keys() - found:
        pytest.skip(f"make images has not built {', '.join(sorted(missing))}")
    built = client.images.get(found["serve"]).labels["org.opencontainers.image.revision"].removesuffix("+")
    if built != code_commit()["commit"]:
        pytest.skip(f"the images were built from another commit, {built}: make images")
    return found


@pytest.fixture(scope="session")
def inside(client: docker.DockerClient, images: dict[str, str]) -> Inside:
    """`inside(kind, *command)`: what a command prints in an image, as any user and with a read-only root."""

    def run(kind: str, *command: str) -> str:
        printed: bytes = client.containers.run(
            images[kind],
            list(command),
            user="12345:12345",
            read_only=True,
            tmpfs={"/tmp": "mode=1777"},
            network_mode="host",
            cap_drop=["ALL"],
            remove=True,
        )
        return printed.decode()

    return run
