"""A minimal container engine and Kubernetes API: real HTTP, with processes as containers.

Each container or pod is a `tests.components.tiny_server`, controlled by its environment variables.
"""

from __future__ import annotations

import json
import re
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests import forked

TINY = "tests.components.tiny_server"


class Containers:
    """What is running: by name, a process, the document that it was created from, and its output file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.existing: dict[str, dict[str, Any]] = {}
        self.bodies: list[dict[str, Any]] = []
        self.removed: list[str] = []
        self._processes: dict[str, forked.Process] = {}

    def make(self, name: str, body: dict[str, Any]) -> None:
        self.existing[name] = body
        self.bodies.append(body)

    def start(self, name: str, base: str, port: int, environment: dict[str, str]) -> None:
        words = ["serve", base, "--port", str(port), "--rest-port", "0", "--address-file", str(self.address_file(name))]
        self._processes[name] = forked.Process(TINY, words, self.log(name), environment)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def address_file(self, name: str) -> Path:
        return self.folder / f"{name}.address"

    def status(self, name: str) -> int | None:
        return self._processes[name].poll() if name in self._processes else None

    def remove(self, name: str) -> None:
        if process := self._processes.pop(name, None):
            process.kill()
            process.wait()
        del self.existing[name]
        self.removed.append(name)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    containers: Containers

    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        return dict(json.loads(self.rfile.read(length) or b"{}"))

    def answer(self, document: Any, status: int = 200) -> None:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(document, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Engine(_Handler):
    def address_string(self) -> str:
        return "local"

    def do_GET(self) -> None:
        path = self.path
        if path.endswith("/_ping"):
            self.answer(b"OK")
        elif path.endswith("/version"):
            self.answer({"ApiVersion": "1.44"})
        elif match := re.search(r"/containers/([\w-]+)/json", path):
            self._describe(match[1])
        elif match := re.search(r"/containers/([\w-]+)/logs", path):
            printed = self.containers.log(match[1]).read_bytes()
            # A frame in Docker's stream: stdout, three zeros, and the length.
            self.answer(bytes([1, 0, 0, 0]) + len(printed).to_bytes(4, "big") + printed)

    def do_POST(self) -> None:
        body = self.body()
        if "/containers/create" in self.path:
            [name] = parse_qs(urlsplit(self.path).query)["name"]
            if body["Image"] == "nowhere/image:1":
                self.answer({"message": "No such image: nowhere/image:1"}, 404)
                return
            self.containers.make(name, body)
            self.answer({"Id": name, "Warnings": []}, 201)
        elif match := re.search(r"/containers/([\w-]+)/start", self.path):
            body = self.containers.existing[match[1]]
            environment = dict(pair.split("=", 1) for pair in body["Env"])
            source = body["HostConfig"]["Binds"][0].split(":")[0]
            self.containers.start(match[1], source, 0, environment)
            self.answer(b"", 204)
        elif "/images/create" in self.path:
            self.answer({"message": "pull access denied for nowhere/image"}, 404)

    def do_DELETE(self) -> None:
        self.containers.remove(urlsplit(self.path).path.rpartition("/")[2])
        self.answer(b"", 204)

    def _describe(self, name: str) -> None:
        if name not in self.containers.existing:
            self.answer({"message": f"No such container: {name}"}, 404)
            return
        status, address = self.containers.status(name), self.containers.address_file(name)
        state = {"Status": "running" if status is None else "exited", "ExitCode": status, "OOMKilled": False}
        port = address.read_text().strip().rpartition(":")[2] if address.exists() else None
        ports = {"8500/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}] if port else None}
        self.answer({"Id": name, "Config": {"Tty": False}, "State": state, "NetworkSettings": {"Ports": ports}})


class _Cluster(_Handler):
    host = "127.83.64.1"
    """A pod's port is fixed, so each pod gets its own loopback address."""

    def do_POST(self) -> None:
        body = self.body()
        container = body["spec"]["containers"][0]
        name = body["metadata"]["name"]
        if "forbidden" in self.path:
            self.answer({"message": "pods is forbidden"}, 403)
            return
        self.containers.make(name, body)
        environment = {variable["name"]: variable["value"] for variable in container["env"]}
        if container["image"] != "nowhere/image:1":
            base = f"{environment['MODEL_BASE_PATH']}/{environment['MODEL_NAME']}"
            self.containers.start(name, base, 8500, {**environment, "TINY_HOST": self.host})
        self.answer(body, 201)

    def do_GET(self) -> None:
        name = urlsplit(self.path).path.removesuffix("/log").rpartition("/")[2]
        if urlsplit(self.path).path.endswith("/log"):
            self.answer(self.containers.log(name).read_bytes())
            return
        body = self.containers.existing[name]
        self.answer({**body, "status": self._status(name, body["spec"]["containers"][0]["image"])})

    def do_DELETE(self) -> None:
        name = urlsplit(self.path).path.rpartition("/")[2]
        if name in self.containers.existing:
            self.containers.remove(name)
            self.answer({"kind": "Status", "status": "Success"})
        else:
            self.answer({"message": "not found"}, 404)

    def _status(self, name: str, image: str) -> dict[str, Any]:
        if image == "nowhere/image:1":
            state = {"waiting": {"reason": "ErrImagePull", "message": "nowhere/image:1: not found"}}
            return {"phase": "Pending", "containerStatuses": [_container_status(image, state)]}
        code = self.containers.status(name)
        if code is not None:
            state = {"terminated": {"reason": "Error", "exitCode": code}}
            return {"phase": "Failed", "containerStatuses": [_container_status(image, state)]}
        ready = self.containers.address_file(name).exists()
        return {"phase": "Running", "podIP": self.host} if ready else {"phase": "Pending"}


def _container_status(image: str, state: dict[str, Any]) -> dict[str, Any]:
    common = {"name": "model-server", "image": image, "imageID": "", "ready": False, "restartCount": 0}
    return {**common, "state": state}


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("local", 0)


@contextmanager
def _serving(server: Any, containers: Containers) -> Iterator[Containers]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield containers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for name in list(containers.existing):
            containers.remove(name)


@contextmanager
def container_engine(folder: Path) -> Iterator[Containers]:
    """Docker's API on the socket `<folder>/engine.sock`."""
    containers = Containers(folder)
    handler = type("Engine", (_Engine,), {"containers": containers})
    with _serving(_UnixServer(str(folder / "engine.sock"), handler), containers) as served:
        yield served


@contextmanager
def cluster(folder: Path) -> Iterator[Containers]:
    """The Kubernetes API for pods, and a `<folder>/kubeconfig` for it."""
    containers = Containers(folder)
    handler = type("Cluster", (_Cluster,), {"containers": containers})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    context = {"name": "here", "context": {"cluster": "here", "user": "me"}}
    url = f"http://127.0.0.1:{server.server_port}"
    settings = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [context],
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(settings))
    with _serving(server, containers) as served:
        yield served


def until(condition: Any, seconds: float = 30) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
