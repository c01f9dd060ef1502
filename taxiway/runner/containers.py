"""Runs tasks in containers of Docker or Podman, as much as possible as if they were processes on this machine.

The working folder, Taxiway's home and the paths that the task names are mounted at the same paths. A container runs as
this user, on this machine's network, with a read-only root file system and its own /tmp.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from docker.models.images import Image
from docker.types import Mount
from requests.exceptions import RequestException  # type: ignore[import-untyped]

from components.contract import files
from components.contract.digests import text_digest
from components.contract.errors import ServiceError, TaxiwayError, UserError
from components.processes import container_engine
from components.processes.reaper import Reaper
from taxiway.runner import engine
from taxiway.runner.launcher import Ended, Job
from taxiway.runner.local import STOPPED

_STOP_SECONDS = 1
_TMP = Path("/tmp")
_WEEK = 7 * 24 * 3600.0
# The exit statuses by which shells and engines report a signal. SIGTERM is excluded, because it would mean that the run
# was stopped: if somebody else stops a container, its task has failed.
_KILLED = {128 + number for number in signal.valid_signals() - {signal.SIGTERM}}
# Variables for access to data, stores, package indexes and proxies; the others only concern this machine.
_PASSED_VARIABLES = re.compile(
    r"(AWS|DVC(?!_\w+_DIR)|FSSPEC|GCSFS|GOOGLE|S3)_\w+|(all|https?|no)_proxy|SSL_CERT_FILE|REQUESTS_CA_BUNDLE"
    r"|PIP_(CERT|(EXTRA_)?INDEX_URL|TRUSTED_HOST)",
    re.IGNORECASE,
)
# The system folders of an image.
_SYSTEM_FOLDERS = [Path(name) for name in ("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")]


class ContainerLauncher:
    """Containers of Docker or Podman; a `Launcher`.

    Raises:
        ServiceError: No engine answers, or it denies this user access.
    """

    has_images = True
    uses_packages = False

    def __init__(self) -> None:
        url = container_engine.address()
        self._client = engine.connect(url)
        # Podman does not answer a log request before the container has printed something.
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
        self._starting = ThreadPoolExecutor(1)
        # The tasks that have a container, or had one.
        self._known: set[str] = set()
        self._ahead: dict[str, Future[tuple[Job, Container] | None]] = {}

    def open(self, log: Path) -> None:
        """Does nothing: the engine keeps its own log."""

    def prepare(self, images: Collection[str]) -> None:
        """Pulls the pipeline's images that are not on this machine.

        Raises:
            UserError: An image cannot be pulled, or is built for another architecture.
        """
        for name in sorted(images):
            self._image(name)

    def digest(self, image: str) -> str:
        """The registry digest of an image, or the digest of its configuration if it is in no registry."""
        found = self._image(image)
        known = [name.partition("@")[2] for name in found.attrs.get("RepoDigests") or []]
        return known[0] if known else _identifier(found)

    def identity(self, stage: str, image: str) -> str:
        """The identity of the image's content; it changes if the tag is moved to another image."""
        return text_digest(_identifier(self._image(image)))

    def expect(self, stages: list[str]) -> None:
        """Does nothing: a container loads its own libraries."""

    def start_ahead(self, job: Job) -> None:
        """Starts a container that loads its libraries while other tasks run; in the background."""

        def start() -> tuple[Job, Container] | None:
            # Whatever is wrong, the task itself says it in its turn; the reaper removes what is left.
            with contextlib.suppress(DockerException, RequestException, TaxiwayError, OSError):
                (job.scratch / "tmp").mkdir(parents=True)
                container = self._create(job)
                container.start()
                return job, container
            return None

        with self._lock:
            if job.name not in self._known and not self._stopped:
                self._known.add(job.name)
                self._ahead[job.name] = self._starting.submit(start)

    def launch(self, job: Job) -> Ended:
        """Runs a container until it exits, and removes it."""
        with _engine_errors():
            container, is_started = self._taken(job)
            try:
                with self._lock:
                    if self._stopped:
                        return STOPPED
                    if not is_started:
                        self._start(container, job)
                    self._running.add(container)
                return self._follow(container, job)
            finally:
                with self._lock:
                    self._running.discard(container)
                with contextlib.suppress(APIError):
                    container.remove(force=True, v=True)

    def _taken(self, job: Job) -> tuple[Container, bool]:
        """A container for a job, and whether it runs: one that was started ahead, if that fits, or else a new one."""
        with self._lock:
            self._known.add(job.name)
            begun = self._ahead.pop(job.name, None)
        found = begun.result() if begun else None
        if not found:
            return self._create(job), False
        draft, container = found
        container.reload()
        if container.status == "running" and _fits(draft, job):
            document = {"arguments": job.words[3:], "environment": dict(job.environment)}
            files.write(Path(draft.arguments[0]), json.dumps(document))
            return container, True
        container.remove(force=True, v=True)
        return self._create(job), False

    def seen(self, job: Job, path: Path) -> Path | None:
        """The path itself if it was mounted, or the place here of a path in the container's /tmp."""
        folders = _folders([Path.cwd(), *job.paths])
        if any(path.is_relative_to(folder) for folder in folders):
            return path
        return _scratch(job) / path.relative_to(_TMP) if path.is_relative_to(_TMP) else None

    def stop(self) -> None:
        """Stops all containers: SIGTERM, then SIGKILL for those that ignore it."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for container in running:
            # The reaper removes whatever does not stop now.
            with contextlib.suppress(DockerException, RequestException):
                container.stop(timeout=_STOP_SECONDS)

    def kill(self) -> None:
        """Makes the reaper remove all containers."""
        self._stopped = True
        self._reaper.begin()

    def close(self) -> None:
        """Closes the connections, and removes the remaining containers."""
        self._starting.shutdown(cancel_futures=True)
        self._client.close()
        self._follower.close()
        self._reaper.reap()

    def _image(self, name: str) -> Image:
        """An image on this machine. It may not have been prepared, if its name became known only during the run."""
        with _engine_errors(), self._pulling:
            if name not in self._images:
                self._images[name] = engine.image(self._client, name, self._machine)
            return self._images[name]

    def _create(self, job: Job) -> Container:
        folders = _folders([Path.cwd(), *job.paths])
        environment = _passed_variables()
        # Certificates and credentials.
        given = {value for value in environment.values() if value.startswith("/") and Path(value).is_file()}
        try:
            return self._client.containers.create(
                _identifier(self._image(job.image)),
                # Set separately: a command replaces the image's entrypoint, arguments alone are passed to it.
                entrypoint=job.command or None,
                command=job.arguments,
                # Every user needs a writable home: lightweight components of kfp install packages into it.
                environment={"HOME": "/tmp", **environment, **job.environment},
                labels={"taxiway.runner": self._name, "taxiway.task": job.name},
                # Root in a rootless engine's container is the user who runs the engine.
                user="0:0" if self._is_rootless else f"{os.getuid()}:{os.getgid()}",
                working_dir=str(Path.cwd()),
                volumes=[*(f"{folder}:{folder}" for folder in folders), *(f"{file}:{file}:ro" for file in given)],
                mounts=[] if _TMP in folders else [_temporary(_scratch(job), folders)],
                read_only=True,
                network_mode="host",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges", *(["label=disable"] if self._has_selinux else [])],
            )
        except NotFound as error:
            raise UserError(f"the image {job.image} no longer exists: {engine.reason(error)}") from error
        except APIError as error:
            raise ServiceError(f"cannot create a container from {job.image}: {engine.reason(error)}") from error

    def _start(self, container: Container, job: Job) -> None:
        try:
            container.start()
        except APIError as error:
            raise UserError(
                f"{job.image} cannot run {' '.join(job.words)[:200] or 'its own command'}: {engine.reason(error)}",
                fix="correct the component's image or command",
            ) from error

    def _follow(self, container: Container, job: Job) -> Ended:
        """Copies a container's output to the log until it exits."""
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
            raise ServiceError("its container was removed while it was running") from error
        if self._stopped:
            return STOPPED
        return Ended(128 - status if status in _KILLED else status)


