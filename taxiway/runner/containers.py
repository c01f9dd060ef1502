"""Runs containers as containers of Docker or Podman, as nearly as can be as if they were processes of this machine.

A container sees the working folder, Taxiway's own, and what its task names, under the paths that they have here. It
runs as this user, on this machine's network, with a read-only root and a /tmp of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.models.images import Image
from docker.types import Mount
from requests.exceptions import RequestException  # type: ignore[import-untyped]

from components.contract.digests import text_digest
from components.contract.errors import ServiceError, UserError
from components.processes import container_engine
from components.processes.reaper import Reaper
from taxiway.runner import engine
from taxiway.runner.launcher import Ended, Job
from taxiway.runner.local import STOPPED

_STOP_SECONDS = 1
_TMP = Path("/tmp")
_WEEK = 7 * 24 * 3600.0
# How shells, and engines after them, say that a signal ended a process. Without SIGTERM, which means that the run was
# stopped: where somebody else stops a container, its task has failed.
_KILLED = {128 + number for number in signal.valid_signals() - {signal.SIGTERM}}
# What leads to data, stores, package indexes and proxies; the rest of the environment is this machine's.
_HANDED_ON = re.compile(
    r"(AWS|DVC(?!_\w+_DIR)|FSSPEC|GCSFS|GOOGLE|S3)_\w+|(all|https?|no)_proxy|SSL_CERT_FILE|REQUESTS_CA_BUNDLE"
    r"|PIP_(CERT|(EXTRA_)?INDEX_URL|TRUSTED_HOST)",
    re.IGNORECASE,
)
# Where an image has what it is made of.
_OF_THE_IMAGE = [Path(name) for name in ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")]


class ContainerLauncher:
    """Containers of Docker or Podman; a `Launcher`.

    Raises:
        ServiceError: No engine answers, or it does not let this user in.
    """

    has_images = True
    uses_packages = False

    def __init__(self) -> None:
        url = container_engine.address()
        self._client = engine.connect(url)
        # Podman answers a request for a container's log when there is a first line in it.
        self._follower = engine.connect(url, seconds=_WEEK)
        with _engine_errors():
            info = self._client.info()
        self._machine = engine.architecture(info)
        security: list[str] = info.get("SecurityOptions") or []
        self._is_rootless = "name=rootless" in security
        self._has_selinux = "name=selinux" in security
        self._name = uuid.uuid4().hex
        self._reaper = Reaper(engine.__name__, url, f"taxiway.runner={self._name}")
        self._images: dict[str, Image] = {}
        self._pulling = threading.Lock()
        self._lock = threading.Lock()
        self._running: set[Container] = set()
        self._stopped = False

    def open(self, log: Path) -> None:
        """Nothing: the engine keeps its own log."""

    def prepare(self, images: Collection[str]) -> None:
        """Has all images of a pipeline at hand; those that are not on this machine are pulled.

        Raises:
            UserError: One cannot be pulled, or is made for another architecture.
        """
        for name in sorted(images):
            self._image(name)

    def digest(self, image: str) -> str:
        """The digest by which registries know an image; of one that none has seen, that of its configuration."""
        found = self._image(image)
        known = [name.partition("@")[2] for name in found.attrs.get("RepoDigests") or []]
        return known[0] if known else _identifier(found)

    def identity(self, stage: str, image: str) -> str:
        """The image's content: another one under the same tag is another identity."""
        return text_digest(_identifier(self._image(image)))

    def expect(self, stages: list[str]) -> None:
        """Nothing: a container's libraries are loaded in the container."""

    def launch(self, job: Job) -> Ended:
        """Runs a container to its end, and removes it."""
        with _engine_errors():
            container = self._create(job)
            try:
                with self._lock:
                    if self._stopped:
                        return STOPPED
                    self._start(container, job)
                    self._running.add(container)
                return self._follow(container, job)
            finally:
                with self._lock:
                    self._running.discard(container)
                with contextlib.suppress(APIError):
                    container.remove(force=True, v=True)

    def seen(self, job: Job, path: Path) -> Path | None:
        """The path itself where it was mounted, else what is there for its /tmp."""
        folders = _folders([Path.cwd(), *job.paths])
        if any(path.is_relative_to(folder) for folder in folders):
            return path
        return _scratch(job) / path.relative_to(_TMP) if path.is_relative_to(_TMP) else None

    def stop(self) -> None:
        """Ends all containers: SIGTERM, and SIGKILL for those that do not mind it."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for container in running:
            # What does not stop now, the reaper removes.
            with contextlib.suppress(DockerException, RequestException):
                container.stop(timeout=_STOP_SECONDS)

    def kill(self) -> None:
        """Has the reaper remove all containers."""
        self._stopped = True
        self._reaper.begin()

    def close(self) -> None:
        """Ends the connection, and removes what is left."""
        self._client.close()
        self._follower.close()
        self._reaper.reap()

    def _image(self, name: str) -> Image:
        """An image of this machine; the name may be one that only the run knows, and that nobody prepared."""
        with _engine_errors(), self._pulling:
            if name not in self._images:
                self._images[name] = engine.image(self._client, name, self._machine)
            return self._images[name]

    def _create(self, job: Job) -> Container:
        folders = _folders([Path.cwd(), *job.paths])
        environment = _handed_on()
        # Certificates and credentials.
        files = {value for value in environment.values() if value.startswith("/") and Path(value).is_file()}
        try:
            return self._client.containers.create(
                _identifier(self._image(job.image)),
                # Both by their own names: a command takes the place of the image's, arguments alone go to it.
                entrypoint=job.command or None,
                command=job.arguments,
                # Any user has a home; lightweight components of kfp install into it.
                environment={"HOME": "/tmp", **environment, **job.environment},
                labels={"taxiway.runner": self._name, "taxiway.task": job.name},
                # A rootless engine's root is the user who runs it.
                user="0:0" if self._is_rootless else f"{os.getuid()}:{os.getgid()}",
                working_dir=str(Path.cwd()),
                volumes=[*(f"{folder}:{folder}" for folder in folders), *(f"{file}:{file}:ro" for file in files)],
                mounts=[] if _TMP in folders else [_temporary(_scratch(job), folders)],
                read_only=True,
                network_mode="host",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges", *(["label=disable"] if self._has_selinux else [])],
            )
        except NotFound as error:
            raise UserError(f"the image {job.image} is not there any more: {engine.reason(error)}") from error
        except APIError as error:
            raise ServiceError(f"no container of {job.image} can be made: {engine.reason(error)}") from error

    def _start(self, container: Container, job: Job) -> None:
        try:
            container.start()
        except APIError as error:
            raise UserError(
                f"{job.image} does not run {' '.join(job.words)[:200] or 'its own command'}: {engine.reason(error)}",
                fix="correct the component's image or command",
            ) from error

    def _follow(self, container: Container, job: Job) -> Ended:
        """Copies what a container prints until it ends."""
        try:
            with job.log.open("ab", buffering=0) as log:
                for printed in self._follower.api.logs(container.id, stream=True, follow=True):
                    log.write(printed)
                status = int(container.wait()["StatusCode"])
                container.reload()
                if container.attrs["State"].get("OOMKilled"):
                    log.write(b"error: the container was killed: out of memory\n")
        except NotFound as error:
            if self._stopped:
                return STOPPED
            raise ServiceError("its container was removed while it ran") from error
        if self._stopped:
            return STOPPED
        return Ended(128 - status if status in _KILLED else status)


def _scratch(job: Job) -> Path:
    """The folder that a container has as its /tmp."""
    return Path(job.environment["TMPDIR"])


def _temporary(scratch: Path, folders: Collection[Path]) -> Mount:
    """The mount of /tmp; an engine would make the places of folders below it as root."""
    for folder in folders:
        if folder.is_relative_to(_TMP):
            (scratch / folder.relative_to(_TMP)).mkdir(parents=True, exist_ok=True)
    return Mount(str(_TMP), str(scratch), type="bind")


@contextmanager
def _engine_errors() -> Iterator[None]:
    """What the connection may fail with, as an error of the machine."""
    try:
        yield
    except (DockerException, RequestException) as error:
        raise ServiceError(f"the container engine failed: {error}", fix="look at the engine's own log") from error


def _identifier(image: Image) -> str:
    return image.id if image.id.startswith("sha256:") else f"sha256:{image.id}"


def _handed_on() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if _HANDED_ON.fullmatch(name)}


def _folders(paths: Collection[Path]) -> list[Path]:
    """The folders to mount for these paths: each the nearest that is there, none inside of another."""
    # With what a link leads to.
    found = {_existing_folder(place) for path in paths for place in (path, path.resolve())}
    return sorted(folder for folder in found if not any(other in found for other in folder.parents))


def _existing_folder(path: Path) -> Path:
    folder = next(place for place in (path, *path.parents) if place.is_dir())
    if folder == Path("/") or any(folder.is_relative_to(place) for place in _OF_THE_IMAGE):
        raise UserError(
            f"{path} cannot be shown to a container: it would hide what the image has in {folder}",
            fix="name a place in another folder, one that is there",
        )
    return folder
