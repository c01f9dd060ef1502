from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from components.contract.artifacts import Examples, Input, Model, Output, Schema
from components.contract.errors import UserError
from components.execution.executor import execute, local_path

Document = dict[str, Any]
CALLS: list[dict[str, Any]] = []


class Returned(NamedTuple):
    blessed: bool
    version: str
    rate: float
    names: list


def stage(
    examples: Input[Examples],
    model: Output[Model],
    name: str,
    schema: Input[Schema] | None = None,
    steps: int = 1,
    rate: float = 0.5,
    fast: bool = False,
    splits: list = ["train"],
    config: dict = {},
) -> Returned:
    """Records its arguments and writes a model."""
    CALLS.append(dict(locals()))
    if name == "fails":
        raise UserError("said")
    if name != "writes nothing":
        model.path.mkdir()
        (model.path / "content").write_text(name)
    model.metadata["note"] = name
    return Returned(True, "3.0", 1.0, ["a"])


@pytest.fixture(autouse=True)
def calls() -> list[dict[str, Any]]:
    CALLS.clear()
    return CALLS


@pytest.fixture
def document(tmp_path: Path) -> Document:
    examples = tmp_path / "examples"
    examples.mkdir()
    (examples / "rows").write_text("rows")
    return {
        "inputs": {
            "parameterValues": {"name": "taxi"},
            "artifacts": {
                "examples": {
                    "artifacts": [
                        {"name": "1", "uri": str(examples), "metadata": {"span": 3.0}},
                        {"name": "2", "uri": "/elsewhere"},
                    ]
                }
            },
        },
        "outputs": {
            "artifacts": {"model": {"artifacts": [{"uri": str(tmp_path / "deep" / "er" / "model"), "metadata": {}}]}},
            "parameters": {
                name: {"outputFile": str(tmp_path / "outputs" / name)}
                for name in ("blessed", "version", "rate", "names")
            },
            "outputFile": str(tmp_path / "out" / "executor_output.json"),
        },
    }


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://bucket/a/b", "/gcs/bucket/a/b"),
        ("s3://bucket/a", "/s3/bucket/a"),
        ("minio://mlpipeline/v2/a", "/minio/mlpipeline/v2/a"),
        ("/a/b", "/a/b"),
    ],
)
def test_local_paths_of_artifacts(uri: str, path: str) -> None:
    assert local_path(uri) == Path(path)


def test_inputs_arrive_with_their_types(document: Document, calls: list[dict[str, Any]]) -> None:
    document["inputs"]["parameterValues"] |= {
        "steps": 20.0,
        "rate": 1,
        "fast": True,
        "splits": ["a"],
        "config": {"b": 1},
    }
    execute(stage, document)
    [call] = calls
    assert type(call["examples"]) is Examples
    assert call["examples"].metadata == {"span": 3.0}
    assert call["schema"] is None
    assert (call["name"], call["steps"], call["rate"], call["fast"]) == ("taxi", 20, 1.0, True)
    assert isinstance(call["steps"], int)
    assert isinstance(call["rate"], float)
    assert (call["splits"], call["config"]) == (["a"], {"b": 1})


def test_defaults_apply_to_missing_and_null_inputs(document: Document, calls: list[dict[str, Any]]) -> None:
    document["inputs"]["parameterValues"] |= {"rate": None, "splits": None}
    document["inputs"]["artifacts"]["schema"] = {"artifacts": []}
    execute(stage, document)
    [call] = calls
    assert (call["steps"], call["rate"], call["splits"], call["schema"]) == (1, 0.5, ["train"], None)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("steps", 1.5, "'steps' takes int, not 1.5"),
        ("steps", True, "'steps' takes int, not True"),
        ("steps", "3", "'steps' takes int, not '3'"),
        ("rate", "high", "'rate' takes float, not 'high'"),
        ("rate", False, "'rate' takes float, not False"),
        ("fast", 1, "'fast' takes bool, not 1"),
        ("fast", "true", "'fast' takes bool, not 'true'"),
        ("name", 3, "'name' takes str, not 3"),
        ("splits", "train", "'splits' takes list, not 'train'"),
        ("config", [], r"'config' takes dict, not \[\]"),
    ],
)
def test_a_value_of_another_type_is_refused(
    document: Document, calls: list[dict[str, Any]], name: str, value: Any, message: str
) -> None:
    document["inputs"]["parameterValues"][name] = value
    with pytest.raises(UserError, match=f"the parameter {message}"):
        execute(stage, document)
    assert not calls


@pytest.mark.parametrize("side", ["artifacts", "parameterValues"])
def test_an_input_that_is_missing_is_named(document: Document, side: str) -> None:
    name = next(iter(document["inputs"].pop(side)))
    with pytest.raises(UserError, match=f"the input '{name}' is missing from the ExecutorInput"):
        execute(stage, document)


def test_an_output_that_is_missing_is_named(document: Document) -> None:
    del document["outputs"]["artifacts"]
    with pytest.raises(UserError, match="the output 'model' is missing from the ExecutorInput"):
        execute(stage, document)


@pytest.mark.parametrize("side", ["artifacts", "parameterValues"])
def test_an_input_that_the_stage_does_not_have_is_refused(
    document: Document, calls: list[dict[str, Any]], side: str
) -> None:
    document["inputs"][side]["model"] = {}
    with pytest.raises(UserError, match=r"(?s)the stage stage has no input 'model'.*the inputs are config, examples"):
        execute(stage, document)
    assert not calls


def test_the_executor_output(document: Document, tmp_path: Path) -> None:
    execute(stage, document)
    written = {name: (tmp_path / "outputs" / name).read_text() for name in ("blessed", "version", "rate", "names")}
    assert written == {"blessed": "true", "version": "3.0", "rate": "1.0", "names": '["a"]'}
    output = json.loads((tmp_path / "out" / "executor_output.json").read_text())
    assert output["parameterValues"] == {"blessed": True, "version": "3.0", "rate": 1.0, "names": ["a"]}
    [model] = output["artifacts"]["model"]["artifacts"]
    assert model["name"] == "model"
    assert model["uri"] == document["outputs"]["artifacts"]["model"]["artifacts"][0]["uri"]
    assert model["type"] == {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"}
    metadata = model["metadata"]
    assert (metadata["note"], metadata["tfx_type"], metadata["tfx_version"]) == ("taxi", "Model", "1.21.0")
    record = json.loads(metadata["provenance"])
    assert record["digest"] == metadata["digest"]
    assert record["parameters"] == {
        "name": "taxi",
        "steps": 1,
        "rate": 0.5,
        "fast": False,
        "splits": ["train"],
        "config": {},
    }
    assert list(record["inputs"]) == ["examples"]
    assert (Path(model["uri"]) / "provenance.json").is_file()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["executor_output.json"]


@pytest.mark.parametrize(("name", "error"), [("fails", UserError), ("writes nothing", RuntimeError)])
def test_a_failed_stage_writes_no_output_document(
    document: Document, tmp_path: Path, name: str, error: type[Exception]
) -> None:
    document["inputs"]["parameterValues"]["name"] = name
    with pytest.raises(error):
        execute(stage, document)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "outputs").exists()


def test_what_kubeflows_compiler_adds_to_a_task_is_skipped(document: Document, calls: list[dict[str, Any]]) -> None:
    added = {"pipelinechannel--solver": "adam", "memory_limit": "2G", "base_image": "python:3.13"}
    document["inputs"]["parameterValues"] |= {"config": {"solver": "adam"}, **added}
    execute(stage, document)
    assert calls[0]["config"] == {"solver": "adam"}
