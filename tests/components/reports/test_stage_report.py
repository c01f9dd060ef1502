"""The report that a stage leaves beside its other outputs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import ExampleStatistics, Report
from components.contract.declaration import Stage
from components.contract.signature import REPORT
from components.execution import stages
from components.execution.executor import execute
from components.reports import artifacts, stage_report
from components.reports.readers import records
from taxiway.dsl import definitions
from tests.components.models import make_model, pusher_command
from tests.components.reports.parsed import require_safe

REPORTING = [stage for stage in stages.in_order() if stage.has_report]


def _statistics(folder: Path) -> dict[str, Any]:
    """An ExecutorInput for schema_gen, with statistics of one feature."""
    split = folder / "statistics/Split-train"
    split.mkdir(parents=True)
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    text = """datasets { num_examples: 3 features { name: "fare" type: FLOAT num_stats {
        common_stats { num_non_missing: 3 min_num_values: 1 max_num_values: 1 tot_num_values: 3 } mean: 2 } } }"""
    (split / "FeatureStats.pb").write_bytes(text_format.Parse(text, DatasetFeatureStatisticsList()).SerializeToString())
    runtime = {"uri": str(folder / "statistics"), "metadata": {"split_names": '["train"]'}}
    outputs = {name: {"artifacts": [{"uri": str(folder / "out" / name)}]} for name in ("schema", "report")}
    return {
        "inputs": {"artifacts": {"statistics": {"artifacts": [runtime]}}},
        "outputs": {"artifacts": outputs, "outputFile": str(folder / "output.json")},
    }


def _run(folder: Path, stage: Stage) -> dict[str, Any]:
    document = _statistics(folder)
    execute(stage.function, document, stage_report.writer(stage))
    output: dict[str, Any] = json.loads((folder / "output.json").read_text())
    return {name: found["artifacts"][0] for name, found in output["artifacts"].items()}


@pytest.mark.parametrize("stage", REPORTING, ids=lambda stage: stage.name)
def test_a_report_shows_what_the_stage_makes_and_kubeflow_knows_it_as_html(stage: Stage) -> None:
    made = {port.kind for port in stage.ports if port.direction == "output"}
    assert {kind for kind, _ in artifacts.of_stage(stage.name)} <= made - {Report}
    output = definitions.component(stage.name).component_spec.outputs[REPORT.name]
    assert output.type == "system.HTML@0.0.1"


def test_whatever_makes_something_to_look_at_has_a_report() -> None:
    assert {stage.name for stage in stages.in_order()} - {stage.name for stage in REPORTING} <= {"baseline"}


def test_a_stage_leaves_a_page_beside_its_outputs(tmp_path: Path) -> None:
    made = _run(tmp_path, stages.load("schema_gen"))
    assert made["report"]["type"]["schemaTitle"] == "system.HTML"
    page = require_safe(Path(made["report"]["uri"]).read_text())
    assert page.headings == [1, 2]
    assert "fare" in page.text
    assert f"schema {made['schema']['metadata']['digest'].removeprefix('sha256:')[:12]}" in page.text


def test_equal_outputs_give_equal_pages_wherever_they_lie(tmp_path: Path) -> None:
    one, other = (_run(tmp_path / name, stages.load("schema_gen"))["report"] for name in ("a", "b"))
    assert one["uri"] != other["uri"]
    assert one["metadata"]["digest"] == other["metadata"]["digest"]


def test_no_chain_has_the_record_of_a_report(tmp_path: Path) -> None:
    made = _run(tmp_path, stages.load("schema_gen"))
    chain = json.loads(made["schema"]["metadata"]["provenance_chain"])
    assert [record["output"] for record in chain] == ["schema"]
    assert json.loads(made["report"]["metadata"]["provenance"])["output"] == "report"


def test_a_section_that_fails_is_a_warning_in_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("<b>no</b>")

    monkeypatch.setattr("components.schema_gen.report.SECTIONS", [(artifacts.Artifact, broken)])
    page = require_safe(Path(_run(tmp_path, stages.load("schema_gen"))["report"]["uri"]).read_text())
    assert "This section cannot be shown. ValueError: <b>no</b>" in page.text
    assert "warning: schema cannot be shown: ValueError" in capsys.readouterr().err


def test_a_report_that_fails_is_a_warning_and_the_stage_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(artifacts, "of_stage", lambda _: 1 / 0)
    made = _run(tmp_path, stages.load("schema_gen"))
    assert Path(made["schema"]["uri"], "schema.pbtxt").is_file()
    assert "the report of schema_gen could not be made: ZeroDivisionError" in Path(made["report"]["uri"]).read_text()
    assert "the report of schema_gen could not be made" in made["report"]["metadata"]["notes"]
    assert "warning: the report of schema_gen could not be made" in capsys.readouterr().err


def test_without_a_place_for_it_there_is_none(tmp_path: Path) -> None:
    stage = stages.load("schema_gen")
    document = _statistics(tmp_path)
    del document["outputs"]["artifacts"]["report"]
    execute(stage.function, document, stage_report.writer(stage))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["schema"]


def test_a_push_says_where_to_and_asks_no_server_for_labels(tmp_path: Path) -> None:
    command = pusher_command(make_model(tmp_path / "model"), str(tmp_path / "served"), tmp_path / "push", 3)
    document = json.loads(command[-1])
    document["outputs"]["artifacts"]["report"] = {"artifacts": [{"uri": str(tmp_path / "push/report")}]}
    code = "import sys; from components.__main__ import main; main(sys.argv[1:]); print(*sys.modules)"
    argv = [command[0], "-c", code, *command[3:-1], json.dumps(document)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    page = require_safe((tmp_path / "push/report").read_text())
    assert f"{tmp_path}/served/3" in page.text
    assert "Labels" not in page.text
    assert not {"tensorflow", "grpc", "numpy", "pyarrow", "jinja2"} & set(done.stdout.split())


def test_what_an_earlier_run_made_counts_only_if_it_differs(tmp_path: Path) -> None:
    now, then = (ExampleStatistics(tmp_path, {"digest": name}) for name in ("a", "b"))
    assert artifacts.Ran([now], before=[then]).earlier(ExampleStatistics) is then
    assert artifacts.Ran([now], before=[now]).earlier(ExampleStatistics) is None
    assert artifacts.Ran([now]).earlier(ExampleStatistics) is None
    assert records.own(None) == {}
