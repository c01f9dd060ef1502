"""`taxiway check` finds what would fail later, without running anything."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from components.definitions import Evaluator, ExampleGen, InfraValidator, SchemaGen, StatisticsGen, Trainer, Transform
from components.errors import UserError
from taxiway import check, loading

MODULE = "def preprocessing_fn(inputs):\n    return inputs\n\ndef run_fn(fn_args):\n    pass\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "data.csv").write_text("a\n1\n")
    return tmp_path


def _findings(pipeline: Any, **parameters: Any) -> list[str]:
    return check.findings(loading.compiled(pipeline), parameters)


@dsl.pipeline(name="sound")
def sound(data: str = "data.csv", module: str = "module.py"):
    examples = ExampleGen(input_path=data, allow_unversioned=True).outputs["examples"]
    schema = SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"]).outputs["schema"]
    transformed = Transform(examples=examples, schema=schema, module=module)
    Trainer(examples=transformed.outputs["transformed_examples"], module=module)


def test_a_sound_pipeline_has_no_findings() -> None:
    assert _findings(sound) == []


@dsl.pipeline(name="without-a-parameter")
def without_a_parameter(data: str):
    ExampleGen(input_path=data)


@dsl.pipeline(name="with-a-parameter")
def with_a_parameter(data: str, whatever: bool = False, often: int = 1):
    with dsl.If(often == 1):
        ExampleGen(input_path=data, allow_unversioned=whatever)


@pytest.mark.parametrize(
    ("pipeline", "way"),
    [(without_a_parameter, "ExampleGen(..., allow_unversioned=True)"), (with_a_parameter, "--param whatever=true")],
)
def test_the_way_to_take_data_as_they_are_is_one_that_the_pipeline_has(pipeline: Any, way: str) -> None:
    [found] = _findings(pipeline, data="data.csv")
    assert found.endswith(f"; or take the data as they are, unversioned: {way}")
    if "--param" in way:
        assert _findings(pipeline, data="data.csv", whatever="true") == []


def test_a_missing_module_is_named() -> None:
    found = _findings(sound, module="pipelines.nowhere.model")
    assert len(found) == 2
    assert all("the module 'pipelines.nowhere.model' was not found" in finding for finding in found)


def test_a_missing_function_is_named_with_its_nearest(here: Path) -> None:
    (here / "module.py").write_text(
        "def preprocesing_fn(inputs):\n    return inputs\n\ndef run_fn(fn_args):\n    pass\n"
    )
    found = _findings(sound)
    assert found == [f"transform: {here / 'module.py'} defines no preprocessing_fn; did you mean preprocesing_fn?"]


@dsl.pipeline(name="served")
def served(serving: dict):
    model = dsl.importer(artifact_uri="model", artifact_class=dsl.Model, reimport=False).output
    InfraValidator(model=model, serving=serving, splits=["eval"])


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        ({"docker": {"imag": "x"}}, "serving.docker has no 'imag'\n  mend: did you mean 'image'?"),
        ({"docker": {}}, "serving.docker.image is missing\n  mend: give the image"),
        ({}, "serving names nothing\n  mend: name one of local, docker, kubernetes"),
    ],
)
def test_a_place_to_serve_that_does_not_exist(serving: dict[str, Any], said: str) -> None:
    assert _findings(served, serving=serving) == [f"infra-validator: {said}"]
    assert _findings(served, serving={"local": {}}) == []


def test_unreachable_data_are_named() -> None:
    (finding,) = _findings(sound, data="nowhere/trips.csv")
    assert finding.startswith("example-gen: ")
    assert "nowhere/trips.csv" in finding


def test_a_schema_for_statistics_is_refused() -> None:
    @dsl.pipeline
    def swapped():
        examples = ExampleGen(input_path="data.csv", allow_unversioned=True).outputs["examples"]
        schema = SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"]).outputs["schema"]
        SchemaGen(statistics=schema)

    assert _findings(swapped) == ["schema-gen-2: the input 'statistics' takes ExampleStatistics, and is given Schema"]


def test_types_are_followed_through_conditions_and_sub_pipelines() -> None:
    @dsl.pipeline
    def inner(rows: dsl.Input[dsl.Dataset]) -> dsl.Artifact:
        return StatisticsGen(examples=rows).outputs["statistics"]

    @dsl.pipeline
    def outer(deep: bool = True):
        examples = ExampleGen(input_path="data.csv", allow_unversioned=True).outputs["examples"]
        with dsl.If(deep == True):  # noqa: E712 (kfp builds the condition from ==)
            statistics = inner(rows=examples).output
            Transform(examples=examples, schema=statistics, module="module.py")

    assert _findings(outer) == ["transform: the input 'schema' takes Schema, and is given ExampleStatistics"]


def test_unknown_splits_are_named() -> None:
    @dsl.pipeline
    def splits():
        examples = ExampleGen(input_path="data.csv", allow_unversioned=True, splits={"train": 3, "test": 1}).outputs[
            "examples"
        ]
        Trainer(examples=examples, module="module.py")

    assert _findings(splits) == ["trainer: eval_splits names 'eval'; the splits are test, train"]


def test_splits_that_something_else_brings_are_not_judged() -> None:
    """Such as a model server's request logs, whose only split is `serving`."""

    @dsl.pipeline
    def logged():
        examples = ExampleGen(input_path="data.csv", allow_unversioned=True).outputs["examples"]
        logs = dsl.importer(artifact_uri="logs", artifact_class=dsl.Dataset, reimport=False).output
        schema = SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"]).outputs["schema"]
        Transform(
            examples=logs,
            schema=schema,
            module="module.py",
            analyze_splits=["serving"],
            transform_splits=["serving"],
        )

    assert _findings(logged) == []


def test_a_missing_file_is_named() -> None:
    @dsl.pipeline
    def curated():
        examples = ExampleGen(input_path="data.csv", allow_unversioned=True).outputs["examples"]
        SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"], schema_file="schema.pbtxt")

    assert _findings(curated) == ["schema-gen: schema_file names schema.pbtxt, which is not there"]


def test_an_unknown_parameter_has_its_nearest() -> None:
    with pytest.raises(UserError, match=r"no parameter 'modul'\n  mend: did you mean 'module'"):
        _findings(sound, modul="x")


def test_the_evaluators_model_has_to_be_a_model() -> None:
    @dsl.pipeline
    def wrong():
        examples = ExampleGen(input_path="data.csv", allow_unversioned=True).outputs["examples"]
        other = ExampleGen(input_path="data.csv", allow_unversioned=True)
        trained = Trainer(examples=examples, module="module.py")
        Evaluator(examples=other.outputs["examples"], model=trained.outputs["model"], eval_config={})
        Evaluator(
            examples=examples, model=trained.outputs["model"], eval_config={}, schema=trained.outputs["model_run"]
        )

    (finding,) = _findings(wrong)
    assert finding == "evaluator-2: the input 'schema' takes Schema, and is given ModelRun"


def test_the_command_takes_under_two_seconds_and_loads_no_tensorflow(here: Path) -> None:
    compiled = here / "sound.yaml"
    loading.compile_to(sound, compiled)
    program = (
        "import sys; sys.argv = ['taxiway', 'check', 'sound.yaml']\n"
        "import taxiway.cli\n"
        "try:\n    taxiway.cli.app()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'tensorflow', 'apache_beam', 'tensorflow_data_validation', 'ml_metadata'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    path = os.pathsep.join([str(Path(check.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nothing wrong found" in done.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
