"""`taxiway check` finds what would fail later, without running anything."""

import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kfp import dsl

from components.contract.errors import UserError
from taxiway import loading
from taxiway.checks import check
from taxiway.dsl import Evaluator, ExampleGen, InfraValidator, SchemaGen, StatisticsGen, Trainer, Transform

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


def test_a_valid_pipeline_has_no_findings() -> None:
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
def test_the_suggested_parameter_for_unversioned_data_exists(pipeline: Any, way: str) -> None:
    [findings] = _findings(pipeline, data="data.csv")
    assert findings.endswith(f"; or accept the data unversioned: {way}")
    if "--param" in way:
        assert _findings(pipeline, data="data.csv", whatever="true") == []


def test_a_missing_module_is_reported() -> None:
    findings = _findings(sound, module="pipelines.nowhere.model")
    assert len(findings) == 2
    assert all("the module 'pipelines.nowhere.model' was not found" in finding for finding in findings)


def test_a_missing_function_is_reported_with_a_similar_name(here: Path) -> None:
    (here / "module.py").write_text(
        "def preprocesing_fn(inputs):\n    return inputs\n\ndef run_fn(fn_args):\n    pass\n"
    )
    findings = _findings(sound)
    assert findings == [f"transform: {here / 'module.py'} defines no preprocessing_fn; did you mean preprocesing_fn?"]


@dsl.pipeline(name="served")
def served(serving: dict):
    model = dsl.importer(artifact_uri="model", artifact_class=dsl.Model, reimport=False).output
    InfraValidator(model=model, serving=serving, splits=["eval"])


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        ({"docker": {"imag": "x"}}, "serving.docker has no setting 'imag'\n  fix: did you mean 'image'?"),
        ({"docker": {}}, "serving.docker.image is missing\n  fix: add image: ..."),
        ({}, "serving has no key\n  fix: use one of local, docker, kubernetes"),
    ],
)
def test_an_invalid_serving_platform_is_reported(serving: dict[str, Any], message: str) -> None:
    assert _findings(served, serving=serving) == [f"infra-validator: {message}"]
    assert _findings(served, serving={"local": {}}) == []


def test_a_missing_library_of_operations_is_reported() -> None:
    @dsl.pipeline(name="triple")
    def triple():
        model = dsl.importer(artifact_uri="model", artifact_class=dsl.Model, reimport=False).output
        InfraValidator(model=model, custom_ops=["ops/triple.so", "module.py", "a_module_of_the_image"])

    assert _findings(triple) == ["infra-validator: custom_ops names ops/triple.so, which does not exist"]


def test_unreachable_data_are_reported() -> None:
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


def test_unknown_splits_are_reported() -> None:
    @dsl.pipeline
    def splits():
        examples = ExampleGen(input_path="data.csv", allow_unversioned=True, splits={"train": 3, "test": 1}).outputs[
            "examples"
        ]
        Trainer(examples=examples, module="module.py")

    assert _findings(splits) == ["trainer: eval_splits names 'eval'; the splits are test, train"]


@dsl.container_component
def own_rows(rows: dsl.Output[dsl.Dataset], parts: dict = {"a": 1, "b": 1}, table: str = "", copy: str = ""):
    """A component from another team, with Taxiway's marks in its descriptions.

    Args:
        parts: [NewSplits] Their sizes.
        table: [File] Where the rows are from.
        copy: [Destination] Where else they go.

    Returns:
        rows: [Examples] The rows.
    """
    return dsl.ContainerSpec(image="rows", command=["true"])


@dsl.container_component
def own_model(rows: dsl.Input[dsl.Dataset], code: str, learn: list = ["a"], servers: dict = {"local": {}}):
    """Another component of that team.

    Args:
        rows: [Examples] The rows.
        code: [Module: train] The code.
        learn: [Splits: rows] What to learn from.
        servers: [Serving] Where to try.
    """
    return dsl.ContainerSpec(image="model", command=["true"])


def test_other_components_are_checked_by_the_same_marks(here: Path) -> None:
    @dsl.pipeline
    def theirs(table: str = "data.csv", parts: dict = {"a": 1}, servers: dict = {"local": {}}):
        rows = own_rows(table=table, parts=parts).output
        own_model(rows=rows, code="theirs.py", servers=servers)

    (here / "theirs.py").write_text("def train():\n    pass\n")
    assert _findings(theirs) == []
    assert _findings(theirs, table="none.csv") == ["own-rows: table names none.csv, which does not exist"]
    assert _findings(theirs, parts={"b": 1}) == ["own-model: learn names 'a'; the splits are b"]
    [findings] = _findings(theirs, servers={"locl": {}})
    assert findings.startswith("own-model: serving has no 'locl'")
    (here / "theirs.py").write_text("def trains():\n    pass\n")
    assert _findings(theirs) == [f"own-model: {here / 'theirs.py'} defines no train; did you mean trains?"]


