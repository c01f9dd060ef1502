from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, components, dsl

from components import __version__
from components.contract.signature import Port
from components.execution import stages
from taxiway.dsl import definitions

NAMES = stages.names()
KINDS = {"serve": ("baseline", "pusher"), "data": ("example_gen", "statistics_gen", "schema_gen", "example_validator")}
PARAMETER_TYPES = {
    str: "STRING",
    int: "NUMBER_INTEGER",
    float: "NUMBER_DOUBLE",
    bool: "BOOLEAN",
    list: "LIST",
    dict: "STRUCT",
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every stage's component as YAML, by the stage's name."""
    folder = tmp_path_factory.mktemp("components")
    for stage in NAMES:
        compiler.Compiler().compile(definitions.component(stage), str(folder / f"{stage}.yaml"))
    return {stage: yaml.safe_load((folder / f"{stage}.yaml").read_text()) for stage in NAMES}


def interface(compiled: dict[str, Any]) -> dict[str, Any]:
    [component] = compiled["components"].values()
    return component  # type: ignore[no-any-return]


def definition(compiled: dict[str, Any], port: Port) -> dict[str, Any]:
    side = interface(compiled)[f"{port.direction}Definitions"]
    return side["artifacts" if port.kind else "parameters"][port.name]  # type: ignore[no-any-return]


@pytest.mark.parametrize("stage", NAMES)
def test_a_component_has_its_stages_interface(compiled: dict[str, Any], stage: str) -> None:
    declared = stages.load(stage).ports
    component = interface(compiled[stage])
    for direction in ("input", "output"):
        for side in ("artifacts", "parameters"):
            definitions = component.get(f"{direction}Definitions", {}).get(side, {})
            assert set(definitions) == {
                p.name for p in declared if p.direction == direction and bool(p.kind) == (side == "artifacts")
            }


@pytest.mark.parametrize("stage", NAMES)
def test_types_defaults_and_descriptions(compiled: dict[str, Any], stage: str) -> None:
    found_ports = list(stages.load(stage).ports)
    assert {port.direction for port in found_ports} == {"input", "output"}
    for port in found_ports:
        found = definition(compiled[stage], port)
        if port.kind:
            assert found["artifactType"]["schemaTitle"] == port.kind.schema_title
            assert found["description"].startswith(f"[{port.kind.__name__}] "), port.name
        else:
            assert found["parameterType"] == PARAMETER_TYPES[port.type]
            if port.role:
                assert found["description"].startswith(f"[{port.role}] ")
        if port.direction == "input":
            assert found.get("isOptional", False) is not port.required
            if not port.kind and not port.required:
                assert found["defaultValue"] == port.default
            assert len(found["description"]) > 10, f"{port.name} is not described"


@pytest.mark.parametrize("stage", NAMES)
def test_the_container_runs_the_stage(compiled: dict[str, Any], stage: str) -> None:
    [executor] = compiled[stage]["deploymentSpec"]["executors"].values()
    assert executor["container"] == {
        "image": f"taxiway-{stages.load(stage).image}:{__version__}",
        "command": ["python", "-m", "components", stage],
        "args": ["--executor-input", "{{$}}"],
    }


@pytest.mark.parametrize("stage", NAMES)
def test_other_projects_load_it_and_pipelines_take_it(compiled: dict[str, Any], stage: str, tmp_path: Path) -> None:
    (tmp_path / "component.yaml").write_text(yaml.safe_dump(compiled[stage]))
    loaded = components.load_component_from_file(str(tmp_path / "component.yaml"))
    required = [port for port in stages.load(stage).ports if port.direction == "input" and port.required]
    given = {port.name: {str: "x", dict: {}}[port.type] for port in required if not port.kind}

    @dsl.pipeline(name="loaded")
    def pipeline():  # type: ignore[no-untyped-def]  # kfp reads no annotation that is a string
        artifacts = {
            port.name: dsl.importer(
                artifact_uri="/x", artifact_class=getattr(dsl, port.kind.schema_title.removeprefix("system."))
            ).output
            for port in required
            if port.kind
        }
        loaded(**given, **artifacts)

    compiler.Compiler().compile(pipeline, str(tmp_path / "pipeline.yaml"))
    spec = yaml.safe_load((tmp_path / "pipeline.yaml").read_text())
    assert spec["schemaVersion"] == "2.1.0"


@pytest.mark.parametrize(
    ("named", "image"), [("", f"taxiway-serve:{__version__}"), ("a/b:1", "a/b:1"), ("a/{kind}:1", "a/serve:1")]
)
def test_the_image_can_be_set_by_an_environment_variable(named: str, image: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TAXIWAY_STAGE_IMAGE"}
    environment |= {"TAXIWAY_STAGE_IMAGE": named} if named else {}
    code = "from taxiway.dsl import Pusher; print(Pusher.component_spec.implementation.container.image)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.strip() == image


def test_stages_run_in_the_smallest_image_that_they_need() -> None:
    found = {stage: stages.load(stage).image for stage in NAMES}
    assert {stage: kind for kind, those in KINDS.items() for stage in those}.items() <= found.items()
    assert {found[stage] for stage in ("transform", "trainer", "evaluator", "infra_validator")} == {"train"}
