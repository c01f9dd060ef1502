"""Options that are counterparts of TF Serving's flags, tested together on one server."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
import requests
from tensorflow_serving.apis import model_management_pb2, prediction_service_pb2_grpc

from taxiway.serving.model_manager import ModelManager
from tests.taxiway.serving import models, server

Saved = Callable[[str], Path]
CODE = grpc.StatusCode


@dataclass
class Having:
    """The server, its socket, and the root folder for base paths from clients."""

    running: server.Server
    socket: Path
    root: Path


@pytest.fixture(scope="module")
def having(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Having]:
    folder = tmp_path_factory.mktemp("options")
    root, base = folder / "root", folder / "half"
    _retag(models.publish(saved("half_plus_two"), base, 1))
    (base / "1" / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
    _retag(models.publish(saved("half_plus_three"), root / "other", 1))
    options: list[Any] = ["--saved-model-tags", "special, serve", "--poll-seconds", "0", "--reload-root", root]
    options += ["--grpc-socket", folder / "socket", "--grpc-argument", "grpc.max_receive_message_length=9000", "--cors"]
    options += ["--rest-timeout-seconds", "0.5", "--per-model-batching", "--allow-labels-of-unavailable-versions"]
    with server.running(folder, base, *options) as running:
        running.wait("half", {1: "AVAILABLE"})
        yield Having(running, folder / "socket", root)


def _retag(version: Path) -> None:
    """Changes the tags of a SavedModel's graph."""
    from tensorflow.core.protobuf import saved_model_pb2

    file = version / "saved_model.pb"
    parsed = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    parsed.meta_graphs[0].meta_info_def.tags[:] = ["serve", "special"]
    file.write_bytes(parsed.SerializeToString())


def reload(running: server.Server, *bases: Path, **labels: int) -> tuple[grpc.StatusCode, str]:
    """Sends a reload request with models by base path; the labels are for the first one."""
    request = model_management_pb2.ReloadConfigRequest()
    for base in bases:
        added = request.config.model_config_list.config.add(name=base.name, base_path=str(base))
        added.model_platform = "tensorflow"
    request.config.model_config_list.config[0].version_labels.update(labels)
    try:
        running.models.HandleReloadConfigRequest(request, timeout=60)
    except grpc.RpcError as error:
        return error.code(), str(error.details())
    return CODE.OK, ""


def half(having: Having) -> Path:
    return having.root.parent / "half"


def test_requests_are_answered_on_the_unix_socket_too(having: Having) -> None:
    with grpc.insecure_channel(f"unix:{having.socket}") as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = service.Predict(server.request("half", x=[1.0]), timeout=20)
    assert list(answer.outputs["y"].float_val) == [2.5]
    assert having.running.predict("half", x=[1.0])["y"] == [2.5]


def test_channel_arguments_are_passed_to_grpc(having: Having) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        having.running.predict("half", x=[1.0] * 3000)
    assert refused.value.code() == CODE.RESOURCE_EXHAUSTED
    assert "9000" in refused.value.details()


def test_a_version_is_batched_by_its_own_parameters_file(having: Having) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        having.running.predict("half", x=[1.0] * 3)
    assert refused.value.details() == "Task size 3 is larger than maximum input batch size 2"
    assert reload(having.running, half(having), having.root / "other") == (CODE.OK, "")
    assert having.running.predict("other", x=[1.0] * 3)["y"].tolist() == [3.5] * 3


def test_cors_is_supported(having: Having) -> None:
    url = f"{having.running.rest}/v1/models"
    answers = [
        requests.post(f"{url}/half:predict", json={"instances": [1.0]}, timeout=20),
        requests.post(f"{url}/half:predict", data="{", timeout=20),
        requests.options(f"{url}/half:predict", headers={"Origin": "https://a.example"}, timeout=20),
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 200]
    for answer in answers:
        found = {name: value for name, value in answer.headers.items() if name.startswith("Access-Control")}
        assert found == {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "POST, GET",
            "Access-Control-Allow-Headers": "Content-Type",
        }
    assert "Access-Control-Allow-Origin" not in requests.get(f"{having.running.rest}/metrics", timeout=20).headers


def test_rest_requests_have_the_configured_timeout(having: Having) -> None:
    host, _, port = having.running.rest.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"POST /v1/models/half:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 408
        assert answer.read() == b'{"error":"No data of the request\'s body arrived for 0.5 s"}'


