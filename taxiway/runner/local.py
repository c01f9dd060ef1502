"""Runs containers as processes: stages are forked from a server with their libraries loaded, others are started."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import IO

from components.contract.errors import ServiceError
from components.execution import provenance, stages
from components.processes import preload
from taxiway.packages import environments
from taxiway.runner.launcher import Ended, Job, ended
from taxiway.storage import cache

STOPPED = Ended(-signal.SIGTERM)


class LocalLauncher:
    """Containers as processes on this machine; a `Launcher`."""

    has_images = False
    uses_packages = True

    def __init__(self) -> None:
        self._log = Path(os.devnull)
        self._lock = threading.Lock()
        self._servers: dict[str, _Server] = {}
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def open(self, log: Path) -> None:
        """Sets the log for the servers' own output."""
        self._log = log

    def prepare(self, images: Collection[str]) -> None:
        """Does nothing: a process needs no image."""

    def digest(self, image: str) -> str:
        """Empty: a process needs no image."""
        return ""

    def identity(self, stage: str, image: str) -> str:
        """The version of the stage's code; processes do not use the image."""
        return provenance.stage_version(stage) if stage else ""

    def expect(self, stages: list[str]) -> None:
        """Starts to load the libraries of these stages."""
        for tree in {_tree(stage) for stage in stages if stage}:
            self._serving(tree)

    def start_ahead(self, job: Job) -> None:
        """Does nothing: processes fork from one with their libraries loaded."""

    def launch(self, job: Job) -> Ended:
        """Runs a process until it exits."""
        if self._stopped:
            return STOPPED
        if not job.stage:
            return self._run_command(job)
        own = job.scratch / "environment"
        environments.make(own)
        # The server already has the other variables.
        active = environments.activated({"PATH": os.environ.get("PATH", os.defpath), **job.environment}, own)
        try:
            return self._serving(_tree(job.stage)).run(replace(job, environment=active))
        except BrokenPipeError as error:
            self._save_output()
            raise ServiceError(f"the process that starts stages exited; its output is in {self._log}") from error

    def seen(self, job: Job, path: Path) -> Path | None:
        """The path itself."""
        return path

    def stop(self) -> None:
        """Sends SIGTERM to the process groups of all tasks."""
        self._signal(signal.SIGTERM)
        for server in self._all_servers():
            server.stop()

    def kill(self) -> None:
        """Sends SIGKILL to the process groups of all tasks, and kills the servers."""
        self._signal(signal.SIGKILL)
        for server in self._all_servers():
            server.kill()

    def close(self) -> None:
        """Ends the servers, and saves their output."""
        for server in self._servers.values():
            server.kill()
        self._save_output()
        for server in self._servers.values():
            server.delete_output()
            # In the background, because freeing gigabytes takes a while.
            threading.Thread(target=server.join, daemon=True).start()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                _signal(process, number)

    def _all_servers(self) -> list[_Server]:
        with self._lock:
            return list(self._servers.values())

    def _serving(self, tree: str) -> _Server:
        with self._lock:
            if tree not in self._servers:
                self._servers[tree] = _Server(tree)
            return self._servers[tree]

    def _save_output(self) -> None:
        output = "".join(server.output() for server in self._servers.values())
        if output:
            self._log.write_text(output)

    def _run_command(self, job: Job) -> Ended:
        installs, words = environments.split_installs(job.words)
        variables = {**environments.inherited(), **job.environment}
        below = (environments.kept(job.environments, installs, variables),) if installs else ()
        for folder in below:
            if failed := self._install(installs, folder, variables, job.log):
                return failed
        own = job.scratch / "environment"
        environments.make(own, below)
        return self._run_process(words, environments.activated(variables, own, *below), job.log)

    def _install(
        self, installs: environments.Installs, folder: Path, variables: Mapping[str, str], log: Path
    ) -> Ended | None:
        """Installs packages into an environment, once for all tasks; returns how that failed, if it did."""
        with cache.locked(folder):
            if environments.is_ready(folder):
                return None
            with log.open("a") as printed:
                printed.write(f"installing {', '.join(environments.names(installs))} into {folder}\n")
            try:
                return self._fill(installs, folder, variables, log)
            finally:
                # If the runner is killed here, the next one removes the environment, which is not ready.
                if not environments.is_ready(folder):
                    shutil.rmtree(folder, ignore_errors=True)

    def _fill(
        self, installs: environments.Installs, folder: Path, variables: Mapping[str, str], log: Path
    ) -> Ended | None:
        shutil.rmtree(folder, ignore_errors=True)
        environments.make(folder)
        active = environments.activated(variables, folder)
        for arguments in installs:
            end = self._run_process(environments.pip_install(folder, arguments), active, log)
            if end.status:
                with log.open("a") as printed:
                    printed.write(f"{environments.CANNOT_INSTALL}\n")
                return end
        environments.set_ready(folder)
        return None

    def _run_process(self, words: list[str], environment: Mapping[str, str], log_file: Path) -> Ended:
        guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [*guard, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            with self._lock:
                self._processes.add(process)
                if self._stopped:
                    _signal(process, signal.SIGTERM)
            try:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                return ended(status, usage)
            finally:
                with self._lock:
                    self._processes.discard(process)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Sends a signal to a process's group, if it has not ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _tree(stage: str) -> str:
    # An unknown stage, as from a pipeline of another version, is rejected by its own process.
    return preload.tree(stages.load(stage)) if stage in stages.names() else preload.LIGHT


class _Server:
    """The runner's end of a tree of `taxiway.runner.forkserver` processes."""

    def __init__(self, tree: str) -> None:
        # Gives the forked stages the same set order in every run.
        variables = {**preload.ENVIRONMENT, "PYTHONHASHSEED": "0", **environments.inherited()}
        # An unnamed file: when libraries are loaded ahead, the run has no folder yet.
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the server)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "taxiway.runner.forkserver", tree],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            env=variables,
            # Keeps Ctrl-C from reaching the server; the runner handles it.
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._numbers = count()
        self._jobs: dict[int, Future[Ended]] = {}
        self._stopped = False
        self._end: BaseException | None = None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def run(self, job: Job) -> Ended:
        """Forks a stage and waits until it exits.

        Raises:
            BrokenPipeError: The server has exited.
        """
        number, answer = next(self._numbers), Future[Ended]()
        with self._lock:
            if self._stopped:
                return STOPPED
            if self._end:
                raise self._end
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
        """Stops all stages."""
        with self._lock:
            self._stopped = True
            for job in self._jobs.values():
                job.set_result(STOPPED)
            self._jobs.clear()
        with contextlib.suppress(BrokenPipeError):
            self._send({"stop": True})

    def kill(self) -> None:
        """Kills the server, which may be in the middle of an import that is no longer needed."""
        assert self._process.stdin is not None
        # Kill first: closing the pipe would block behind a pending write.
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def join(self) -> None:
        """Waits until the server has ended."""
        self._process.wait()
        self._listener.join(timeout=5)

    def delete_output(self) -> None:
        """Deletes the file with the output."""
        self._output.close()

    def output(self) -> str:
        """The output of the server and its libraries."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def _send(self, request: dict[str, object]) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        """Receives the results of stages until the server exits; then fails the jobs that are still waiting."""
        assert self._process.stdout is not None
        end: BaseException = BrokenPipeError("the server exited")
        try:
            with self._process.stdout as answers:
                self._receive(answers)
        except BaseException as error:
            end = error
        with self._lock:
            self._end = end
            for job in self._jobs.values():
                job.set_exception(end)
            self._jobs.clear()

    def _receive(self, answers: IO[bytes]) -> None:
        for line in answers:
            answer = json.loads(line)
            number, end = answer.pop("job"), Ended(**answer)
            with self._lock:
                job = self._jobs.pop(number, None)
            if job:
                job.set_result(end)
