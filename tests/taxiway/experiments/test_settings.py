"""An experiment's settings: what is refused, with the path and a fix."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.contract.errors import UserError
from taxiway.experiments.settings import load, parsed

GIVEN: dict[str, Any] = {
    "name": "a",
    "model": "taxi",
    "arms": {"stable": {"target": "stable", "share": 1}, "canary": {"version": 2, "share": 1}},
    "control": "stable",
    "start": "2026-11-01",
    "metrics": [{"name": "latency", "kind": "ratio", "column": "latency_ms", "goal": "down"}],
}


def test_settings_are_read_with_their_defaults(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump({**GIVEN, "window": "2d", "end": "2026-11-15T08:00:00Z"}))
    found = load(file)
    assert (found.start, found.window) == (datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=2))
    assert (found.treatments, found.comparisons, found.method) == (["canary"], 1, "sequential")
    assert found.metrics[0].sign == -1


def test_another_hypothesis_is_the_same_experiment_and_another_margin_is_not() -> None:
    plain = parsed(GIVEN, "e")
    assert parsed({**GIVEN, "hypothesis": "faster"}, "e").digest == plain.digest
    assert parsed({**GIVEN, "metrics": [{**GIVEN["metrics"][0], "margin": 1}]}, "e").digest != plain.digest


@pytest.mark.parametrize(
    ("changed", "words", "fix"),
    [
        ({"controll": "stable"}, "e has no setting 'controll'", "did you mean 'control'?"),
        ({"control": "champion"}, "e.control is 'champion', which is no arm", "use one of stable, canary"),
        ({"arms": {"stable": {"target": "a", "share": 1}}}, "e.arms has 1", "give two arms or more"),
        ({"arms": {**GIVEN["arms"], "x": {"share": 1}}}, "e.arms.x is", "either target, or label, or version"),
        ({"method": "sequental"}, "e.method is 'sequental'", "did you mean 'sequential'?"),
        ({"start": "soon"}, "e.start is 'soon'", "write a time such as 2026-02-01T08:00:00Z"),
        ({"window": "1w"}, "e.window is '1w'", "write a number and s, m, h or d"),
        ({"unit": "user"}, "e.unit is 'user'", "write request, feature:NAME or header:NAME"),
        ({"unit": "header:x-user", "window": "1d"}, "headers are not in the inference table", "keys: {source:"),
        ({"unit": "feature:user"}, "e.window is missing", "add window: 1d"),
        ({"level": 5}, "e.level is 5", "write a share such as 0.05"),
        ({"metrics": [{"name": "a", "kind": "meen", "column": "x"}]}, "e.metrics[0].kind is 'meen'", "did you mean"),
        ({"metrics": [{"name": "a", "kind": "rank", "column": "x"}]}, "ranks are compared once", "method: fixed"),
        ({"metrics": [{"name": "a", "kind": "ndcg", "column": "x"}]}, "score is missing", "add score: output_NAME"),
        ({"metrics": [{"name": "a", "kind": "mean", "column": "x", "margin": 0}]}, "margin is 0", "above 0"),
        ({"outcomes": [{"source": "a.csv", "name": "a"}], "window": "1d"}, "has neither id and key", "give id, or key"),
        ({"ramp": [{"start": "2026-11-02", "shares": {"stable": 1}}]}, "e.ramp: the shares are", "every arm a share"),
        ({"end": "2026-10-01"}, "before the start", "give a later time"),
        ({"layer": {"name": "l", "shares": {"b": 1.0}}}, "e.layer.shares lacks 'a'", "add a: 0.5"),
    ],
)
def test_wrong_settings_are_refused(changed: dict[str, Any], words: str, fix: str) -> None:
    with pytest.raises(UserError) as error:
        parsed({**GIVEN, **changed}, "e")
    assert words in str(error.value) and fix in str(error.value)
