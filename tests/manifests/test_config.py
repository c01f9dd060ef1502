"""Files in ConfigMaps are valid for the programs that use them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from google.protobuf import text_format

from components.data.serving_stubs import model_server_config_pb2
from taxiway.serving.model.model_config import load_batching
from tests.manifests.objects import MANIFESTS

CONFIG = MANIFESTS / "base/config"


def test_models_config_is_a_model_server_config_of_the_taxi_model() -> None:
    config = text_format.Parse((CONFIG / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    [model] = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("chicago_taxi", "/models/chicago_taxi", "tensorflow")


def test_batching_parameters_are_tf_servings() -> None:
    parameters = load_batching(CONFIG / "batching.config")
    assert (parameters.max_batch_size, parameters.batch_timeout_micros) == (256, 1000)
    assert (parameters.max_enqueued_batches, parameters.num_batch_threads) == (64, 2)


@pytest.fixture
def models_config(tmp_path: Path) -> Path:
    """Two models with empty folders."""
    text = (CONFIG / "models.config").read_text().replace("/models/", f"{tmp_path}/")
    other = text.replace("chicago_taxi", "other").replace('"', "'")
    file = tmp_path / "models.config"
    file.write_text(f"{text}\n{other}")
    for name in ("chicago_taxi", "other"):
        (tmp_path / name).mkdir()
    return file


def _await_models(models_config: Path, seconds: float) -> str:
    """The output of the init container; raises TimeoutExpired if it does not end."""
    command = ["bash", str(CONFIG / "await-models"), str(models_config)]
    environment = {"PATH": "/usr/bin:/bin", "SECONDS_BETWEEN_LOOKS": "0.05"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=True)
    return result.stdout


def _put(folder: Path) -> None:
    folder.mkdir()
    (folder / "saved_model.pb").touch()


def test_a_server_waits_until_each_model_has_a_version(models_config: Path) -> None:
    _put(models_config.parent / "chicago_taxi/1795221496")
    with pytest.raises(subprocess.TimeoutExpired) as waited:
        _await_models(models_config, 0.7)
    assert f"no version in {models_config.parent}/other yet".encode() in (waited.value.stdout or b"")
    _put(models_config.parent / "other/1")
    assert _await_models(models_config, 10) == ""


@pytest.mark.parametrize("name", ["1.retired", ".pushing-1", "latest"])
def test_folders_that_a_server_skips_do_not_count_as_versions(name: str, models_config: Path) -> None:
    _put(models_config.parent / "chicago_taxi/1")
    _put(models_config.parent / "other" / name)
    with pytest.raises(subprocess.TimeoutExpired):
        _await_models(models_config, 0.5)
