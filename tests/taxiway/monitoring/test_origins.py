"""What a version was trained on, by the records of its lineage."""

from __future__ import annotations

from typing import Any

from taxiway.monitoring import origins


def record(digest: str, kind: str, output: str, **more: Any) -> dict[str, Any]:
    return {"digest": digest, "type": kind, "output": output, "inputs": {}, "parameters": {}, "data": None, **more}


MODEL = record("m", "Model", "model", inputs={"examples": "x"})
TRANSFORMED = record("x", "Examples", "transformed_examples", inputs={"examples": "e"})
FIRST = record("e", "Examples", "examples", data={"path": "data/trips"})


def test_the_examples_as_they_came_in_are_found() -> None:
    for found in (FIRST, {**FIRST, "data": None}):
        assert origins._raw([MODEL, TRANSFORMED, found]) == found
    assert origins._raw([MODEL]) is None


def test_examples_of_requests_that_were_added_to_a_history_are_what_the_model_was_trained_on() -> None:
    added = record("e", "Examples", "examples", inputs={"history": "h", "schema": "s"}, data={"path": "tables/taxi"})
    history = record("h", "Examples", "examples", data={"path": "data/trips"})
    for records in ([MODEL, TRANSFORMED, added, history], [MODEL, history, added, TRANSFORMED]):
        assert origins._raw(records) == added


def test_the_evaluation_goes_before_other_stages_with_an_eval_config() -> None:
    judged = record("b", "ModelBlessing", "blessing", parameters={"eval_config": {"a": 1}})
    evaluated = record("v", "ModelEvaluation", "evaluation", parameters={"eval_config": {"b": 1}})
    assert origins._evaluation([MODEL, judged, evaluated]) == evaluated
    assert origins._evaluation([MODEL, judged]) == judged
    assert origins._evaluation([MODEL]) is None
