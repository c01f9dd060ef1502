"""The servers under load, each in a process that ends with its block, with its output in a file."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from benchmarks import settings
from components.data.serving_stubs import get_model_status_pb2

NAME = "taxi"
KSERVE_REQUIREMENTS = Path(__file__).parent / "kserve-requirements.txt"
_KSERVE_SCRIPT = Path(__file__).parent / "serving_kserve.py"
_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
_START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A running server that is ready."""

    process: subprocess.Popen[bytes]
    grpc: str
    rest: str

    def rss_mb(self) -> float:
        """Its current memory."""
        return _memory_mb(self.process.pid, "VmRSS")

    def peak_mb(self) -> float:
        """Its peak memory."""
        return _memory_mb(self.process.pid, "VmHWM")

    def cpu_seconds(self) -> float:
        """The CPU time that it has used."""
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def metric(self, name: str) -> float:
        """The sum of a Prometheus metric over its labels."""
        with urllib.request.urlopen(f"http://{self.rest}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{re.escape(name)}[ {{]", line))

    def is_alive(self) -> bool:
        """Whether it is still running."""
        return self.process.poll() is None


def _memory_mb(pid: int, key: str) -> float:
    found = re.search(rf"{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None, f"process {pid} has ended"
    return int(found[1]) / 1024


@contextlib.contextmanager
def process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to a file; terminated at the end of the block."""
    environment = {**os.environ, **settings.ENVIRONMENT}
    with log.open("ab") as output, subprocess.Popen(command, stdout=output, stderr=output, env=environment) as started:
        try:
            yield started
        finally:
            started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(20)
            started.kill()


def wait(started: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool]) -> None:
    """Waits until a server is ready; ends the benchmark with the end of its log if it does not start."""
    end = time.monotonic() + _START_SECONDS
    while not is_ready():
        if started.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"the server did not start; the end of {log}:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def batching(*, rows: int, micros: int, threads: int, waiting: int = 1000) -> str:
    """TF Serving's batching parameters as text: rows per batch, timeout, threads, queued batches."""
    return (
        f"max_batch_size {{ value: {rows} }} batch_timeout_micros {{ value: {micros} }} "
        f"num_batch_threads {{ value: {threads} }} max_enqueued_batches {{ value: {waiting} }}"
    )


SINGLES = batching(rows=16, micros=2000, threads=1)
"""For many requests of one example: a batch waits until it is worth a call."""
BLOCKS = batching(rows=256, micros=0, threads=2)
"""For requests that fill a batch by themselves."""


@contextlib.contextmanager
def taxiway(folder: Path, work: Path, parameters: str = "", *options: str) -> Iterator[Server]:
    """`taxiway serve` on a folder of versions, once the latest is available.

    Args:
        folder: The folder; its name is the model's.
        work: The folder for its log and files; created if missing.
        parameters: The content of the batching parameters file; "" for no batching.
        options: Further options of `taxiway serve`.
    """
    work.mkdir(parents=True)
    address, log = work / "address", work / "log"
    command = [sys.executable, "-m", "taxiway", "serve", str(folder), "--port", "0", "--rest-port", "0"]
    command += ["--address-file", str(address), *options]
    if parameters:
        (work / "batching").write_text(parameters)
        command += ["--enable-batching", "--batching-parameters-file", str(work / "batching")]
    with process(command, log) as started:
        wait(started, log, address.exists)
        target, rest = address.read_text().splitlines()[:2]
        with status(target) as available:
            wait(started, log, lambda: bool(available()))
        yield Server(started, target, rest)


@contextlib.contextmanager
def status(target: str) -> Iterator[Callable[[], list[int]]]:
    """Returns a function that gets the status of the model's versions from a server.

    It uses a single connection, because opening one costs as much as several requests.
    """
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = NAME
    with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as channel:
        method = channel.unary_unary(
            _STATUS,
            request_serializer=get_model_status_pb2.GetModelStatusRequest.SerializeToString,
            response_deserializer=get_model_status_pb2.GetModelStatusResponse.FromString,
        )

        def available() -> list[int]:
            try:
                answer: Any = method(request, timeout=5)
            except grpc.RpcError:
                return []
            state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
            return [each.version for each in answer.model_version_status if each.state == state]

        yield available


@contextlib.contextmanager
def constant(response: Path, work: Path) -> Iterator[Server]:
    """The server that returns one constant response, from a file."""
    work.mkdir(parents=True)
    address, log = work / "address", work / "log"
    command = [sys.executable, "-m", "benchmarks.serving.constant", str(response), str(address)]
    with process(command, log) as started:
        wait(started, log, address.exists)
        yield Server(started, address.read_text().split()[0], "")


def kserve_python(folder: Path) -> Path:
    """The Python of an environment with kserve, which is created if missing."""
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != KSERVE_REQUIREMENTS.read_text():
        print(f"creating {folder} (2.4 GB)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(KSERVE_REQUIREMENTS)]
        subprocess.run([str(python), *install], check=True)
        shutil.copyfile(KSERVE_REQUIREMENTS, ready)
    return python


@contextlib.contextmanager
def kserve(python: Path, version: Path, work: Path) -> Iterator[Server]:
    """The KServe model server on a SavedModel."""
    work.mkdir(parents=True)
    log = work / "log"
    target, rest = free_port(), free_port()
    command = [str(python), str(_KSERVE_SCRIPT), "serve", str(version), NAME, str(target), str(rest)]
    with process(command, log) as started:
        wait(started, log, lambda: _listens(target) and _listens(rest))
        yield Server(started, f"127.0.0.1:{target}", f"127.0.0.1:{rest}")


def write_kserve_requests(python: Path, batches: Path, output: Path) -> None:
    """Writes the ModelInferRequests of batches."""
    subprocess.run([str(python), str(_KSERVE_SCRIPT), "requests", NAME, str(batches), str(output)], check=True)


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
