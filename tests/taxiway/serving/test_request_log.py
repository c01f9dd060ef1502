"""Request logs: requests and responses as TFRecords of PredictionLog."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2, regression_pb2

from components.data import tfrecord
from taxiway.serving import request_log
from taxiway.serving.metrics import Metrics
from taxiway.serving.model.model_config import Logging
from taxiway.serving.request_log import RequestLog
from tests.taxiway.serving import models, server

Saved = Callable[[str], Path]


def read(folder: Path) -> list[prediction_log_pb2.PredictionLog]:
    return [
        prediction_log_pb2.PredictionLog.FromString(data)
        for file in sorted(folder.glob("*.tfrecord"))
        for data in tfrecord.read_records(file)
    ]


def config(folder: Path, rate: float) -> Path:
    file = folder / "models.config"
    file.write_text(
        'model_config_list { config { name: "half" base_path: "half" logging_config {\n'
        '  log_collector_config { filename_prefix: "logs/Split-serving/prediction_log" }\n'
        f"  sampling_config {{ sampling_rate: {rate} }} }} }} }}"
    )
    return file


def test_grpc_and_rest_requests_are_logged(saved: Saved, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), tmp_path / "half", 3)
    with server.running(tmp_path, "--config", config(tmp_path, 1.0)) as running:
        running.wait("half", {3: "AVAILABLE"})
        running.predict("half", x=[1.0, 2.0])
        requests.post(f"{running.rest}/v1/models/half:predict", json={"instances": [4.0]}, timeout=20)
        regression = regression_pb2.RegressionRequest()
        regression.model_spec.name, regression.model_spec.signature_name = "half", "regress_x_to_y"
        example = regression.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(80.0)
        running.predictions.Regress(regression, timeout=20)
        assert running.stop() == 0
        metrics = running.log.read_text()
        assert "Traceback" not in metrics
    first, second, third = read(tmp_path / "logs" / "Split-serving")
    assert first.log_metadata.model_spec.version.value == 3
    np.testing.assert_array_equal(tf.make_ndarray(first.predict_log.request.inputs["x"]), [1.0, 2.0])
    np.testing.assert_array_equal(tf.make_ndarray(first.predict_log.response.outputs["y"]), [2.5, 3.0])
    np.testing.assert_array_equal(tf.make_ndarray(second.predict_log.request.inputs["x"]), [4.0])
    assert third.regress_log.request.input.example_list.examples[0] == example
    assert third.regress_log.response.result.regressions[0].value == 42.0
    assert third.regress_log.request.model_spec.signature_name == "regress_x_to_y"


def test_a_share_of_the_requests_is_logged(saved: Saved, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), tmp_path / "half", 3)
    with server.running(tmp_path, "--config", config(tmp_path, 0.2)) as running:
        running.wait("half", {3: "AVAILABLE"})
        for _ in range(500):
            running.predict("half", x=[1.0])
        running.stop()
    assert 50 <= len(read(tmp_path / "logs" / "Split-serving")) <= 160  # ten standard deviations


def test_a_server_that_is_killed_leaves_whole_records(saved: Saved, tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), tmp_path / "half", 3)
    with server.running(tmp_path, "--config", config(tmp_path, 1.0)) as running:
        running.wait("half", {3: "AVAILABLE"})
        for _ in range(100):
            running.predict("half", x=[1.0])
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
    assert 1 <= len(read(tmp_path / "logs" / "Split-serving")) <= 100


def some_log(size: int) -> prediction_log_pb2.PredictionLog:
    log = prediction_log_pb2.PredictionLog()
    log.log_metadata.model_spec.name = "x" * size
    return log


def test_full_files_are_followed_by_new_ones(tmp_path: Path) -> None:
    most, request_log.MAX_FILE_BYTES = request_log.MAX_FILE_BYTES, 10_000
    try:
        log = RequestLog("m", Logging(tmp_path / "prediction_log", 1.0), Metrics())
        for _ in range(25):
            log.put(lambda: some_log(1000))
        log.close()
    finally:
        request_log.MAX_FILE_BYTES = most
    assert len(list(tmp_path.iterdir())) == 3
    assert len(read(tmp_path)) == 25
    assert all(file.stat().st_size <= 10_000 for file in tmp_path.iterdir())


def test_a_full_disk_loses_whole_records_and_is_reported(tmp_path: Path) -> None:
    metrics = Metrics()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3500, before[1]))
    try:
        log = RequestLog("m", Logging(tmp_path / "prediction_log", 1.0), metrics)
        for _ in range(10):
            log.put(lambda: some_log(1000))
        log.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert len(read(tmp_path)) == 3
    counted = {(s.labels["status"]): s.value for m in metrics.registry.collect() for s in m.samples if "log" in s.name}
    assert counted == {"OK": 3.0, "UNAVAILABLE": 7.0}