def _fits(draft: Job, job: Job) -> bool:
    """Whether a container that was started for a draft can do a job."""
    known = {name: value for name, value in draft.environment.items() if name != "TMPDIR"}
    mounted = _folders([Path.cwd(), *draft.paths])
    is_same = job.words[:3] == ["python", "-m", "components"] and draft.image == job.image
    return is_same and known.items() <= job.environment.items() and mounted == _folders([Path.cwd(), *job.paths])


def _scratch(job: Job) -> Path:
    """The folder that is mounted as a container's /tmp."""
    return Path(job.environment["TMPDIR"])


def _temporary(scratch: Path, folders: Collection[Path]) -> Mount:
    """The mount of /tmp, with the mount points inside: an engine would create these as root."""
    for folder in folders:
        if folder.is_relative_to(_TMP):
            (scratch / folder.relative_to(_TMP)).mkdir(parents=True, exist_ok=True)
    return Mount(str(_TMP), str(scratch), type="bind")


@contextmanager
def _engine_errors() -> Iterator[None]:
    """Raises errors of the engine and its connection as a ServiceError."""
    try:
        yield
    except (DockerException, RequestException) as error:
        raise ServiceError(f"the container engine failed: {error}", fix="look at the engine's log") from error


def _identifier(image: Image) -> str:
    return image.id if image.id.startswith("sha256:") else f"sha256:{image.id}"


def _passed_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if _PASSED_VARIABLES.fullmatch(name)}


def _folders(paths: Collection[Path]) -> list[Path]:
    """The folders to mount for these paths: the nearest existing ones, none inside another."""
    # With the targets of links.
    found = {_existing_folder(place) for path in paths for place in (path, path.resolve())}
    return sorted(folder for folder in found if not any(other in found for other in folder.parents))


def _existing_folder(path: Path) -> Path:
    folder = next(place for place in (path, *path.parents) if place.is_dir())
    if folder == Path("/") or any(folder.is_relative_to(place) for place in _SYSTEM_FOLDERS):
        raise UserError(
            f"{path} cannot be mounted into a container: it would hide the image's own {folder}",
            fix="use a path in another folder that exists",
        )
    return folder
