"""Placeholders are filled in one pass."""

from __future__ import annotations

import json

import pytest

from components.contract.errors import UserError
from taxiway.language.placeholders import fill_command

EXECUTOR_INPUT = {
    "inputs": {
        "parameterValues": {"text": "plain", "sly": "{{$.inputs.parameters['text']}}", "n": 3, "list": ["a", 1]},
        "artifacts": {
            "data": {"artifacts": [{"name": "d", "uri": "gs://bucket/data", "metadata": {"split": "train"}}]}
        },
    },
    "outputs": {
        "parameters": {"flag": {"outputFile": "/tmp/flag"}},
        "artifacts": {"model": {"artifacts": [{"name": "m", "uri": "/tmp/model", "metadata": {}}]}},
        "outputFile": "/tmp/executor_output.json",
    },
}


@pytest.mark.parametrize(
    ("word", "filled"),
    [
        ("{{$.inputs.parameters['text']}}", "plain"),
        ('a-{{$.inputs.parameters["n"]}}-b', "a-3-b"),
        ("{{$.inputs.parameters['list']}}", '["a", 1]'),
        ("{{$.inputs.artifacts['data'].path}}", "/gcs/bucket/data"),
        ("{{$.inputs.artifacts['data'].uri}}", "gs://bucket/data"),
        ("{{$.inputs.artifacts['data'].metadata['split']}}", "train"),
        ("{{$.outputs.artifacts['model'].path}}", "/tmp/model"),
        ("{{$.outputs.parameters['flag'].output_file}}", "/tmp/flag"),
        ("{{$.outputs.output_file}}", "/tmp/executor_output.json"),
        ("{{$.inputs.parameters['sly']}}", "{{$.inputs.parameters['text']}}"),
        ("no placeholder {{ here }}", "no placeholder {{ here }}"),
    ],
)
def test_fills_each_placeholder_once(word: str, filled: str) -> None:
    assert fill_command([word], EXECUTOR_INPUT) == [filled]


def test_the_whole_input_is_json() -> None:
    assert json.loads(fill_command(["{{$}}"], EXECUTOR_INPUT)[0]) == EXECUTOR_INPUT


def test_optional_parts() -> None:
    present = {"IfPresent": {"InputName": "text", "Then": ["--text", "{{$.inputs.parameters['text']}}"]}}
    absent = {"IfPresent": {"InputName": "nothing", "Then": ["--nothing"], "Else": ["--default"]}}
    joined = {"Concat": ["a=", "{{$.inputs.parameters['n']}}"]}
    words = [json.dumps(part) for part in (present, absent, joined)]
    assert fill_command(words, EXECUTOR_INPUT) == ["--text", "plain", "--default", "a=3"]


@pytest.mark.parametrize("word", ["{{$.inputs.parameters['x']}}", "{{$.inputs.artifacts['x'].path}}", "{{$.secrets}}"])
def test_an_unknown_placeholder_is_refused(word: str) -> None:
    with pytest.raises(UserError) as caught:
        fill_command([word], EXECUTOR_INPUT)
    assert word in str(caught.value)