def test_clients_may_only_name_base_paths_inside_the_root(having: Having) -> None:
    outside = having.root.parent / "outside"
    models.publish(having.root / "other" / "1", outside, 1)
    (having.root / "link").symlink_to(outside)
    (having.root / "inner").symlink_to(having.root / "other")
    assert reload(having.running, half(having), having.root / "inner") == (CODE.OK, "")
    assert having.running.predict("inner", x=[1.0])["y"] == [3.5]
    for escape in (outside, having.root / "link", having.root / ".." / "outside", having.root.parent, Path("/etc")):
        code, words = reload(having.running, half(having), escape)
        assert code == CODE.PERMISSION_DENIED, escape
        assert "--reload-root" in words
    assert having.running.predict("inner", x=[1.0])["y"] == [3.5]


def test_clients_cannot_redirect_request_logs(having: Having, tmp_path: Path) -> None:
    request = model_management_pb2.ReloadConfigRequest()
    added = request.config.model_config_list.config.add(name="half", base_path=str(half(having)))
    added.logging_config.log_collector_config.filename_prefix = str(tmp_path / "log")
    added.logging_config.sampling_config.sampling_rate = 1.0
    with pytest.raises(grpc.RpcError) as refused:
        having.running.models.HandleReloadConfigRequest(request, timeout=60)
    assert refused.value.code() == CODE.PERMISSION_DENIED
    assert refused.value.details().startswith(f"filename_prefix {tmp_path}/log of model half is outside")
    added.logging_config.log_collector_config.filename_prefix = str(having.root / "logs" / "log")
    having.running.models.HandleReloadConfigRequest(request, timeout=60)
    assert having.running.predict("half", x=[1.0])["y"] == [2.5]


def test_a_new_label_may_name_a_version_that_does_not_exist(having: Having) -> None:
    assert reload(having.running, half(having), stable=1, coming=7) == (CODE.OK, "")
    coming = server.request("half", x=[1.0])
    coming.model_spec.version_label = "coming"
    with pytest.raises(grpc.RpcError) as missing:
        having.running.predictions.Predict(coming, timeout=20)
    assert (missing.value.code(), missing.value.details()) == (
        CODE.NOT_FOUND, "Servable not found for request: Specific(half, 7)",
    )  # fmt: skip
    # A label does not move from an existing version to one that does not exist.
    code, words = reload(having.running, half(having), stable=7)
    assert code == CODE.FAILED_PRECONDITION
    assert "label stable to version 7 of model half" in words
    coming.model_spec.version_label = "stable"
    assert having.running.predictions.Predict(coming, timeout=20).model_spec.version.value == 1


def test_without_polling_a_client_can_load_a_new_version(having: Having) -> None:
    _retag(models.publish(half(having) / "1", half(having), 2))
    assert having.running.states("half") == {1: "AVAILABLE"}
    assert reload(having.running, half(having)) == (CODE.OK, "")
    having.running.wait("half", {2: "AVAILABLE"})


def test_without_polling_the_folder_is_read_once_and_reloads_are_reported() -> None:
    async def run() -> None:
        manager, looks = ModelManager([], cast(Any, SimpleNamespace(metrics=None)), poll_seconds=0), list[int]()
        following = asyncio.create_task(manager.follow(None, lambda: looks.append(len(looks))))
        for expected in ([0], [0, 1]):
            for _ in range(100):
                await asyncio.sleep(0)
            assert looks == expected
            await manager.reconfigure([])
        following.cancel()

    asyncio.run(run())


def test_unknown_tags_are_refused(saved: Saved, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), tmp_path / "half", 1)
    options = ["--saved-model-tags", "gpu", "--grpc-socket", tmp_path / "socket"]
    with server.running(tmp_path, tmp_path / "half", *options) as running:
        running.wait("half", {1: "END"})
        assert "'gpu'" in running.error("half", 1)
        # A second server does not take over the socket; a socket left by a killed server is replaced.
        (tmp_path / "second").mkdir()
        taken = pytest.raises(AssertionError, match="another server listens on the socket")
        with taken, server.running(tmp_path / "second", tmp_path / "half", *options):
            pass
        running.process.kill()
        running.process.wait()
        assert (tmp_path / "socket").is_socket()
    with server.running(tmp_path, tmp_path / "half", "--grpc-socket", tmp_path / "socket") as running:
        running.wait("half", {1: "AVAILABLE"})
        with grpc.insecure_channel(f"unix:{tmp_path}/socket") as channel:
            service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            assert service.Predict(server.request("half", x=[1.0]), timeout=20).model_spec.version.value == 1
        assert running.stop() == 0
    assert not os.path.lexists(tmp_path / "socket")
