"""Runs containers as processes: stages fork from a server with their libraries loaded, other commands start as such."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from concurrent.futures import Future
from functools import cached_property
from itertools import count
from pathlib import Path

from components import provenance
from components.digests import text_digest
from components.errors import ServiceError
from taxiway.runner.launcher import Ended, Job, ended

STOPPED = Ended(-signal.SIGTERM)


class LocalLauncher:
    """Containers as processes of this machine; a `Launcher`."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def identity(self, stage: str, image: str) -> str:
        """The stage's code and the installed packages; the image does not matter to processes."""
        return text_digest(f"{provenance.stage_version(stage) if stage else ''} {self._environment}")

    def expect(self, stages: list[str]) -> None:
        """Starts to load what these stages import."""
        if any(stages):
            self._served().preload([stage for stage in stages if stage])

    def launch(self, job: Job) -> Ended:
        """Runs a process to its end."""
        if self._stopped:
            return STOPPED
        return self._served().run(job) if job.stage else self._run_command(job)

    def stop(self) -> None:
        """Ends all processes: SIGTERM to each one's group."""
        with self._lock:
            self._stopped = True
            if self._server:
                self._server.stop()
            for process in self._processes:
                os.killpg(process.pid, signal.SIGTERM)

    def close(self) -> None:
        """Ends the server."""
        if self._server:
            self._server.close()

    @cached_property
    def _environment(self) -> str:
        """The installed packages by name and version, as their metadata folders are called."""
        packages = sorted(entry.name for entry in Path(sysconfig.get_path("purelib")).glob("*.dist-info"))
        return text_digest(" ".join([sys.version, *packages]))

    def _served(self) -> _Server:
        with self._lock:
            if self._server is None:
                self._server = _Server(self._log)
            return self._server

    def _run_command(self, job: Job) -> Ended:
        environment = {**os.environ, **job.environment}
        # `python` in a container's command is this environment's.
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with job.log.open("ab") as log:
            process = subprocess.Popen(
                [*guard, *job.command],
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


class _Server:
    """The runner's end of a `taxiway.runner.forkserver` process."""

    def __init__(self, log: Path) -> None:
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "taxiway.runner.forkserver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                # Ctrl-C is for the runner to pass on.
                start_new_session=True,
            )
        self._log = log
        self._lock = threading.Lock()
        self._numbers = count()
        self._jobs: dict[int, Future[Ended]] = {}
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def preload(self, stages: list[str]) -> None:
        self._send({"preload": stages})

    def run(self, job: Job) -> Ended:
        number, answer = next(self._numbers), Future[Ended]()
        with self._lock:
            self._jobs[number] = answer
        self._send(
            {
                "job": number,
                "stage": job.stage,
                "argv": job.command[3:],
                "log": str(job.log),
                "environment": dict(job.environment),
            }
        )
        return answer.result()

    def stop(self) -> None:
        self._send({"stop": True})
        with self._lock:
            for job in self._jobs.values():
                job.set_result(STOPPED)
            self._jobs.clear()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        # It may be in the middle of an import that nobody waits for any more.
        self._process.kill()
        self._process.wait()
        self._listener.join(timeout=5)

    def _send(self, request: dict[str, object]) -> None:
        assert self._process.stdin is not None
        try:
            with self._lock:
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise ServiceError(f"the process that starts stages ended; its last words are in {self._log}") from error

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
                job.set_exception(ServiceError(f"the process that starts stages was killed; see {self._log}"))
            self._jobs.clear()
