"""The interface by which the runner starts tasks: `local` starts processes, `containers` starts containers."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Job:
    """One container to run.

    Attributes:
        name: The task's name in the run.
        stage: The stage that it runs; empty for any other container.
        image: The image in the compiled pipeline.
        command: Its command, with placeholders filled in; empty to use the image's own.
        arguments: The arguments of the command.
        environment: Environment variables in addition to the runner's.
        log: The file for its standard output and error.
        paths: Files and folders that it reads or writes outside of the working folder.
        imports: Names that the user's modules import, for the stage to load.
        scratch: A folder that is removed when the task has ended.
        environments: The folder of the environments with packages that tasks install.
    """

    name: str
    stage: str
    image: str
    command: list[str]
    arguments: list[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    imports: frozenset[str] = frozenset()
    scratch: Path = Path()
    environments: Path = Path()

    @property
    def words(self) -> list[str]:
        """The whole command line."""
        return [*self.command, *self.arguments]


@dataclass(frozen=True)
class Ended:
    """How a container ended.

    Attributes:
        status: Its exit status; negative for a signal.
        cpu_seconds: User and system time of its process and the children it waited for.
        peak_mb: Peak memory of its largest process in MB; a forked stage shares what its server had loaded.
    """

    status: int
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


def ended(status: int, usage: resource.struct_rusage) -> Ended:
    """How a process ended, from what `os.wait4` reports."""
    # Linux counts in KiB, macOS in bytes.
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    seconds = usage.ru_utime + usage.ru_stime
    return Ended(os.waitstatus_to_exitcode(status), round(seconds, 3), round(usage.ru_maxrss / unit, 1))


class Launcher(Protocol):
    """Starts containers in parallel, and stops them.

    Attributes:
        has_images: Whether containers run in their images.
        uses_packages: Whether containers use the packages that are installed here.
    """

    has_images: bool
    uses_packages: bool

    def open(self, log: Path) -> None:
        """Begins a run; the launcher writes its own messages to the file."""

    def prepare(self, images: Collection[str]) -> None:
        """Gets all images of a pipeline before the first container runs.

        Raises:
            UserError: An image is not available, or not for this machine.
        """

    def digest(self, image: str) -> str:
        """The digest of an image, for the lineage; empty if containers do not run in their images."""

    def identity(self, stage: str, image: str) -> str:
        """Identifies the code in a container, except for packages that are installed here: equal means equal code."""

    def expect(self, stages: list[str]) -> None:
        """Announces the stages that will be launched, so that slow preparations can begin."""

    def start_ahead(self, job: Job) -> None:
        """May start a container for a task that comes next; `launch` uses it if it fits. See `taxiway.runner.ahead`."""

    def launch(self, job: Job) -> Ended:
        """Runs a container until it exits."""

    def seen(self, job: Job, path: Path) -> Path | None:
        """The path on this machine of what a container wrote to a path; None if it exists only in the container."""

    def stop(self) -> None:
        """Stops every running container, and makes their `launch` return."""

    def kill(self) -> None:
        """Kills whatever `stop` has not ended."""

    def close(self) -> None:
        """Frees the launcher's resources; no container is running any more."""
