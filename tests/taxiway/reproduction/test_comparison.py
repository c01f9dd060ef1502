"""The calls in a lineage, and explanations for different results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taxiway.reproduction.calls import Call, calls
from taxiway.reproduction.comparison import Made, compare
from taxiway.reproduction.reproduce import _pinned

ENVIRONMENT = {"python": "3.13.1", "processor": "one", "packages": {"tensorflow": "2.21.0", "numpy": "2.4"}}


def record(stage: str, output: str, digest: str, **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "digest": digest,
        "type": output.title(),
        "output": output,
        "stage": stage,
        "stage_version": "v1",
        "parameters": {},
        "code": {"commit": "c" * 40, "modified": False, "modules": {}, "files": {}},
        "image": "",
        "environment": ENVIRONMENT,
        "inputs": {},
        "created": "2026-01-01T00:00:00+00:00",
        "data": None,
    }
    return base | more


def test_calls_are_in_topological_order() -> None:
    records = [
        record("pusher", "pushed", "p", inputs={"model": "m"}),
        record("trainer", "model", "m", inputs={"examples": "e", "schema": "s"}),
        record("trainer", "model_run", "r", inputs={"examples": "e", "schema": "s"}),
        record("evaluator", "blessing", "b", inputs={"model": "m", "baseline_model": "old", "examples": "e"}),
        record("schema_gen", "schema", "s", inputs={"examples": "e"}),
        record("example_gen", "examples", "e"),
        record("baseline", "model", "old", inputs={"candidate": "m"}),
        record("trainer", "model", "m2", inputs={"examples": "e"}, parameters={"train_steps": 2}),
    ]
    found = {call.task: call for call in calls(records, skip=["pusher", "baseline"])}
    assert list(found) == ["example-gen", "schema-gen", "trainer", "evaluator", "trainer-2"]
    assert set(found["trainer"].outputs) == {"model", "model_run"}
    assert found["trainer"].sources == {"examples": ("example-gen", "examples"), "schema": ("schema-gen", "schema")}
    assert (found["evaluator"].sources["model"], found["evaluator"].external) == (
        ("trainer", "model"),
        {"baseline_model": "old"},
    )


THEN = record(
    "trainer",
    "model",
    "m",
    inputs={"examples": "e"},
    code={"commit": "c", "modified": False, "modules": {"module": {"name": "taxi", "digest": "sha256:1"}}, "files": {}},
)
SAME = "the same code with the same inputs gave another result: the stage is not deterministic"


@pytest.mark.parametrize(
    ("now", "reasons"),
    [
        ({}, [SAME]),
        ({"inputs": {"examples": "other"}}, ["its inputs differ"]),
        ({"inputs": {}}, ["it was rebuilt without examples, which no longer exists", SAME]),
        ({"stage_version": "v2"}, ["the stage's own code differs: another version of Taxiway"]),
        (
            {"code": {"modules": {"module": {"name": "taxi", "digest": "sha256:2"}}}},
            ["module differs: taxi was sha256:1, is now sha256:2"],
        ),
        (
            {"environment": {**ENVIRONMENT, "packages": {"tensorflow": "2.22.0"}}},
            ["numpy was 2.4, is now not installed", "tensorflow was 2.21.0, is now 2.22.0"],
        ),
        ({"environment": {**ENVIRONMENT, "processor": "two"}}, ["the CPU was one, is now two"]),
        ({"image": "train:1"}, ["the image was none, is now train:1"]),
        ({"data": {"content": "sha256:9"}}, ["the data was unknown, is now sha256:9"]),
    ],
)
def test_differences_are_explained(now: dict[str, Any], reasons: list[str]) -> None:
    made = Made({**THEN, "digest": "other", **now})
    outcome = compare(Call("trainer", THEN, {"model": THEN}, {}, {}), {"model": made})
    assert (outcome.state, outcome.reasons) == ("differs", reasons)
    assert outcome.outputs == {"model": ("m", "other")}


def test_nondeterministic_training_explains_a_difference() -> None:
    then = {**THEN, "deterministic": 0, "not_deterministic": "deterministic is off"}
    outcome = compare(Call("trainer", then, {"model": then}, {}, {}), {"model": Made({**THEN, "digest": "other"})})
    assert outcome.reasons == ["the recorded run was not deterministic: deterministic is off"]


def test_equal_and_missing_results_are_reported() -> None:
    call = Call("trainer", THEN, {"model": THEN}, {}, {})
    assert compare(call, {"model": Made(THEN)}).state == "equal"
    assert compare(call, {}).state == "not made"


def test_a_modified_commit_and_a_lineage_without_packages_are_reported() -> None:
    then = {**THEN, "code": {**THEN["code"], "modified": True}}
    del then["environment"]
    outcome = compare(Call("trainer", then, {"model": then}, {}, {}), {"model": Made({**THEN, "digest": "other"})})
    assert outcome.reasons == [
        "the code was commit c with uncommitted changes",
        "the lineage does not contain the packages and the CPU that it was made with",
    ]


def test_a_call_that_read_tables_reads_the_same_versions_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = {"path": "tables/taxi", "pinned": {"inference_version": 4, "labels_version": 2}}
    expected = {"tables": str(tmp_path / "tables"), "inference_version": 4, "labels_version": 2}
    assert _pinned(data, "tables", "tables") == expected
    assert _pinned(data, "s3://bucket/tables", "tables")["tables"] == "s3://bucket/tables"