def test_splits_of_missing_inputs_are_not_checked() -> None:
    @dsl.pipeline
    def loaded():
        examples = ExampleGen(input_path="data.csv", allow_unversioned=True, splits={"train": 1}).outputs["examples"]
        model = Trainer(examples=examples, module="module.py", eval_splits=["train"]).outputs["model"]
        InfraValidator(model=model)

    assert _findings(loaded) == []


def test_the_splits_are_those_of_the_setting_in_use() -> None:
    @dsl.pipeline
    def by_file(splits: dict = {"train": 2, "eval": 1}):
        examples = ExampleGen(
            input_path="data.csv", allow_unversioned=True, splits=splits, split_patterns={"all": "*.csv"}
        ).outputs["examples"]
        statistics = StatisticsGen(examples=examples, splits=["all"]).outputs["statistics"]
        SchemaGen(statistics=statistics, splits=["train"])

    assert _findings(by_file) == ["schema-gen: splits names 'train'; the splits are all"]
    # The stage decides which setting takes precedence.
    assert _findings(by_file, splits={"b": 1}) == []


def test_splits_from_other_components_are_not_checked() -> None:
    """For example, the request logs of a model server have the single split `serving`."""

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


def test_a_missing_file_is_reported() -> None:
    @dsl.pipeline
    def curated():
        examples = ExampleGen(input_path="data.csv", allow_unversioned=True).outputs["examples"]
        SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"], schema_file="schema.pbtxt")

    assert _findings(curated) == ["schema-gen: schema_file names schema.pbtxt, which does not exist"]


@dsl.pipeline(name="named")
def named(folder: str = ".", name: str = "data", solver: str = "adam", splits: dict = {"train": 2, "eval": 1}):
    examples = ExampleGen(input_path=f"{folder}/{name}.csv", splits=splits, allow_unversioned=True).outputs["examples"]
    Trainer(examples=examples, module=f"{folder}/module.py", custom_config={"solver": solver, "of": [f"a {solver}"]})


def test_strings_are_checked_with_their_parameters_filled_in(here: Path) -> None:
    assert _findings(named) == []
    assert _findings(named, folder=str(here)) == []
    (finding,) = _findings(named, name="trips")
    assert finding.startswith("example-gen: ")
    assert "./trips.csv" in finding
    assert _findings(named, splits={"train": 2, "test": 1}) == [
        "trainer: eval_splits names 'eval'; the splits are test, train"
    ]


def test_values_known_only_during_a_run_are_not_checked() -> None:
    @dsl.component(base_image="python:3.13")
    def choice() -> str:
        return "data"

    @dsl.pipeline
    def chosen():
        name = choice().output
        examples = ExampleGen(input_path=f"{name}.csv", data_repo=name).outputs["examples"]
        ExampleGen(input_path="nowhere.csv", data_repo=name)
        Trainer(examples=examples, module=f"{name}.py", eval_splits=[f"{name}", "eval"])
        with dsl.ParallelFor(["a.py", "b.py"]) as module:
            Trainer(examples=examples, module=f"{module}", custom_config={"module": module})

    assert _findings(chosen) == []


def test_an_unknown_placeholder_in_a_parameter_is_reported() -> None:
    @dsl.container_component
    def echo(text: str):
        return dsl.ContainerSpec(image="any:1", command=["echo"], args=[text])

    @dsl.pipeline
    def unfilled():
        echo(text="{{$.pipeline_job_name}} {{$.pipeline_jobname}}").set_env_variable(
            "A", "{{$.inputs.parameters['a']}}"
        )

    assert _findings(unfilled) == [
        "echo: the placeholder {{$.pipeline_jobname}} is not known",
        "echo: the placeholder {{$.inputs.parameters['a']}} names 'a', which this task does not have\n"
        "  fix: pass the value to the task as an argument",
    ]


def test_an_unknown_parameter_suggests_a_similar_name() -> None:
    with pytest.raises(UserError, match=r"no parameter 'modul'\n  fix: did you mean 'module'"):
        _findings(sound, modul="x")


