"""The settings of rollouts: what is wrong is named with its place and a fix."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.contract.errors import UserError
from taxiway.delivery.settings import Business, Step, parsed, read

ROUTE: dict[str, Any] = {"weights": {"route": "http://127.0.0.1:8602"}}
KSERVE: dict[str, Any] = {
    "weights": {"kserve": {"namespace": "ml", "name": "taxi"}},
    "evidence": "tables",
    "tables": "tables",
}


def test_the_place_of_the_weights_is_enough() -> None:
    settings = parsed(ROUTE)
    assert [step.weight for step in settings.steps] == [1, 5, 25, 50, 100]
    assert settings.guardrails.names == ("errors", "latency")
    assert settings.weights.route == ("http://127.0.0.1:8602",)
    assert parsed({**ROUTE, "strategy": "shadow"}).steps[0].weight == 0
    assert [step.weight for step in parsed({**ROUTE, "strategy": "blue-green"}).steps] == [0, 100]
    assert parsed(KSERVE).weights.kserve


def test_everything_is_read() -> None:
    given = {
        **ROUTE,
        "steps": [{"weight": 5, "least_time": "90s", "least_requests": 7, "approval": True}, {"weight": 100}],
        "guardrails": {
            "latency": False,
            "errors": None,
            "business": {"label": "paid", "margin": 0.02, "delay": "2h", "absent": 0},
        },
        "tables": "s3://tables",
        "pause_limit": "2d",
    }
    settings = parsed(given)
    assert settings.steps[0] == Step(5, timedelta(seconds=90), 7, approval=True)
    assert settings.guardrails.names == ("errors", "business")
    assert settings.guardrails.business == Business("paid", margin=0.02, delay=timedelta(hours=2), absent=0)
    assert settings.pause_limit == timedelta(days=2)


WRONG = {
    "delivery takes a map of settings": [],
    "delivery.weights is missing": {},
    "delivery.weights has nothing": {"weights": {}},
    "delivery.weights.route has '8602'": {"weights": {"route": "8602"}},
    "delivery.weights.kserve.name is missing": {"weights": {"kserve": {"namespace": "ml"}}},
    "delivery has no setting 'step'": {**ROUTE, "step": []},
    "delivery.strategy is 'blue'": {**ROUTE, "strategy": "blue"},
    "delivery.steps is []": {**ROUTE, "steps": []},
    "delivery.steps[0].weight is missing": {**ROUTE, "steps": [{}]},
    "delivery.steps[0].weight is 'all'": {**ROUTE, "steps": [{"weight": "all"}]},
    "delivery.steps[0].least_time is 'soon'": {**ROUTE, "steps": [{"weight": 5, "least_time": "soon"}]},
    "delivery.steps has the weights [50, 5, 100]": {**ROUTE, "steps": [{"weight": w} for w in (50, 5, 100)]},
    "delivery.steps has the weights [5]": {**ROUTE, "steps": [{"weight": 5}]},
    "delivery.steps begins with the weight 0": {**ROUTE, "steps": [{"weight": 0}, {"weight": 100}]},
    "delivery.steps begins with the weight 5": {
        **ROUTE,
        "strategy": "shadow",
        "steps": [{"weight": 5}, {"weight": 100}],
    },
    "delivery.guardrails has no setting 'error'": {**ROUTE, "guardrails": {"error": {}}},
    "delivery.guardrails.errors has a negative tolerance": {**ROUTE, "guardrails": {"errors": {"tolerance": -1}}},
    "delivery.guardrails.business.label is missing": {**ROUTE, "guardrails": {"business": {}}},
    "delivery.guardrails.business.better is 'up'": {
        **ROUTE,
        "guardrails": {"business": {"label": "a", "better": "up"}},
    },
    "delivery.tables is missing": {**ROUTE, "guardrails": {"drift": {}}},
    "delivery.guardrails has drift or business, but blue": {
        **ROUTE,
        "strategy": "blue-green",
        "tables": "tables",
        "guardrails": {"drift": {}},
    },
    "delivery.level is 5": {**ROUTE, "level": 5},
    "delivery.challenger is the champion's target": {**ROUTE, "challenger": "stable"},
    "delivery.evidence is route, without a proxy": {"weights": KSERVE["weights"]},
    "delivery.steps[0].weight is 0.5": {**KSERVE, "steps": [{"weight": 0.5}, {"weight": 100}]},
    "delivery.steps: the last step waits": {**KSERVE, "steps": [{"weight": 5}, {"weight": 100}]},
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_wrong_is_named(said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        parsed(WRONG[said])
    assert refused.value.fix


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "loop.yaml"
    file.write_text("model: taxi\ndelivery: {weights: {route: http://127.0.0.1:1}}\n")
    assert read(file) == {"weights": {"route": "http://127.0.0.1:1"}}
    file.write_text("weights: {route: [http://127.0.0.1:1, http://127.0.0.1:2/]}\n")
    assert parsed(read(file)).weights.route == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    file.write_text("delivery: {weights: {}}\n")
    with pytest.raises(UserError, match=r"loop\.yaml: delivery\.weights has nothing"):
        read(file)
    file.write_text("{")
    with pytest.raises(UserError, match="is not YAML"):
        read(file)
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "none.yaml")
