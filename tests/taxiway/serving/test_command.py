"""`taxiway serve`: its arguments, where it listens, and its errors."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import requests

from tests import forked
from tests.taxiway.serving import models, server

Saved = Callable[[str], Path]


@pytest.fixture(scope="module")
def base(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pushed") / "half"
    models.publish(saved("half_plus_two"), folder, 1)
    return folder


def refused(folder: Path, *arguments: str | Path) -> tuple[int, str]:
    """The exit status and output of a server that does not start."""
    log = folder / "refused.log"
    return forked.Process("taxiway", ["serve", *map(str, arguments)], log).wait(100), log.read_text()


@pytest.mark.parametrize("given", [["nothing"], [], ["version"], ["version", "--config", "x"]])
def test_an_invalid_folder_is_refused_before_tensorflow_is_imported(tmp_path: Path, given: list[str]) -> None:
    (tmp_path / "version").mkdir()
    (tmp_path / "version/saved_model.pb").write_bytes(b"")
    words = {"nothing": "there is no folder nothing", "version": "version is a version"}.get("".join(given), "no model")
    (tmp_path / "tensorflow.py").write_text("raise RuntimeError('TensorFlow is imported')")
    command = [sys.executable, "-m", "taxiway", "serve", *given]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(server.CHECKOUT)])}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {words}")


def test_a_server_that_does_not_start_prints_no_library_logs(tmp_path: Path) -> None:
    (tmp_path / "models.config").write_text("")
    command = [sys.executable, "-m", "taxiway", "serve", "--config", str(tmp_path / "models.config")]
    result = subprocess.run(command, cwd=server.CHECKOUT, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: "), result.stderr


def test_the_model_is_named_after_its_folder_or_by_an_option(base: Path, tmp_path: Path) -> None:
    with server.running(tmp_path, base, "--model-name", "other") as running:
        running.wait("other", {1: "AVAILABLE"})
        assert running.states("half") == {}
        log = running.log.read_text()
        assert f"serving other: gRPC at {running.address}, REST at {running.rest}" in log
        assert "other: loaded 1 in" in log
        assert running.address.startswith("127.0.0.1:")
        assert running.stop() == 0


def test_the_log_has_only_taxiways_lines(base: Path, tmp_path: Path) -> None:
    with server.running(tmp_path, base, cold=True) as running:
        running.wait(base.name, {1: "AVAILABLE"})
        lines = running.log.read_text().splitlines()
    assert len(lines) >= 2
    assert [line for line in lines if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z] ", line)] == []


def test_models_that_cannot_be_served_are_reported(base: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.config"
    empty.write_text("")
    for arguments, words in (
        ((), "give either the folder of a pushed model or --config FILE"),
        ((base, "--config", empty), "no model to serve"),
        ((tmp_path / "nothing",), "there is no folder"),
        ((base / "1",), f"serve the folder above it, {base}"),
        (("--config", empty), "has no model_config_list"),
        (("--config", empty, "--model-name", "x"), "remove one of them"),
        ((base, "--tls-cert", tmp_path / "cert"), "a certificate and its key go together"),
        ((base, "--public-key", tmp_path / "key"), "there is no file"),
        ((base, "--batching-parameters-file", tmp_path / "none"), "cannot be read"),
        ((base, "--reload-root", tmp_path / "none"), "there is no folder"),
        ((base, "--grpc-argument", "grpc.max_connection_age_ms"), "is not of the form NAME=VALUE"),
        ((base, "--saved-model-tags", ","), "--saved-model-tags is empty"),
        ((base, "--poll-seconds", "-1"), "Invalid value for '--poll-seconds'"),
    ):
        status, message = refused(tmp_path, *arguments)
        assert (status, words in message) == (2, True), (arguments, message)
        assert "Traceback" not in message


def test_an_occupied_port_is_reported(base: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for option in ("--port", "--rest-port"):
            other = {"--port": "--rest-port", "--rest-port": "--port"}[option]
            status, message = refused(tmp_path, base, option, port, other, "0")
            assert (status, f"cannot listen on port {port} of 127.0.0.1" in message) == (1, True), message


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    command += ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_mutual_tls_refuses_unknown_clients(base: Path, tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    with server.running(tmp_path, base, "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", cert) as running:
        known = grpc.ssl_channel_credentials(cert.read_bytes(), key.read_bytes(), cert.read_bytes())
        with grpc.secure_channel(running.address, known) as running.channel:
            running.wait("half", {1: "AVAILABLE"})
            assert running.predict("half", x=[1.0])["y"] == [2.5]
        unknown = grpc.ssl_channel_credentials(cert.read_bytes())
        with grpc.secure_channel(running.address, unknown) as running.channel, pytest.raises(grpc.RpcError) as error:
            running.predict("half", x=[1.0])
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        port = int(running.rest.rpartition(":")[2])
        with requests.Session() as session:
            session.trust_env = False
            url = f"https://localhost:{port}/v1/models/half:predict"
            answer = session.post(url, json={"instances": [1.0]}, verify=cert, cert=(cert, key), timeout=20)
            assert answer.json() == {"predictions": [2.5]}
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _unknown_client(port, cert)


def _unknown_client(port: int, ca: Path) -> None:
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("localhost", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as encrypted,
    ):
        encrypted.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        if not encrypted.recv(100):
            raise ConnectionResetError


def test_a_thousand_connections_do_no_harm(base: Path, tmp_path: Path) -> None:
    with server.running(tmp_path, base) as running:
        running.wait("half", {1: "AVAILABLE"})
        connections = []
        try:
            for address in (running.address, running.rest.removeprefix("http://")):
                host, port = address.split(":")
                for _ in range(400):
                    connections.append(socket.create_connection((host, int(port)), timeout=10))
            for connection in connections[400::2]:
                connection.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
            assert running.predict("half", x=[1.0])["y"] == [2.5]
            url = f"{running.rest}/v1/models/half:predict"
            assert requests.post(url, json={"instances": [1.0]}, timeout=20).json() == {"predictions": [2.5]}
        finally:
            for connection in connections:
                connection.close()
        assert running.predict("half", x=[1.0])["y"] == [2.5]


@pytest.mark.parametrize("batching", [False, True])
def test_the_server_recovers_from_overload(saved: Saved, tmp_path: Path, batching: bool) -> None:
    models.publish(saved("slow"), tmp_path / "slow", 1)
    options = ["--max-waiting", "8", *(["--enable-batching"] if batching else [])]
    with server.running(tmp_path, tmp_path / "slow", *options) as running:
        running.wait("slow", {1: "AVAILABLE"})
        calls = [
            running.predictions.Predict.future(server.request("slow", x=[[float(n)]]), timeout=30) for n in range(300)
        ]
        for n, call in enumerate(calls):
            if call.code() == grpc.StatusCode.OK:
                assert list(call.result().outputs["y"].float_val) == [float(n)]
            else:
                assert call.code() == grpc.StatusCode.UNAVAILABLE
        began = time.monotonic()
        assert running.predict("slow", x=[[5.0]])["y"] == [5.0]
        assert time.monotonic() - began < 10


def test_a_killed_server_leaves_nothing_behind(base: Path, tmp_path: Path) -> None:
    with server.running(tmp_path, base) as running:
        running.wait("half", {1: "AVAILABLE"})
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
    with server.running(tmp_path, base) as running:
        running.wait("half", {1: "AVAILABLE"})
        assert json.loads(requests.get(f"{running.rest}/readyz", timeout=20).text) == {"status": "ready"}
