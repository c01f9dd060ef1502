"""What a runner needs of a place to run containers in: `local` starts processes, `containers` containers."""

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
        command: What it runs, placeholders filled; empty where the image says what.
        arguments: What follows the command.
        environment: Variables beside those of the runner.
        log: The file that takes its standard output and error.
        paths: Files and folders that it reads or writes, beside those below the working folder.
        imports: Names that the user's modules import, which a stage of this task loads.
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

    @property
    def words(self) -> list[str]:
        """The whole command line."""
        return [*self.command, *self.arguments]


@dataclass(frozen=True)
class Ended:
    """How a container ended.

    Attributes:
        status: Its exit status; negative for a signal.
        cpu_seconds: User and system time of its process and those it waited for.
        peak_mb: The most memory that one of its processes held, in MB; a forked stage shares what was loaded before.
    """

    status: int
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


def ended(status: int, usage: resource.struct_rusage) -> Ended:
    """How a process ended that `os.wait4` reports."""
    # Linux counts in KiB, macOS in bytes.
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    seconds = usage.ru_utime + usage.ru_stime
    return Ended(os.waitstatus_to_exitcode(status), round(seconds, 3), round(usage.ru_maxrss / unit, 1))


class Launcher(Protocol):
    """Starts containers, several at once, and ends them.

    Attributes:
        has_images: Whether they run in their images.
    """

    has_images: bool

    def open(self, log: Path) -> None:
        """Begins a run; what the launcher itself has to say goes into the file."""

    def prepare(self, images: Collection[str]) -> None:
        """Has all images of a pipeline at hand before the first container runs.

        Raises:
            UserError: One is not there, or is none for this machine.
        """

    def digest(self, image: str) -> str:
        """The digest of an image, for the lineage; empty where containers run without theirs."""

    def identity(self, stage: str, image: str) -> str:
        """What the code in a container is: equal identities mean equal code and environment."""

    def expect(self, stages: list[str]) -> None:
        """Says which stages are about to be launched, so that what takes time can begin."""

    def launch(self, job: Job) -> Ended:
        """Runs a container to its end."""

    def seen(self, job: Job, path: Path) -> Path | None:
        """Where this machine has what a container wrote to a path; None where only the container saw it."""

    def stop(self) -> None:
        """Ends every container that runs, and makes their `launch` return."""

    def kill(self) -> None:
        """Ends at once what `stop` has not ended."""

    def close(self) -> None:
        """Frees what the launcher holds; no container runs any more."""
