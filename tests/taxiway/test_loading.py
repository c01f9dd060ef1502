"""Pipelines are loaded from kfp's files, with or without a pipeline in them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl

import taxiway
from components.contract.errors import UserError
from taxiway import loading
from taxiway.kubeflow import compilation
from taxiway.runs.progress import Observer

TEXT = "first\nsecond\n\n  third: [\n# fourth\r\n\x0bcomponents:\n"
COMPONENT = """
from kfp import dsl

@dsl.container_component
def {name}(text: str, out: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="any", command=["sh", "-c", 'printf %s "$0" > "$1"'], args=[text, out])
"""
FIRST_VERSION = """
name: Say it
inputs: [{name: Text, type: String}]
outputs: [{name: Said, type: String}]
implementation:
  container:
    image: any
    command: [sh, -c, 'mkdir -p "$(dirname "$1")"; printf %s "$0" > "$1"']
    args: [{inputValue: Text}, {outputPath: Said}]
"""


@dsl.container_component
def say(text: str, out: dsl.OutputPath(str)):  # type: ignore[valid-type]
    return dsl.ContainerSpec(image="any", command=["sh", "-c", 'printf %s "$0" > "$1"'], args=[text, out])


@dsl.pipeline(name="says", description="What is\nsaid.")
def says(text: str = TEXT) -> str:
    return say(text=text).outputs["out"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _outputs(pipeline: Any, here: Path, **parameters: Any) -> dict[str, Any]:
    return taxiway.run(pipeline, home=here / "home", observer=Observer(), **parameters).outputs


def test_a_default_of_several_lines_is_read(here: Path) -> None:
    """The YAML that kfp writes for it is invalid, because the lines of the comment lack the leading `#`."""
    compiler.Compiler().compile(says, "kfp.yaml")
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(Path("kfp.yaml").read_text())
    for pipeline in (says, "kfp.yaml"):
        assert _outputs(pipeline, here) == {"Output": TEXT}
    loading.compile_to(says, here / "ours.yaml")
    compilation.write(loading.compiled(says), here / "written.yaml")
    for name in ("ours.yaml", "written.yaml"):
        document = yaml.safe_load(Path(name).read_text())
        assert document["root"]["inputDefinitions"]["parameters"]["text"]["defaultValue"] == TEXT


def test_a_json_pipeline_is_read(here: Path) -> None:
    Path("says.json").write_text(json.dumps(loading.compiled(says).spec))
    assert _outputs("says.json", here, text="x") == {"Output": "x"}


def test_a_component_alone_is_a_pipeline_of_one_task(here: Path) -> None:
    Path("component.py").write_text(COMPONENT.format(name="say"))
    Path("first.yaml").write_text(FIRST_VERSION)
    compiler.Compiler().compile(say, "component.yaml")
    for name in ("component.py", "component.yaml"):
        assert _outputs(name, here, text="x") == {"out": "x"}
    assert _outputs("first.yaml", here, text="x") == {"said": "x"}
    compilation.write(compilation.compiled("component.py"), here / "compiled.yaml")
    assert loading.load("compiled.yaml").spec == loading.load("component.yaml").spec


def test_a_file_with_several_components_is_refused() -> None:
    Path("components_only.py").write_text(COMPONENT.format(name="one") + COMPONENT.format(name="two"))
    with pytest.raises(
        UserError, match=r"defines no pipeline, and 2 components: one, two\n  fix: decorate the function"
    ):
        loading.load("components_only.py")


def test_a_pipeline_without_components_is_refused() -> None:
    spec = loading.compiled(says).spec
    Path("half.json").write_text(json.dumps({name: spec[name] for name in ("pipelineInfo", "root", "schemaVersion")}))
    with pytest.raises(UserError, match=r"half\.json is not a compiled pipeline"):
        loading.load("half.json")


@pytest.mark.parametrize("text", ["name: x\nimplementation: {}\n", "implementation: [\n"])
def test_an_invalid_component_is_refused(text: str) -> None:
    Path("broken.yaml").write_text(text)
    with pytest.raises(UserError, match=r"kfp rejects the component broken.yaml|broken.yaml is not YAML"):
        loading.load("broken.yaml")


def test_the_stages_that_a_source_names_are_known_before_it_is_compiled(here: Path) -> None:
    (here / "pipelines/taxi").mkdir(parents=True)
    (here / "pipelines/taxi/pipeline.py").write_text("from taxiway.dsl import Pusher\nexample_gen = trainer = None")
    (here / "taxi.yaml").write_text("command: [python, -m, components, pusher]")
    assert loading.stages_named_in("taxi") == ["example_gen", "trainer"]
    assert loading.stages_named_in("taxi.yaml") == ["pusher"]
    assert loading.stages_named_in("gone") == []
