"""Each field of TF Serving's configuration files has an effect, or the log reports that it has none."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from google.protobuf.descriptor import Descriptor
from tensorflow_serving.config import model_server_config_pb2

from components.contract.errors import UserError
from taxiway.serving.grpc import config_messages
from taxiway.serving.model import model_config
from taxiway.serving.model.batching import Batching
from taxiway.serving.model.loading import model_threads
from taxiway.serving.model.model_config import Logging, ModelSettings, VersionPolicy
from tests.taxiway.serving import models, server

# The fields of TF Serving's .proto files, and whether each is used.
FIELDS = {
    "BatchingParameters": {
        "max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads", "thread_pool_name",
        "enable_large_batch_splitting", "max_execution_batch_size", "allowed_batch_sizes", "pad_variable_length_inputs",
    },
    "MonitoringConfig": {"prometheus_config"},
    "PrometheusConfig": {"enable", "path"},
    "ModelServerConfig": {"model_config_list", "custom_model_config"},
    "ModelConfigList": {"config"},
    "ModelConfig": {
        "name", "base_path", "model_type", "model_platform", "model_version_policy", "version_labels", "logging_config",
    },
    "ServableVersionPolicy": {"latest", "all", "specific"},
    "LoggingConfig": {"log_collector_config", "sampling_config", "custom_logging_config"},
    "LogCollectorConfig": {"type", "filename_prefix"},
    "SamplingConfig": {"sampling_rate", "per_task_sampling_configs", "attributes"},
    "PerTaskSamplingConfig": {"dc", "task_index", "sampling_rate"},
}  # fmt: skip


def messages_in(message: Descriptor) -> dict[str, set[str]]:
    found = {message.name: {field.name for field in message.fields}}
    for field in message.fields:
        if field.message_type and field.message_type.full_name.startswith("tensorflow.serving."):
            found |= messages_in(field.message_type)
    return found


def test_the_messages_have_tf_servings_fields() -> None:
    found: dict[str, set[str]] = {}
    for message in (
        config_messages.batching_parameters(),
        config_messages.monitoring_config(),
        config_messages.model_server_config(),
    ):
        found |= messages_in(message.DESCRIPTOR)
    assert {name: found[name] for name in FIELDS} == FIELDS


CONFIG = """model_config_list: { config: {
    name: "half", base_path: "/half", model_type: TENSORFLOW,
    model_version_policy: { latest: { num_versions: 2 } },
    version_labels: { key: "stable", value: 1 },
    logging_config: {
        log_collector_config: { type: "file", filename_prefix: "/logs/half" },
        sampling_config: {
            sampling_rate: 0.5, attributes: 1,
            per_task_sampling_configs: { dc: "aa", task_index: 0, sampling_rate: 1.0 }
        },
        custom_logging_config: { type_url: "type.googleapis.com/x" }
    }
} }"""


def test_every_field_of_a_model_is_used_or_reported_as_without_effect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "models.config"
    file.write_text(CONFIG)
    logs = Logging(Path("/logs/half"), 0.5)
    policy, labels = VersionPolicy("latest", 2), {"stable": 1}
    expected = [ModelSettings("half", Path("/half"), policy, labels, logs)]
    report = [
        f"'half': {field} has no effect: "
        for field in ("attributes", "per_task_sampling_configs", "custom_logging_config")
    ]
    with caplog.at_level(logging.WARNING):
        assert model_config.load(file) == expected
    assert sorted(report) == sorted(next(s for s in report if s in record) for record in caplog.messages)
    # The message of a reload request does not have all of them.
    request = model_server_config_pb2.ModelServerConfig()
    sent = config_messages.model_server_config()()
    model_config.text_format.Parse(CONFIG, sent)
    request.ParseFromString(sent.SerializeToString())
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert model_config.models(request, "a request") == expected
    assert len(caplog.messages) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("improperly formatted file", "Error parsing text-format tensorflow.serving.ModelServerConfig"),
        ('model_config_list { config { name: "x" base_path: "/x" model_type: OTHER } }', "model_type is OTHER"),
        (
            'model_config_list { config { name: "x" base_path: "/x" model_type: TENSORFLOW model_platform: "x" } }',
            "model_type and model_platform are both set",
        ),
        ('custom_model_config { type_url: "x" }', "has no model_config_list"),
    ],
)
def test_invalid_configurations_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "models.config"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        model_config.load(file)
    assert message in str(error.value)


def batching(tmp_path: Path, text: str) -> Batching:
    file = tmp_path / "batching.txt"
    file.write_text(text)
    return model_config.load_batching(file)


def test_every_batching_parameter_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = (
        "max_batch_size { value: 128 } batch_timeout_micros { value: 500 } max_enqueued_batches { value: 7 }\n"
        'num_batch_threads { value: 3 } thread_pool_name { value: "pool" } allowed_batch_sizes: 32\n'
        "allowed_batch_sizes: 128 pad_variable_length_inputs: true max_execution_batch_size { value: 64 }\n"
    )
    splitting = batching(tmp_path, text + "enable_large_batch_splitting { value: true }")
    assert splitting == Batching(128, 500, 7, 3, (32, 128), True, True, 64, "pool")
    assert (splitting.most_rows, caplog.messages) == (64, [])
    assert batching(tmp_path, text).most_rows == 128
    assert "max_execution_batch_size has no effect without enable_large_batch_splitting" in caplog.text
    with model_threads(splitting) as threads:
        assert threads.submit(lambda: threading.current_thread().name).result().startswith("pool")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size is 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros is -1"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "allowed_batch_sizes are [4], max_batch_size is 8"),
        ("max_batch: 3", 'has no field named "max_batch"'),
        ("max_execution_batch_size { value: 0 }", "max_execution_batch_size is 0"),
        (
            "enable_large_batch_splitting { value: true } max_execution_batch_size { value: 9 }\n"
            "max_batch_size { value: 8 }",
            "max_execution_batch_size is 9, max_batch_size 8",
        ),
    ],
)
def test_invalid_batching_parameters_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        batching(tmp_path, text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('prometheus_config: { enable: true, path: "/monitoring/x.y" }', ("/metrics", "/monitoring/x.y")),
        ("prometheus_config { enable: true }", ("/metrics", "/monitoring/prometheus/metrics")),
        ('prometheus_config { enable: true path: "/metrics" }', ("/metrics",)),
        ('prometheus_config { path: "/x" }', ()),
        ("", ()),
    ],
)
def test_the_metrics_path_is_configurable(tmp_path: Path, text: str, paths: tuple[str, ...]) -> None:
    file = tmp_path / "monitoring.txt"
    file.write_text(text)
    assert model_config.load_monitoring(file) == paths


@pytest.mark.parametrize("path", ["/v1/models", "/readyz", "/", "x", "/a b", "/{name}", "/V1/x"])
def test_invalid_metrics_paths_are_refused(tmp_path: Path, path: str) -> None:
    file = tmp_path / "monitoring.txt"
    file.write_text(f'prometheus_config {{ enable: true path: "{path}" }}')
    with pytest.raises(UserError, match="the path of prometheus_config is"):
        model_config.load_monitoring(file)


def test_a_server_starts_with_all_configuration_files(saved: Callable[[str], Path], tmp_path: Path) -> None:
    models.publish(saved("slow"), tmp_path / "slow", 1)
    (tmp_path / "monitoring.txt").write_text('prometheus_config { enable: true path: "/here" }')
    (tmp_path / "batching.txt").write_text(
        "num_batch_threads { value: 1 } max_batch_size { value: 64 }\n"
        "enable_large_batch_splitting { value: true } max_execution_batch_size { value: 8 }\n"
    )
    files = [tmp_path / "batching.txt", "--monitoring-config-file", tmp_path / "monitoring.txt"]
    with server.running(tmp_path, tmp_path / "slow", "--batching-parameters-file", *files) as running:
        running.wait("slow", {1: "AVAILABLE"})
        answer = running.predict("slow", x=[[float(n)] for n in range(20)])
        assert answer["y"].tolist() == [float(n) for n in range(20)]
        assert answer["rows"].tolist() == [8] * 16 + [4] * 4
        found = {path: requests.get(running.rest + path, timeout=20).status_code for path in ("/here", "/metrics")}
        assert found == {"/here": 200, "/metrics": 200}
        assert requests.get(f"{running.rest}/monitoring/prometheus/metrics", timeout=20).status_code == 404
        assert "/here" in requests.get(f"{running.rest}/openapi.json", timeout=20).json()["paths"]