def test_an_evaluator_input_of_the_wrong_type_is_reported() -> None:
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


# Evaluation settings

GOOD: dict[str, Any] = {
    "model_specs": [{"label_key": "tips_xf", "signature_name": "serve", "preprocessing_function_names": ["features"]}],
    "slicing_specs": [{}, {"feature_keys": ["hour"]}, {"feature_values": {"side": "1"}}],
    "metrics_specs": [{"metrics": [{"class_name": "AUC", "config": '{"num_thresholds": 5}'}]}],
}
TRAINED = (
    "import tensorflow as tf\nfrom helper import save\n\n"
    "def preprocessing_fn(inputs):\n    return {f'{name}_xf': 1 for name in inputs} | dict(side=2)\n\n"
    "def run_fn(fn_args):\n    save(signatures={'serve': None, 'serving_default': None})\n"
)


@pytest.fixture
def trained(here: Path) -> Path:
    """A module that imports another, and data with named columns."""
    (here / "module.py").write_text(TRAINED)
    (here / "helper.py").write_text("def save(**_):\n    return 'features'\n")
    (here / "data.csv").write_text("tips,hour,company \n1,2,x\n")
    return here


@dsl.pipeline(name="judged")
def judged(eval_config: dict = GOOD, data: str = "data.csv", module: str = "module.py", delimiter: str = ","):
    trips = ExampleGen(input_path=data, allow_unversioned=True, delimiter=delimiter)
    examples = trips.outputs["examples"]
    schema = SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"]).outputs["schema"]
    transformed = Transform(examples=examples, schema=schema, module=module)
    trained = Trainer(examples=transformed.outputs["transformed_examples"], module=module)
    Evaluator(examples=examples, model=trained.outputs["model"], eval_config=eval_config)


def _changed(**changes: Any) -> dict[str, Any]:
    (spec,) = GOOD["model_specs"]
    model = {
        name: value for name, value in changes.items() if name in ("label_key", "signature_name", "example_weight_key")
    }
    rest = {name: value for name, value in changes.items() if name not in model}
    return {**GOOD, "model_specs": [{**spec, **model}], **rest}


def test_a_valid_evaluation_has_no_findings(trained: Path) -> None:
    assert _findings(judged) == []
    assert _findings(judged, eval_config=_changed(label_key="company", example_weight_key="hour_scaled")) == []


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "field": (
        {"model_spec": []},
        "eval_config has no field eval_config.model_spec\n  fix: did you mean 'model_specs'?",
    ),
    "value": (
        _changed(options={"min_slice_size": "many"}),
        "eval_config.options.min_slice_size is 'many': invalid literal for int()",
    ),
    "metric": (
        _changed(metrics_specs=[{"metrics": [{"class_name": "Auc"}]}]),
        "eval_config.metrics_specs[0].metrics[0].class_name: there is no metric 'Auc'\n  fix: did you mean 'AUC'?",
    ),
    "metric's settings": (
        _changed(metrics_specs=[{"metrics": [{"class_name": "AUC", "config": '{"num_treshold": 5}'}]}]),
        "eval_config.metrics_specs[0].metrics[0]: AUC has no setting 'num_treshold'\n  fix: did you mean 'num_thresh",
    ),
    "metric's JSON": (
        _changed(metrics_specs=[{"metrics": [{"class_name": "AUC", "config": "num_thresholds=5"}]}]),
        "eval_config.metrics_specs[0].metrics[0].config is not a JSON object: 'num_thresholds=5'",
    ),
    "custom metric": (
        _changed(metrics_specs=[{"metrics": [{"class_name": "Tip", "module": "helper"}]}]),
        "eval_config.metrics_specs[0].metrics[0].class_name: helper has no 'Tip'\n  fix: it has save",
    ),
    "label": (
        _changed(label_key="tip"),
        "eval_config.model_specs[0].label_key: 'tip' is not a column of the data, and no module names it\n"
        "  fix: did you mean 'tips'?",
    ),
    "no label": (_changed(label_key=""), "eval_config.model_specs has no label_key, but AUC needs labels"),
    "weight": (
        _changed(example_weight_key="fare"),
        "eval_config.model_specs[0].example_weight_key: 'fare' is not a column",
    ),
    "signature": (
        _changed(signature_name="predict"),
        "eval_config.model_specs[0].signature_name: no module names a signature 'predict'",
    ),
    "slice": (
        _changed(slicing_specs=[{"feature_keys": ["citi"]}]),
        "eval_config.slicing_specs[0]: 'citi' is not a column of the data",
    ),
}


