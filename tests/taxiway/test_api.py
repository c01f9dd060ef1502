"""`taxiway.run` from Python: its arguments, results and errors."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

import taxiway
from components.contract.errors import UserError
from taxiway import loading
from taxiway.dsl import ExampleGen, SchemaGen, StatisticsGen
from taxiway.runner.call import State
from taxiway.runs.progress import Observer
from tests.taxiway.chain_pipeline import chain

ROWS = "fare,payment\n" + "".join(f"{number}.5,{'Cash' if number % 3 else 'Card'}\n" for number in range(60))


@dsl.container_component
def scored(metrics: dsl.Output[dsl.Metrics], text: str, numbers: list, options: dict, share: float, quiet: bool):
    return dsl.ContainerSpec(
        image="any:1",
        command=["sh", "-ec", 'echo "$1 $2 $3 $4 $5" > "$0"'],
        args=[metrics.path, text, numbers, options, share, quiet],
    )


@dsl.pipeline(name="takes-everything")
def takes_everything(text: str, numbers: list, options: dict, share: float = 0.5, quiet: bool = False):
    """A parameter of each type."""
    scored(text=text, numbers=numbers, options=options, share=share, quiet=quiet)


@dsl.pipeline(name="schema-of-a-file")
def schema_of_a_file(data: str):
    """The smallest number of real stages that produce a schema."""
    examples = ExampleGen(input_path=data, allow_unversioned=True).outputs["examples"]
    SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"])


@dsl.pipeline(name="examples-of-a-file")
def examples_of_a_file(data: str):
    """A stage without heavy libraries."""
    ExampleGen(input_path=data, allow_unversioned=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def _run(pipeline: Any, home: Path, **options: Any) -> taxiway.Run:
    return taxiway.run(pipeline, home=home, observer=Observer(), **options)


def test_the_package_exports_what_a_notebook_needs() -> None:
    assert sorted(taxiway.__all__) == ["Run", "RunFailedError", "compare", "list_runs", "open_run", "run"]
    with pytest.raises(AttributeError, match="module 'taxiway' has no attribute 'runn'"):
        taxiway.runn  # noqa: B018


def test_a_run_has_its_artifacts_by_name(tmp_path: Path, home: Path) -> None:
    import tensorflow_data_validation as tfdv

    (tmp_path / "rows.csv").write_text(ROWS)
    run = _run(schema_of_a_file, home, data=str(tmp_path / "rows.csv"))
    reports = {"example-gen.report", "schema-gen.report", "statistics-gen.report"}
    assert run.artifacts.keys() == {"examples", "schema", "statistics", *reports}
    schema = run.artifacts["schema"]
    assert schema.type_name == "Schema"
    loaded = tfdv.load_schema_text(str(schema.path / "schema.pbtxt"))
    assert {feature.name for feature in loaded.feature} == {"fare", "payment"}
    assert run.metrics == {}
    assert (run.state, run.error, run.exit_status, run.failures) == (State.SUCCEEDED, "", 0, [])
    assert list(run.tasks) == ["example-gen", "statistics-gen", "schema-gen"]
    assert all(task.log.is_file() and task.seconds > 0 for task in run.tasks.values())


def test_a_function_a_yaml_file_and_a_compiled_pipeline_give_the_same_run(tmp_path: Path, home: Path) -> None:
    compiled = tmp_path / "chain.yaml"
    loading.compile_to(chain, compiled)
    first = _run(chain, home)
    for pipeline in (compiled, str(compiled), loading.compiled(chain)):
        again = _run(pipeline, home)
        assert {task.state for task in again.tasks.values()} == {State.CACHED}
        assert {name: a.path for name, a in again.artifacts.items()} == {n: a.path for n, a in first.artifacts.items()}


def test_outputs_with_the_same_name_are_prefixed_with_their_tasks(home: Path) -> None:
    artifacts = _run(chain, home, text="bye").artifacts
    assert artifacts["source.out"].path.read_text() == "bye first second\n"
    assert "out" not in artifacts


def test_parameters_may_be_plain_python_values(home: Path) -> None:
    run = _run(takes_everything, home, text="b c", numbers=[1, 2], options={"deep": {"x": None}}, share=1, quiet=True)
    written = run.artifacts["metrics"].path.read_text().split(" ", 2)
    assert written[:2] == ["b", "c"]
    assert written[2].startswith("[1, 2] ")
    assert '{"deep": {"x": null}}' in written[2]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"options": {}, "numbers": []}, r"the parameter 'text' has no value\n  fix: give one with --param text="),
        ({"txt": "b"}, r"the pipeline takes-everything has no parameter 'txt'\n  fix: did you mean 'text'\?"),
        ({"numbers": "one", "text": "", "options": {}}, r"the parameter 'numbers' takes a list, not 'one'"),
        (
            {"share": True, "text": "", "options": {}, "numbers": []},
            r"the parameter 'share' takes a number_double, not True",
        ),
    ],
)
def test_invalid_parameters_are_refused_before_the_run(home: Path, parameters: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError, match=text):
        _run(takes_everything, home, **parameters)
    assert not home.exists()


def test_the_error_has_the_failed_run(tmp_path: Path, home: Path) -> None:
    (tmp_path / "rows.csv").write_text("fare,payment\n1,Cash\n2\n")
    with pytest.raises(taxiway.RunFailedError, match=r"rows\.csv") as caught:
        _run(examples_of_a_file, home, data=str(tmp_path / "rows.csv"))
    run = caught.value.run
    assert caught.value.exit_status == run.exit_status == 2
    assert run.failures == ["example-gen"]
    assert run.artifacts == {}
    assert "rows.csv" in run.tasks["example-gen"].log.read_text()


def test_the_home_is_an_argument_a_variable_or_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAXIWAY_HOME", raising=False)
    assert taxiway.run(chain, observer=Observer()).folder.is_relative_to(tmp_path / ".taxiway")
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "variable"))
    assert taxiway.run(chain, observer=Observer()).folder.is_relative_to(tmp_path / "variable")
    assert _run(chain, tmp_path / "argument").folder.is_relative_to(tmp_path / "argument")
    assert taxiway.run(chain, home="named", observer=Observer()).folder.is_relative_to(tmp_path / "named")


def test_run_works_inside_an_event_loop_as_in_a_notebook(home: Path) -> None:
    async def cell() -> taxiway.Run:
        return _run(chain, home)

    assert asyncio.run(cell()).state == State.SUCCEEDED


def test_run_works_in_another_thread(home: Path) -> None:
    assert asyncio.run(asyncio.to_thread(_run, chain, home)).state == State.SUCCEEDED


def test_a_script_that_calls_run_is_executed_once(tmp_path: Path) -> None:
    """Scripts and notebooks need no `if __name__ == "__main__"`."""
    (tmp_path / "rows.csv").write_text(ROWS)
    script = tmp_path / "script.py"
    script.write_text(
        "import taxiway\nfrom tests.taxiway.test_api import examples_of_a_file\n"
        "print('started')\n"
        "print(taxiway.run(examples_of_a_file, data='rows.csv').artifacts['examples'].path.name)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TAXIWAY_HOME": str(tmp_path / "home")}
    result = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "started\nexamples\n"
    assert "examples-of-a-file succeeded" in result.stderr
