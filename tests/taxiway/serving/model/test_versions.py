"""Versions are loaded, removed and damaged while clients send requests; clients see no errors."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from tensorflow_serving.apis import model_management_pb2, prediction_log_pb2

from components.data import tfrecord
from components.execution.pushed_models import WARMUP_FILE
from taxiway.serving.model.saved_model import SavedModel
from tests.taxiway.serving import models, server

Saved = Callable[[str], Path]
NAME = "half"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / NAME


@contextmanager
def under_load(running: server.Server, threads: int = 2) -> Iterator[list[Any]]:
    """Sends requests while the block runs; yields errors and latencies."""
    ended, failed = threading.Event(), list[Any]()

    def ask() -> None:
        while not ended.is_set():
            try:
                [answer] = running.predict(NAME, x=[2.0])["y"].tolist()
                if answer not in (3.0, 4.0):
                    failed.append(answer)
            except grpc.RpcError as error:
                failed.append((error.code(), error.details()))

    asking = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in asking:
        thread.start()
    try:
        yield failed
    finally:
        ended.set()
        for thread in asking:
            thread.join()


def swap(running: server.Server, saved: Saved, base: Path, swaps: int) -> None:
    for number in range(2, swaps + 2):
        models.publish(saved("half_plus_three" if number % 2 else "half_plus_two"), base, number)
        running.wait(NAME, {number: "AVAILABLE", number - 1: "END"})
        shutil.rmtree(base / str(number - 1))


@pytest.mark.parametrize("swaps", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_versions_are_swapped_under_load(saved: Saved, base: Path, tmp_path: Path, swaps: int) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        with under_load(running) as failed:
            swap(running, saved, base, swaps)
        assert failed == []


def test_only_the_loading_thread_has_lower_priority(saved: Saved, base: Path, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        swap(running, saved, base, 1)
        threads = Path(f"/proc/{running.process.pid}/task").iterdir()
        nice = [int((thread / "stat").read_text().rpartition(")")[2].split()[16]) for thread in threads]
        # The tests themselves may have a nice value.
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert sorted(set(nice)) == sorted({own, min(own + 10, 19)})
        assert own > 18 or nice.count(min(own + 10, 19)) == 1


def test_a_closed_model_is_freed_without_garbage_collection(saved: Saved) -> None:
    gc.collect()
    gc.disable()
    try:
        model = SavedModel(saved("half_plus_two"))
        graph = weakref.ref(model._session.graph)
        assert graph() is not None
        model.close()
        assert graph() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_unloaded_versions_leave_no_memory_behind(saved: Saved, base: Path, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        swap(running, saved, base, 20)
        before = running.rss_mb()
        for number in range(22, 122):
            models.publish(saved("half_plus_two"), base, number)
            running.wait(NAME, {number: "AVAILABLE", number - 1: "END"})
            shutil.rmtree(base / str(number - 1))
        assert running.rss_mb() - before < 100


def damage_graph(folder: Path) -> None:
    (folder / "saved_model.pb").write_bytes(b"\x0a\xff\xff\xff\xff\x0f no model")


def damage_variables(folder: Path) -> None:
    for file in (folder / "variables").iterdir():
        file.write_bytes(file.read_bytes()[:10])


def delete_graph(folder: Path) -> None:
    (folder / "saved_model.pb").unlink()


def delete_variables(folder: Path) -> None:
    shutil.rmtree(folder / "variables")


@pytest.mark.parametrize("spoil", [damage_graph, damage_variables, delete_graph, delete_variables])
def test_a_broken_version_is_reported_and_the_last_good_one_is_served(
    saved: Saved, base: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    broken = tmp_path / "broken"
    shutil.copytree(saved("half_plus_three"), broken)
    spoil(broken)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        with under_load(running) as failed:
            models.publish(broken, base, 2)
            running.wait(NAME, {1: "AVAILABLE", 2: "END"})
            assert running.error(NAME, 2) != ""
            assert running.predict(NAME, x=[2.0])["y"] == [3.0]
            # A version that is fixed in place is loaded.
            shutil.rmtree(base / "2")
            models.publish(saved("half_plus_three"), base, 2)
            running.wait(NAME, {2: "AVAILABLE", 1: "END"})
        assert failed == []
        assert running.predict(NAME, x=[2.0])["y"] == [4.0]


@pytest.mark.slow
def test_a_hundred_broken_versions(saved: Saved, base: Path, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    rng = np.random.default_rng(3)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        with under_load(running) as failed:
            for number in range(2, 102):
                shutil.copytree(saved("half_plus_three"), tmp_path / "broken")
                data = bytearray((tmp_path / "broken" / "saved_model.pb").read_bytes())
                del data[int(rng.integers(1, len(data))) :]
                (tmp_path / "broken" / "saved_model.pb").write_bytes(bytes(data))
                (tmp_path / "broken").rename(base / str(number))
                running.wait(NAME, {1: "AVAILABLE", number: "END"})
                assert running.error(NAME, number)
        assert failed == []


def test_the_previous_version_replaces_a_removed_one(saved: Saved, base: Path, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    models.publish(saved("half_plus_three"), base, 2)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {2: "AVAILABLE"})
        assert running.states(NAME) == {2: "AVAILABLE"}
        with under_load(running) as failed:
            (base / "2").rename(base / "2.retired")
            running.wait(NAME, {1: "AVAILABLE", 2: "END"})
        assert failed == []


def test_a_base_path_that_cannot_be_read_removes_nothing(saved: Saved, base: Path, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        base.rename(tmp_path / "away")
        time.sleep(0.3)
        assert running.predict(NAME, x=[2.0])["y"] == [3.0]
        assert "cannot be read" in running.log.read_text()
        (tmp_path / "away").rename(base)
        models.publish(saved("half_plus_three"), base, 2)
        running.wait(NAME, {2: "AVAILABLE"})


def test_a_server_without_versions_waits_for_one(saved: Saved, base: Path, tmp_path: Path) -> None:
    base.mkdir()
    (base / "v1").mkdir()
    with server.running(tmp_path, base) as running:
        assert requests.get(f"{running.rest}/readyz", timeout=20).status_code == 503
        assert requests.get(f"{running.rest}/healthz", timeout=20).status_code == 200
        with pytest.raises(grpc.RpcError) as error:
            running.predict(NAME, x=[1.0])
        assert error.value.details() == f"Servable not found for request: Latest({NAME})"
        models.publish(saved("half_plus_two"), base, 7)
        running.wait(NAME, {7: "AVAILABLE"})
        assert requests.get(f"{running.rest}/readyz", timeout=20).status_code == 200


def config(base: Path, body: str) -> str:
    return (
        f'model_config_list {{ config {{ name: "{NAME}" base_path: "{base}" model_platform: "tensorflow" {body} }} }}'
    )


def test_the_configuration_chooses_versions_and_labels_while_the_server_runs(
    saved: Saved, base: Path, tmp_path: Path
) -> None:
    for number, name in ((1, "half_plus_two"), (2, "half_plus_three"), (3, "half_plus_two")):
        models.publish(saved(name), base, number)
    file = tmp_path / "models.config"
    file.write_text(config(base, "model_version_policy { specific { versions: 1 versions: 2 } }"))
    with server.running(tmp_path, "--config", file) as running:
        running.wait(NAME, {1: "AVAILABLE", 2: "AVAILABLE"})
        assert 3 not in running.states(NAME)
        labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }'
        file.write_text(config(base, "model_version_policy { all {} }" + labels))
        running.wait(NAME, {1: "AVAILABLE", 2: "AVAILABLE", 3: "AVAILABLE"})
        assert labelled(running, "stable") == 3.0
        assert labelled(running, "canary") == 4.0
        file.write_text("model_config_list { config {")
        time.sleep(0.3)
        assert labelled(running, "stable") == 3.0
        assert "write it as TF Serving's ModelServerConfig" in running.log.read_text()
        file.write_text(config(base, "model_version_policy { latest { num_versions: 2 } }" + labels))
        running.wait(NAME, {1: "END", 2: "AVAILABLE", 3: "AVAILABLE"})
        url = f"{running.rest}/v1/models/{NAME}/labels/stable:predict"
        assert requests.post(url, json={"instances": [2.0]}, timeout=20).status_code == 404


def labelled(running: server.Server, label: str) -> float:
    """The answer of the version with a label, once the label exists."""
    request = server.request(NAME, x=[2.0])
    request.model_spec.version_label = label
    deadline = time.monotonic() + 20
    while (call := running.predictions.Predict.future(request, timeout=20)).code() != grpc.StatusCode.OK:
        assert time.monotonic() < deadline, call.details()
        time.sleep(0.02)
    return float(call.result().outputs["y"].float_val[0])


def reload(
    running: server.Server,
    *configs: dict[str, Any],
    labels: dict[str, int] | None = None,
    versions: Sequence[int] = (),
) -> str:
    """Sends a reload request; returns the reason if it was rejected."""
    request = model_management_pb2.ReloadConfigRequest()
    for each in configs:
        added = request.config.model_config_list.config.add(**each)
        if versions:
            added.model_version_policy.specific.versions.extend(versions)
        for label, number in (labels or {}).items():
            added.version_labels[label] = number
    try:
        answer = running.models.HandleReloadConfigRequest(request, timeout=60)
    except grpc.RpcError as error:
        return str(error.details())
    return str(answer.status.error_message)


def test_a_reload_answers_after_the_models_are_loaded(saved: Saved, base: Path, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    models.publish(saved("half_plus_three"), base, 2)
    models.publish(saved("half_plus_three"), base / "inner", 1)
    half = {"name": NAME, "base_path": str(base)}
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {2: "AVAILABLE"})
        assert reload(running, half, {"name": "inner", "base_path": str(base / "inner")}) == ""
        assert running.predict("inner", x=[2.0])["y"] == [4.0]
        assert reload(running, half, labels={"stable": 1}) == (
            "Request to assign label stable to version 1 of model half, which is not currently available for inference"
        )
        assert reload(running, half, labels={"stable": 2}) == ""
        assert labelled(running, "stable") == 4.0
        assert running.states("inner") == {}
        assert "names the model 'half' twice" in reload(running, half, half)


def broken(saved: Saved, folder: Path, base: Path, version: int) -> None:
    shutil.copytree(saved("half_plus_three"), folder)
    damage_graph(folder)
    models.publish(folder, base, version)


def test_a_reload_that_cannot_be_served_changes_nothing(saved: Saved, base: Path, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    models.publish(saved("half_plus_three"), base, 2)
    models.publish(saved("half_plus_three"), base / "inner", 1)
    broken(saved, tmp_path / "spoilt", base / "broken", 1)
    models.publish(tmp_path / "spoilt", base, 3)
    (base / "empty").mkdir()
    half = {"name": NAME, "base_path": str(base)}
    inner = {"name": "inner", "base_path": str(base / "inner")}
    file = tmp_path / "models.config"
    file.write_text(config(base, "model_version_policy { specific { versions: 1 } }"))
    with server.running(tmp_path, "--config", file) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        with under_load(running) as failed:
            for configs, versions, message in (
                ([{"name": NAME, "base_path": str(base / "nothing")}], [], "Could not find base path"),
                ([inner, {"name": NAME, "base_path": str(base / "nothing")}], [], "Could not find base path"),
                ([{"name": NAME, "base_path": str(base / "empty")}], [], "Unable to find a numerical version path"),
                ([{"name": NAME, "base_path": str(base / "broken")}], [], "Version 1 of half failed to load: "),
                ([half], [2, 9], "Unable to find version 9 for servable half"),
                ([half], [2, 3], "Version 3 of half failed to load: "),
                ([half], [], "Version 3 of half failed to load: "),
                ([inner, {"name": "gone", "base_path": str(base / "nothing")}], [], "Could not find base path"),
            ):
                assert message in reload(running, *configs, versions=versions), configs
                assert running.predict(NAME, x=[2.0])["y"] == [3.0]
                running.wait(NAME, {1: "AVAILABLE"})
                assert "AVAILABLE" not in [state for version, state in running.states(NAME).items() if version != 1]
                assert running.states("inner") == {}
            assert reload(running, half, inner, labels={"stable": 1}, versions=[1]) == ""
            assert reload(running, half, versions=[2]) == ""
            assert running.predict(NAME, x=[2.0])["y"] == [4.0]
        assert failed == []
        text = requests.get(f"{running.rest}/metrics", timeout=20).text
        assert 'taxiway_model_version_state{model_name="half",version="2"} 30.0' in text


def test_a_reload_continues_when_its_client_is_gone(saved: Saved, base: Path, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    models.publish(saved("slow"), base / "slow", 1)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        request = model_management_pb2.ReloadConfigRequest(
            metric_names=["/tensorflow/cc/saved_model/load_attempt_count"]
        )
        request.config.model_config_list.config.add(name="slow", base_path=str(base / "slow"))
        with pytest.raises(grpc.RpcError):
            running.models.HandleReloadConfigRequest(request, timeout=0.01)
        running.wait("slow", {1: "AVAILABLE"})
        request.config.model_config_list.config.add(name=NAME, base_path=str(base))
        [metric] = running.models.HandleReloadConfigRequest(request, timeout=60).metric
        assert (metric.name, metric.int64_value_increase) == ("/tensorflow/cc/saved_model/load_attempt_count", 1)


def test_a_file_that_names_another_base_path_waits_for_a_version_in_it(
    saved: Saved, base: Path, tmp_path: Path
) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    file = tmp_path / "models.config"
    file.write_text(config(base, ""))
    with server.running(tmp_path, "--config", file) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        with under_load(running) as failed:
            file.write_text(config(tmp_path / "elsewhere", ""))
            deadline = time.monotonic() + 20
            while "elsewhere cannot be read" not in running.log.read_text():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert running.predict(NAME, x=[2.0])["y"] == [3.0]
            models.publish(saved("half_plus_three"), tmp_path / "elsewhere", 1)
            while running.predict(NAME, x=[2.0])["y"] != [4.0]:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            file.write_text(config(tmp_path / "elsewhere", "model_version_policy { specific { versions: 7 } }"))
            while "read " not in running.log.read_text().rpartition("elsewhere cannot be read")[2]:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            models.publish(saved("half_plus_two"), tmp_path / "elsewhere", 7)
            running.wait(NAME, {7: "AVAILABLE", 1: "END"})
        assert failed == []


@pytest.mark.slow
def test_a_thousand_reloads_by_32_clients(saved: Saved, base: Path, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    models.publish(saved("half_plus_three"), base, 2)
    half = {"name": NAME, "base_path": str(base)}
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {2: "AVAILABLE"})
        with under_load(running) as failed, ThreadPoolExecutor(32) as clients:
            # Each reload is answered after its version is loaded and the other one unloaded.
            requested = [1 + n // 16 % 2 for n in range(1024)]
            refusals = list(clients.map(lambda version: reload(running, half, versions=[version]), requested))
        assert set(refusals) == {""}
        assert failed == []
        assert running.predict(NAME, x=[2.0])["y"] in (3.0, 4.0)
        assert requests.get(f"{running.rest}/readyz", timeout=10).status_code == 200


def warmed(model: Path, folder: Path, *records: bytes) -> Path:
    shutil.copytree(model, folder)
    file = folder / WARMUP_FILE
    file.parent.mkdir()
    with file.open("wb") as opened:
        tfrecord.write_records(opened, records)
    return folder


def record(**inputs: Any) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(server.request("another name", **inputs))
    return bytes(log.SerializeToString())


def test_warm_up_requests_are_answered_before_a_version_is_available(saved: Saved, base: Path, tmp_path: Path) -> None:
    model = warmed(saved("half_plus_two"), tmp_path / "warmed", record(x=[1.0]), record(x=[2.0]))
    models.publish(model, base, 1)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {1: "AVAILABLE"})
        assert "ran 2 warm-up requests" in running.log.read_text()


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record(z=[1.0])], "Failed to warm up with record 1 of"),
        ([record(x=[1.0]), b"\xff\xff"], "Failed to read warmup record 2 of"),
        ([record(x=[1.0])] * 1001, "Number of warmup records exceeds the maximum (1000)"),
    ],
)
def test_a_version_that_fails_its_warm_up_is_not_served(
    saved: Saved, base: Path, tmp_path: Path, records: list[bytes], message: str
) -> None:
    models.publish(saved("half_plus_two"), base, 1)
    models.publish(warmed(saved("half_plus_three"), tmp_path / "warmed", *records), base, 2)
    with server.running(tmp_path, base) as running:
        running.wait(NAME, {2: "END"})
        assert message in running.error(NAME, 2)


def test_running_requests_are_answered_after_sigterm(saved: Saved, tmp_path: Path) -> None:
    models.publish(saved("slow"), tmp_path / "slow", 1)
    with server.running(tmp_path, tmp_path / "slow") as running:
        running.wait("slow", {1: "AVAILABLE"})
        call = running.predictions.Predict.future(server.request("slow", x=[[1.0, 2.0]]), timeout=30)
        time.sleep(0.1)
        assert running.stop() == 0
        assert list(call.result().outputs["y"].float_val) == [3.0]
