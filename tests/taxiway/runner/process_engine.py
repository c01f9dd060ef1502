"""A minimal container engine: Docker's API over real HTTP, with a process for each container."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.components.engines import _Handler, _serving, _UnixServer

ARCHITECTURE = os.uname().machine
_IMAGE_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(ARCHITECTURE, ARCHITECTURE)


def image(
    content: str, architecture: str = _IMAGE_ARCHITECTURE, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    """An engine's description of an image."""
    return {
        "Id": f"sha256:{content}",
        "Architecture": architecture,
        "RepoTags": [],
        "RepoDigests": [],
        "Created": "2026-01-02T03:04:05.678901234Z",
        "Config": {"Labels": labels or {}},
    }


@dataclass
class Containers:
    """The engine's images by name, the documents that containers were created from, and their results.

    Attributes:
        variables: Environment variables of the images, besides PATH.
        out_of_memory: Whether containers that are killed were out of memory.
    """

    folder: Path
    images: dict[str, dict[str, Any]] = field(default_factory=lambda: {"any:1": image("1")})
    existing: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    out_of_memory: bool = False
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        body = self.existing[name]
        variables = dict(pair.split("=", 1) for pair in body.get("Env") or [])
        with self.log(name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*(body.get("Entrypoint") or ["echo", "the image's own command:"]), *body["Cmd"]],
                cwd=body.get("WorkingDir"),
                env={"PATH": os.environ["PATH"], **self.variables, **variables},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def status(self, name: str) -> int:
        """The exit status in an engine's format, once the container has ended."""
        status = self.processes[name].wait()
        return 128 - status if status < 0 else status

    def remove(self, name: str) -> None:
        if process := self.processes.pop(name, None):
            process.kill()
            process.wait()
        self.existing.pop(name, None)


class _Engine(_Handler):
    containers: Containers  # type: ignore[assignment]

    def address_string(self) -> str:
        return "local"

    def _path(self) -> str:
        return unquote(re.sub(r"^/v[\d.]+", "", urlsplit(self.path).path))

    def do_GET(self) -> None:
        path = self._path()
        if path in ("/_ping", "/version", "/info"):
            self.answer({"ApiVersion": "1.44", "Architecture": ARCHITECTURE, "SecurityOptions": []})
        elif match := re.fullmatch(r"/images/(.+)/json", path):
            known = {**self.containers.images, **{each["Id"]: each for each in self.containers.images.values()}}
            self._answer_known(known, match[1], "image")
        elif path == "/containers/json":
            [wanted] = json.loads(parse_qs(urlsplit(self.path).query)["filters"][0])["label"]
            listed = self.containers.existing.items()
            self.answer(
                [{"Id": name} for name, body in listed if dict([wanted.split("=")]).items() <= body["Labels"].items()]
            )
        elif match := re.fullmatch(r"/containers/(\w+)/json", path):
            self._describe(match[1])
        elif match := re.fullmatch(r"/containers/(\w+)/logs", path):
            self._print(match[1])

    def do_POST(self) -> None:
        path, body = self._path(), self.body()
        if path == "/containers/create":
            name = uuid.uuid4().hex
            self.containers.existing[name] = body
            self.containers.bodies.append(body)
            self.answer({"Id": name, "Warnings": []}, 201)
        elif path == "/images/create":
            self.answer({"message": "pull access denied"}, 404)
        elif match := re.fullmatch(r"/containers/(\w+)/(start|stop|wait)", path):
            getattr(self, f"_{match[2]}")(match[1])

    def do_DELETE(self) -> None:
        self.containers.remove(self._path().rpartition("/")[2])
        self.answer(b"", 204)

    def _start(self, name: str) -> None:
        try:
            self.containers.start(name)
        except FileNotFoundError as error:
            self.answer({"message": f"exec: {error.filename}: not found"}, 400)
        else:
            self.answer(b"", 204)

    def _stop(self, name: str) -> None:
        self.containers.processes[name].terminate()
        self.answer(b"", 204)

    def _wait(self, name: str) -> None:
        if name in self.containers.processes:
            self.answer({"StatusCode": self.containers.status(name)})
        else:
            self.answer({"message": f"No such container: {name}"}, 404)

    def _print(self, name: str) -> None:
        if process := self.containers.processes.get(name):
            process.wait()
        printed = self.containers.log(name).read_bytes()
        # A frame in Docker's stream: stdout, three zeros, and the length.
        self.answer(bytes([1, 0, 0, 0]) + len(printed).to_bytes(4, "big") + printed)

    def _describe(self, name: str) -> None:
        out_of_memory, process = self.containers.out_of_memory, self.containers.processes.get(name)
        status = "running" if process and process.poll() is None else "exited"
        described = {
            "Id": name,
            "Config": {"Tty": False},
            "HostConfig": {"LogConfig": {"Type": "json-file"}},
            "State": {"OOMKilled": out_of_memory, "Status": status},
        }
        self._answer_known(dict.fromkeys(self.containers.existing, described), name, "container")

    def _answer_known(self, known: dict[str, Any], name: str, what: str) -> None:
        if name in known:
            self.answer(known[name])
        else:
            self.answer({"message": f"No such {what}: {name}"}, 404)


@contextmanager
def process_engine() -> Iterator[tuple[Containers, str]]:
    """Containers, and the URL of their engine."""
    # A socket's path is limited to about 100 characters.
    with tempfile.TemporaryDirectory() as folder:
        containers = Containers(Path(folder))
        socket = f"{folder}/engine.sock"
        handler = type("Engine", (_Engine,), {"containers": containers})
        with _serving(_UnixServer(socket, handler), containers):  # type: ignore[arg-type]
            yield containers, f"unix://{socket}"
