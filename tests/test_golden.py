"""The committed pipelines and components equal what the code compiles to (`make golden`)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from kfp import compiler, components

from components.execution import stages
from taxiway import loading
from taxiway.dsl import definitions
from taxiway.kubeflow import compilation

ROOT = Path(__file__).parents[1]


def _meaning(file: Path) -> list[object]:
    """The documents of a YAML file; kfp writes maps in its header comment in any order."""
    return list(yaml.safe_load_all(file.read_text()))


@pytest.mark.parametrize("name", loading.names(ROOT))
def test_a_pipeline_compiles_to_its_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    compilation.write(compilation.compiled(name), tmp_path / "pipeline.yaml")
    golden = ROOT / "pipelines" / name / "pipeline.yaml"
    assert _meaning(golden) == _meaning(tmp_path / "pipeline.yaml"), "run `make golden` and look at the difference"


def test_resources_of_profiles_are_in_a_separate_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    compilation.write(compilation.compiled("chicago_taxi", ["gpu", "cluster"]), tmp_path / "pipeline.yaml")
    golden = ROOT / "pipelines/chicago_taxi/pipeline.gpu.yaml"
    assert _meaning(golden) == _meaning(tmp_path / "pipeline.yaml"), "run `make golden` and look at the difference"
    for wanted in ("nvidia.com/gpu", "tolerations", "nodeSelector", "pvcMount", "taxiway-train-gpu:"):
        assert wanted in golden.read_text()


@pytest.mark.parametrize("stage", stages.names())
def test_a_component_compiles_to_its_file_and_can_be_loaded(stage: str, tmp_path: Path) -> None:
    component = definitions.component(stage)
    compiler.Compiler().compile(component, str(tmp_path / "component.yaml"))
    golden = definitions.component_file(stage)
    assert _meaning(golden) == _meaning(tmp_path / "component.yaml"), "run `make golden` and look at the difference"
    loaded = components.load_component_from_file(str(golden))
    assert loaded.component_spec.inputs.keys() == component.component_spec.inputs.keys()


def test_the_ir_is_the_version_that_open_source_kubeflow_accepts() -> None:
    files = list(ROOT.glob("pipelines/*/pipeline.yaml"))
    assert files
    for file in files:
        assert yaml.safe_load(file.read_text().split("\n---\n")[0])["schemaVersion"] == "2.1.0"