@pytest.mark.parametrize(("config", "message"), SETTINGS.values(), ids=SETTINGS)
def test_a_mistake_in_an_eval_config_is_reported(trained: Path, config: dict[str, Any], message: str) -> None:
    (finding,) = _findings(judged, eval_config=config)
    assert finding.startswith(f"evaluator: {message}")


def test_all_mistakes_are_reported_together(trained: Path) -> None:
    metrics = [{"class_name": "Auc"}, {"class_name": "AUC", "config": '{"num_treshold": 5}'}]
    config = _changed(
        label_key="tip",
        signature_name="predict",
        metrics_specs=[{"metrics": metrics}],
        slicing_specs=[{"feature_keys": ["citi", "hour"]}],
    )
    assert len(_findings(judged, eval_config=config)) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"module": "from tfx.examples.chicago_taxi_pipeline import taxi_utils\n"},
        {"module": "import companys_own_library\n"},
        {"data": "a.tfrecord"},
    ],
)
def test_unknown_names_are_not_checked(trained: Path, change: dict[str, str]) -> None:
    (trained / "module.py").write_text(change.get("module", "") + TRAINED)
    (trained / "a.tfrecord").touch()
    data = change.get("data", "data.csv")
    assert _findings(judged, eval_config=_changed(label_key="nosuch"), data=data) == []


def test_columns_are_read_with_any_delimiter_and_from_parquet(trained: Path) -> None:
    (trained / "data.csv").write_text("tips;hour\n1;2\n")
    assert _findings(judged, delimiter=";") == []
    pq.write_table(pa.table({"tips": [1], "hour": [2]}), trained / "data.parquet")
    assert _findings(judged, data="data.parquet") == []
    (finding,) = _findings(judged, data="data.parquet", eval_config=_changed(label_key="tip"))
    assert finding.endswith("did you mean 'tips'?")


def test_outputs_of_other_containers_are_not_checked(trained: Path) -> None:
    @dsl.pipeline
    def imported():
        examples = dsl.importer(artifact_uri="examples", artifact_class=dsl.Dataset, reimport=False).output
        model = dsl.importer(artifact_uri="model", artifact_class=dsl.Model, reimport=False).output
        Evaluator(examples=examples, model=model, eval_config=_changed(label_key="nosuch", signature_name="other"))

    assert _findings(imported) == []


def test_the_command_takes_under_two_seconds_and_loads_no_tensorflow(here: Path, trained: Path) -> None:
    compiled = here / "sound.yaml"
    loading.compile_to(judged, compiled)
    program = (
        "import sys; sys.argv = ['taxiway', 'check', 'sound.yaml']\n"
        "import taxiway.cli\n"
        "try:\n    taxiway.cli.app()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'tensorflow', 'apache_beam', 'tensorflow_data_validation', 'ml_metadata'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    path = os.pathsep.join([str(Path(check.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "nothing wrong found" in result.stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def takes(x: dict):
    print(x)


def test_loop_items_of_the_wrong_type_are_reported() -> None:
    @dsl.pipeline(name="loops")
    def loops(xs: list[dict] = [{"a": 1}]):
        with dsl.ParallelFor(xs) as x:
            takes(x=x)

    assert _findings(loops) == []
    assert _findings(loops, xs=[{"a": 2}, 3]) == [
        "for-loop-1: the parameter 'xs-loop-item' takes a struct, not 3",
    ]


def test_tasks_that_wait_for_each_other_are_refused() -> None:
    compiled = loading.compiled(sound)
    tasks = compiled.spec["root"]["dag"]["tasks"]
    tasks["example-gen"]["dependentTasks"] = ["trainer"]
    with pytest.raises(UserError, match="the task 'example-gen' waits for itself: example-gen after trainer"):
        check.findings(compiled, {})
    tasks["example-gen"]["dependentTasks"] = ["missing"]
    compiled = replace(compiled)
    with pytest.raises(UserError, match="the task 'example-gen' waits for 'missing', which does not exist"):
        check.findings(compiled, {})


def test_a_component_that_contains_itself_is_refused() -> None:
    @dsl.pipeline(name="outer")
    def outer():
        sound()

    compiled = loading.compiled(outer)
    tasks = compiled.spec["components"]["comp-sound"]["dag"]["tasks"]
    tasks["again"] = {"componentRef": {"name": "comp-sound"}}
    with pytest.raises(UserError, match="sound/again: the component 'comp-sound' contains itself"):
        check.findings(compiled, {})
