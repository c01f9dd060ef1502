"""Servers for the tests of `taxiway doctor`: fixed answers, a small Kubernetes API, and no answer at all."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests import loopback

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Server:
    """Answers by path: a status, and JSON or bytes. Other paths get a 404 `Status` object, as in Kubernetes."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, tuple[int, Any]] = {}
        self.token = ""
        self.denied: set[str] = set()
        self.requests: list[tuple[str, dict[str, str]]] = []

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        self.requests.append((path, headers))
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return 401, {"kind": "Status", "message": "Unauthorized", "code": 401}
        if path == REVIEWS:
            review = json.loads(body)["spec"]["resourceAttributes"]
            right = "/".join(filter(None, (review["resource"], review["subresource"])))
            return 201, {"status": {"allowed": f"{review['verb']} {right}" not in self.denied}}
        return self.answers.get(path, (404, {"kind": "Status", "message": f"{path} not found", "code": 404}))


@contextmanager
def serving() -> Iterator[Server]:
    """A server on loopback."""
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, document = served.answer(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

    with loopback.serving(Handler) as served.url:
        yield served


@contextmanager
def unresponsive_server() -> Iterator[str]:
    """An address that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def refusing() -> str:
    """An address on which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def write_kubeconfig(file: Path, url: str, token: str = "") -> None:
    """A kubeconfig with the context `here`."""
    settings = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {"token": token} if token else {}}],
    }
    file.write_text(json.dumps(settings))


def a_cluster(server: Server) -> None:
    """Answers of a small cluster: the namespace `ml`, a plain node, and one with two GPUs and a taint."""
    server.answers |= {
        "/version": (200, {"gitVersion": "v1.33.1"}),
        "/api/v1/namespaces/ml": (200, {"metadata": {"name": "ml"}, "status": {"phase": "Active"}}),
        "/api/v1/nodes": (200, {"items": [node("plain", cpu="4", memory="16Gi"), gpu_node()]}),
    }


def node(name: str, labels: dict[str, str] | None = None, taints: Any = (), **allocatable: str) -> dict[str, Any]:
    """A node as listed by the API."""
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": {"cpu": "4", "memory": "16Gi", **allocatable}},
    }


def gpu_node(**allocatable: str) -> dict[str, Any]:
    """A node with two GPUs, and the labels and taints of NVIDIA's device plugin and most clusters."""
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    labels = {"nvidia.com/gpu.present": "true"}
    return node("gpu", labels, [taint], **{"nvidia.com/gpu": "2", "cpu": "7910m", **allocatable})
