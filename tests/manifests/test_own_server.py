"""Taxiway's server and proxy with the arguments and files of the overlays, on free ports."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.manifests.objects import MANIFESTS, build, one, pods
from tests.taxiway.serving import models
from tests.taxiway.serving.server import ask
from tests.taxiway.small_servers import Running, running

PREDICT = "v1/models/chicago_taxi:predict"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The server of overlays/taxiway-serve with one version of a small model."""
    folder = tmp_path_factory.mktemp("server")
    models.publish(models.write("half_plus_two", folder / "model"), folder / "models/chicago_taxi", 1)
    objects = build("overlays/taxiway-serve")
    [pod] = pods(objects)
    for mount in ("/config", "/models.config"):
        _write_config(objects, pod.spec, pod.server, mount, folder)
    with running(folder, *_command(pod.server, folder)) as started:
        _await(f"{started.rest}{pod.server['readinessProbe']['httpGet']['path']}", started)
        yield started


def _await(url: str, server: Running) -> None:
    deadline = time.monotonic() + 30
    while requests.get(url, timeout=30).status_code != 200:
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.02)


def _write_config(objects: Any, spec: Any, container: Any, mount: str, folder: Path) -> None:
    """Writes a ConfigMap's files below a folder, with their paths moved there."""
    [volume] = [each["name"] for each in container["volumeMounts"] if each["mountPath"] == mount]
    [source] = [each["configMap"]["name"] for each in spec["volumes"] if each["name"] == volume]
    place = folder / mount.removeprefix("/")
    place.mkdir()
    for name, text in one(objects, "ConfigMap", source)["data"].items():
        (place / name).write_text(text.replace('"/models/', f'"{folder}/models/'))


def _command(container: Any, folder: Path) -> list[str]:
    """The container's command, without its Python, with free ports and paths below a folder."""
    assert container["command"][:2] == ["python", "-m"]
    ports = {"--port=8500": "--port=0", "--rest-port=8501": "--rest-port=0"}
    arguments = [ports.get(argument, argument).replace("=/", f"={folder}/") for argument in container["args"]]
    return [*container["command"][2:], *arguments, "--host=127.0.0.1"]


def test_the_server_answers_its_probes(server: Running) -> None:
    [pod] = pods(build("overlays/taxiway-serve"))
    assert requests.get(f"{server.rest}{pod.server['livenessProbe']['httpGet']['path']}", timeout=30).status_code == 200
    assert ask(f"{server.rest}/{PREDICT}", {"instances": [1.0, 2.0]}) == (200, {"predictions": [2.5, 3.0]})


def test_the_router_forwards_to_the_servers(server: Running, tmp_path: Path) -> None:
    [router] = [pod for pod in pods(build("overlays/canary")) if pod.workload.endswith("router")]
    [container] = router.containers
    (tmp_path / "config").mkdir()
    settings = yaml.safe_load((MANIFESTS / "components/router/route.yaml").read_text())
    assert (settings["host"], settings["port"], settings["rest_port"]) == ("0.0.0.0", 8500, 8501)
    settings |= {"host": "127.0.0.1", "port": 0, "rest_port": 0, "admin_port": 0}
    service = one(build("overlays/canary"), "Service", "tf-serving-models")["metadata"]["name"]
    assert settings["backends"] == {"servers": {"grpc": f"{service}:8500", "rest": f"{service}:8501"}}
    settings["backends"] = {"servers": {"grpc": server.addresses[0], "rest": server.addresses[1]}}
    (tmp_path / "config/route.yaml").write_text(yaml.safe_dump(settings))
    command = [argument for argument in _command(container, tmp_path) if argument != "--host=127.0.0.1"]
    with running(tmp_path, *command) as proxy:
        ready = container["readinessProbe"]["httpGet"]["path"]
        assert ready == "/readyz"
        assert ask(f"{proxy.rest}/{PREDICT}", {"instances": [4.0]}) == (200, {"predictions": [4.0]})
