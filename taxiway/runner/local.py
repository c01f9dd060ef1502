"""Runs containers as processes: stages fork from a server with their libraries loaded, other commands start as such."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Collection
from concurrent.futures import Future
from functools import cached_property
from itertools import count
from pathlib import Path

from components import provenance
from components.digests import text_digest
from components.errors import ServiceError
from components.preload import HEAVY
from taxiway.runner.launcher import Ended, Job, ended

STOPPED = Ended(-signal.SIGTERM)


class LocalLauncher:
    """Containers as processes of this machine; a `Launcher`."""

    def __init__(self) -> None:
        self._log = Path(os.devnull)
        self._lock = threading.Lock()
        self._servers: dict[str, _Server] = {}
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def open(self, log: Path) -> None:
        """Says where the servers' own words go."""
        self._log = log

    def prepare(self, images: Collection[str]) -> None:
        """Nothing: a process needs no image."""

    def digest(self, image: str) -> str:
        """None: a process needs no image."""
        return ""

    def identity(self, stage: str, image: str) -> str:
        """The stage's code and the installed packages; the image does not matter to processes."""
        return text_digest(f"{provenance.stage_version(stage) if stage else ''} {self._environment}")

    def expect(self, stages: list[str]) -> None:
        """Starts to load what these stages import."""
        for tree in {_tree(stage) for stage in stages if stage}:
            self._serving(tree)

    def launch(self, job: Job) -> Ended:
        """Runs a process to its end."""
        if self._stopped:
            return STOPPED
        if not job.stage:
            return self._run_command(job)
        try:
            return self._serving(_tree(job.stage)).run(job)
        except BrokenPipeError as error:
            self._save_words()
            raise ServiceError(f"the process that starts stages ended; its last words are in {self._log}") from error

    def stop(self) -> None:
        """Ends all processes: SIGTERM to each one's group."""
        with self._lock:
            self._stopped = True
            for server in self._servers.values():
                server.stop()
            for process in self._processes:
                os.killpg(process.pid, signal.SIGTERM)

    def close(self) -> None:
        """Ends the servers, and keeps what they said."""
        for server in self._servers.values():
            server.kill()
        self._save_words()
        for server in self._servers.values():
            server.forget_words()
            # Gigabytes take their time to be freed.
            threading.Thread(target=server.join, daemon=True).start()

    @cached_property
    def _environment(self) -> str:
        """The installed packages by name and version, as their metadata folders are called."""
        packages = sorted(entry.name for entry in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
        return text_digest(" ".join([sys.version, *packages]))

    def _serving(self, tree: str) -> _Server:
        with self._lock:
            if tree not in self._servers:
                self._servers[tree] = _Server(tree)
            return self._servers[tree]

    def _save_words(self) -> None:
        words = "".join(server.words() for server in self._servers.values())
        if words:
            self._log.write_text(words)

    def _run_command(self, job: Job) -> Ended:
        environment = {**os.environ, **job.environment}
        # `python` in a container's command is this environment's.
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with job.log.open("ab") as log:
            process = subprocess.Popen(
                [*guard, *job.words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            with self._lock:
                self._processes.add(process)
            try:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                return ended(status, usage)
            finally:
                with self._lock:
                    self._processes.discard(process)


def _tree(stage: str) -> str:
    return "HEAVY" if HEAVY.serves(stage) else "LIGHT"


class _Server:
    """The runner's end of a tree of `taxiway.runner.forkserver` processes."""

    def __init__(self, tree: str) -> None:
        # A file without a name: the run that it belongs to has no folder yet when libraries are loaded ahead.
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the server)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "taxiway.runner.forkserver", tree],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            # Ctrl-C is for the runner to pass on.
            start_new_session=True,
            # Stages, which are forked, walk sets in the same order every time.
            env={"PYTHONHASHSEED": "0", **os.environ},
        )
        self._lock = threading.Lock()
        self._numbers = count()
        self._jobs: dict[int, Future[Ended]] = {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def run(self, job: Job) -> Ended:
        """Forks a stage and waits for its end.

        Raises:
            BrokenPipeError: The server is gone.
        """
        number, answer = next(self._numbers), Future[Ended]()
        with self._lock:
            self._jobs[number] = answer
        self._send(
            {
                "job": number,
                "stage": job.stage,
                "argv": job.words[3:],
                "imports": sorted(job.imports),
                "log": str(job.log),
                "environment": dict(job.environment),
            }
        )
        return answer.result()

    def stop(self) -> None:
        """Ends all stages."""
        with contextlib.suppress(BrokenPipeError):
            self._send({"stop": True})
        with self._lock:
            for job in self._jobs.values():
                job.set_result(STOPPED)
            self._jobs.clear()

    def kill(self) -> None:
        """Ends the server; it may be in the middle of an import that nobody waits for any more."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.kill()

    def join(self) -> None:
        """Waits until the server has ended."""
        self._process.wait()
        self._listener.join(timeout=5)

    def forget_words(self) -> None:
        """Frees the file of what was printed."""
        self._words.close()

    def words(self) -> str:
        """What the server and its libraries printed."""
        self._words.seek(0)
        return self._words.read().decode(errors="replace")

    def _send(self, request: dict[str, object]) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                answer = json.loads(line)
                with self._lock:
                    job = self._jobs.pop(answer.pop("job"), None)
                if job:
                    job.set_result(Ended(**answer))
        with self._lock:
            for job in self._jobs.values():
                job.set_exception(BrokenPipeError("the server ended"))
            self._jobs.clear()
