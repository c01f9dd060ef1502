"""The command line: exit statuses, messages, standard output and standard error."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from components.contract.errors import UserError
from taxiway import loading
from taxiway.cli.options import parsed_parameters
from tests.taxiway.chain_pipeline import chain

Taxiway = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def taxiway(tmp_path: Path) -> Taxiway:
    """Runs the command in its own folder, which contains `chain.yaml`."""
    loading.compile_to(chain, tmp_path / "chain.yaml")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "taxiway", *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TAXIWAY_")}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def test_a_run_prints_its_progress_to_standard_error(taxiway: Taxiway, tmp_path: Path) -> None:
    result = taxiway("run", "chain.yaml")
    assert (result.returncode, result.stdout) == (0, "")
    assert "source: running\n" in result.stderr
    assert "chain succeeded in" in result.stderr
    assert "(11 done)" in result.stderr
    again = taxiway("run", "chain.yaml", "--json")
    record = json.loads(again.stdout)
    assert {task["state"] for task in record["tasks"].values()} == {"CACHED"}
    assert (tmp_path / ".taxiway/runs" / record["run"] / "run.json").is_file()


def test_the_version_is_that_of_the_package(taxiway: Taxiway) -> None:
    assert taxiway("--version").stdout == f"taxiway {importlib.metadata.version('taxiway')}\n"


def test_runs_are_listed(taxiway: Taxiway) -> None:
    assert taxiway("runs").returncode == 0
    taxiway("run", "chain.yaml")
    taxiway("run", "chain.yaml")
    listed = json.loads(taxiway("runs", "--json").stdout)
    assert [run["tasks"] for run in listed] == [{"CACHED": 11}, {"COMPLETE": 11}]
    assert listed[0]["id"] in taxiway("runs", "--limit", "1").stdout


def test_an_artifact_and_its_digest_have_the_same_lineage(taxiway: Taxiway) -> None:
    record = json.loads(taxiway("run", "chain.yaml", "--json").stdout)
    path = record["tasks"]["step-2"]["outputs"]["out"]
    document = json.loads(taxiway("lineage", path, "--json").stdout)
    stages = [each["stage"] for each in document["records"]]
    assert stages == ["step-2", "step", "source"]
    by_digest = json.loads(taxiway("lineage", document["records"][0]["digest"][:19], "--json").stdout)
    assert by_digest["records"] == document["records"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "chain.yml"], "there is no file chain.yml"),
        (["run", "chains"], "there is no pipeline 'chains'"),
        (["run", "chain.yaml", "-p", "tex=1"], "no parameter 'tex'\n  fix: did you mean 'text'?"),
        (["run", "chain.yaml", "-p", "text"], "'text' is not of the form NAME=VALUE"),
        (["run", "chain.yaml", "-p", "text=1", "-p", "text=2"], "given twice"),
        (["lineage", "sha256:0123456789abcdef"], "0123456789abcdef"),
        (["lineage", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_reported_in_one_message(taxiway: Taxiway, arguments: list[str], text: str) -> None:
    result = taxiway(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_that_is_not_a_pipeline_is_refused(taxiway: Taxiway, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("a: 1\n")
    assert "other.yaml is not a compiled pipeline" in taxiway("run", "other.yaml").stderr
    text = (tmp_path / "chain.yaml").read_text().replace("schemaVersion: 2.1.0", "schemaVersion: 2.0.0")
    (tmp_path / "old.yaml").write_text(text)
    assert "IR version '2.0.0'; open-source Kubeflow requires 2.1.0" in taxiway("run", "old.yaml").stderr
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    assert "broken.yaml is not YAML" in taxiway("run", "broken.yaml").stderr


def test_a_home_that_cannot_be_written_is_refused(taxiway: Taxiway, tmp_path: Path) -> None:
    (tmp_path / ".taxiway").write_text("a file in the way")
    result = taxiway("run", "chain.yaml")
    assert result.returncode == 1
    assert ".taxiway cannot be written" in result.stderr
    assert "TAXIWAY_HOME" in result.stderr


def test_a_python_file_is_compiled_and_its_errors_have_a_location(taxiway: Taxiway, tmp_path: Path) -> None:
    source = Path(__file__).parents[1].joinpath("chain_pipeline.py").read_text()
    (tmp_path / "mine.py").write_text(source)
    assert taxiway("compile", "mine.py", "-o", "mine.yaml").stdout == "wrote mine.yaml\n"
    assert (tmp_path / "mine.yaml").read_text() == (tmp_path / "chain.yaml").read_text()
    (tmp_path / "bad.py").write_text("from kfp import dsl\nx = 1 / 0\n")
    result = taxiway("compile", "bad.py", "-o", "bad.yaml")
    assert result.returncode == 2
    assert "bad.py raised ZeroDivisionError" in result.stderr
    assert "line 2" in result.stderr
    assert not (tmp_path / "bad.yaml").exists()
    (tmp_path / "none.py").write_text("x = 1\n")
    assert "defines no pipeline" in taxiway("compile", "none.py", "-o", "none.yaml").stderr
    unwritable = taxiway("compile", "mine.py", "-o", "no/such/folder/mine.yaml")
    assert unwritable.returncode == 2
    assert "cannot be written" in unwritable.stderr


def test_pipelines_are_found_by_name(taxiway: Taxiway, tmp_path: Path) -> None:
    folder = tmp_path / "pipelines" / "mine"
    folder.mkdir(parents=True)
    (folder / "pipeline.py").write_text(Path(__file__).parents[1].joinpath("chain_pipeline.py").read_text())
    assert taxiway("run", "mine", "--jobs", "1").returncode == 0
    assert "did you mean 'mine'?" in taxiway("run", "mime").stderr


def test_parameters_are_parsed_by_type() -> None:
    assert parsed_parameters(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(UserError, match="write --param a=VALUE"):
        parsed_parameters(["a"])
