"""The model card of a pushed version."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components.contract.artifacts import ModelEvaluation, PushedModel
from components.contract.digests import CARD_FILES, tree_digest
from components.contract.errors import UserError
from components.execution.pushed_models import open_destination, versions
from components.pusher.card import pages, settings
from components.pusher.report import SECTIONS
from components.reports.page import render
from components.reports.ran import Ran
from taxiway import loading
from taxiway.serving.model.verification import Verification
from tests.components.models import DATA_VERSION, make_blessing, make_history, make_model
from tests.components.reports.parsed import HOSTILE, require_safe

TEXT, LIST = {"type": "string"}, "array"


def _objects(**properties: Any) -> dict[str, Any]:
    return {"type": LIST, "items": {"type": "object", "properties": properties}}


def _sections(**sections: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"type": "object", "properties": dict(found)} for name, found in sections.items()}


DESCRIBED = _objects(description=TEXT)
RULES = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "schema_version": TEXT,
        **_sections(
            model_details={
                "name": TEXT,
                "overview": TEXT,
                "documentation": TEXT,
                "owners": _objects(name=TEXT, contact=TEXT),
                "version": {"type": "object", "properties": {"name": TEXT, "date": {**TEXT, "format": "date"}}},
                "licenses": {
                    "type": LIST,
                    "items": {
                        "properties": {"identifier": TEXT, "custom_text": TEXT},
                        "oneOf": [{"required": ["identifier"]}, {"required": ["custom_text"]}],
                    },
                },
                "references": _objects(reference={**TEXT, "format": "uri"}),
                "citations": _objects(style=TEXT, citation=TEXT),
            },
            model_parameters={
                "model_architecture": TEXT,
                "data": _objects(
                    name=TEXT,
                    description=TEXT,
                    sensitive={"type": "object", "properties": {"sensitive_data": {"type": LIST, "items": TEXT}}},
                ),
                "input_format": TEXT,
                "output_format": TEXT,
            },
            quantitative_analysis={
                "performance_metrics": _objects(type=TEXT, value={"type": "number"}, slice=TEXT),
            },
            considerations={
                **dict.fromkeys(("users", "use_cases", "limitations", "tradeoffs"), DESCRIBED),
                "ethical_considerations": _objects(name=TEXT, mitigation_strategy=TEXT),
            },
        ),
    },
}
"""The rules of the Model Card Toolkit's schema 0.0.2 for what a card may have."""

KNOWN = {
    "overview": "Will the passenger tip?",
    "owners": ["Ann <ann@example.org>", "The taxi team"],
    "licence": "Apache-2.0",
    "references": ["https://example.org/taxi"],
    "use_cases": ["To greet passengers."],
    "limitations": ["Knows Chicago only."],
    "risks": {"Drivers may refuse rides": "They see no prediction."},
    "sensitive": ["pickup places"],
}


@pytest.fixture
def push(run_stage: Callable[..., dict[str, Any]], tmp_path: Path) -> Callable[..., PushedModel]:
    """Pushes a model; the PushedModel."""
    numbers = itertools.count()

    def run(card: Mapping[str, Any] = KNOWN, version: int = 7, slices: Any = None) -> PushedModel:
        name = next(numbers)
        model = make_model(tmp_path / f"model{name}")
        inputs: dict[str, Any] = {"model": model, "blessing": make_blessing(tmp_path / f"blessing{name}")}
        if slices is not None:
            inputs["evaluation"] = ModelEvaluation(tmp_path / "evaluation")
            inputs["evaluation"].path.mkdir()
            (inputs["evaluation"].path / "slices.json").write_text(json.dumps(slices))
        parameters = {"destination": str(tmp_path / "served/taxi"), "version": version, "model_card": dict(card)}
        pushed: PushedModel = run_stage("pusher", inputs, parameters, folder=tmp_path / f"push{name}")["pushed_model"]
        return pushed

    return run


def _card(folder: Path) -> Any:
    return json.loads((folder / CARD_FILES[0]).read_text())


def test_every_pushed_version_has_a_card_by_the_schema(push: Any, tmp_path: Path) -> None:
    slices = [
        {"slice": "", "rows": 900, "metrics": {"auc": 0.9, "broken": float("nan")}},
        {"slice": "payment_type: Cash", "rows": 12, "metrics": {"auc": 0.7}},
    ]
    pushed = push(slices=slices)
    version = tmp_path / "served/taxi/7"
    for folder in (version, pushed.path):
        card = _card(folder)
        jsonschema.validate(card, RULES, format_checker=jsonschema.FormatChecker())
        assert [(folder / name).is_file() for name in CARD_FILES] == [True, True, True]
    details = card["model_details"]
    assert (card["schema_version"], details["name"], details["version"]["name"]) == ("0.0.2", "taxi", "7")
    assert details["owners"] == [{"name": "Ann", "contact": "ann@example.org"}, {"name": "The taxi team"}]
    assert details["licenses"] == [{"identifier": "Apache-2.0"}]
    assert pushed.metadata["pushed_digest"] in details["documentation"]
    assert card["quantitative_analysis"]["performance_metrics"] == [
        {"type": "auc", "value": 0.9},
        {"type": "auc", "value": 0.7, "slice": "payment_type: Cash"},
    ]
    limits = [each["description"] for each in card["considerations"]["limitations"]]
    assert limits == [
        "Knows Chicago only.",
        "Slices with fewer than 100 rows, whose metrics say little: payment_type: Cash.",
    ]


def test_the_card_says_what_data_the_model_was_made_from(
    run_stage: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    model, _ = make_history(tmp_path / "history")
    parameters = {"destination": str(tmp_path / "served"), "version": 3}
    pushed = run_stage("pusher", {"model": model}, parameters, folder=tmp_path / "push")["pushed_model"]
    [data] = _card(pushed.path)["model_parameters"]["data"]
    assert data["name"] == DATA_VERSION["path"]
    assert data["description"] == f"revision {DATA_VERSION['revision']}"
    limits = _card(pushed.path)["considerations"]["limitations"]
    assert {"description": "No evaluator judged this model before it was pushed."} in limits


def test_a_card_is_no_part_of_the_version_that_it_describes(push: Any, tmp_path: Path) -> None:
    pushed = push()
    version = tmp_path / "served/taxi/7"
    assert tree_digest(version) == tree_digest(pushed.path) == pushed.metadata["pushed_digest"]
    [found] = versions(open_destination(str(tmp_path / "served/taxi")))
    assert found.is_intact(pushed.metadata["pushed_digest"])
    Verification(record="always").require(version)
    (version / CARD_FILES[1]).write_text("another")
    Verification(record="always").require(version)


def test_the_same_model_with_another_card_is_the_same_version(push: Any, tmp_path: Path) -> None:
    push()
    again = push({**KNOWN, "limitations": ["More."]}, version=7)
    assert again.metadata["pushed_version"] == "7"
    assert "Knows Chicago only." in (tmp_path / "served/taxi/7" / CARD_FILES[1]).read_text()


def test_a_card_that_cannot_be_made_is_a_warning(
    push: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "markdown", lambda _: 1 / 0)
    assert push().metadata["pushed"] == 1
    assert "warning: the model card cannot be made: ZeroDivisionError" in capsys.readouterr().err


def test_a_setting_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match=r"(?s)model_card has no setting 'license'.*did you mean 'licence'"):
        settings.parse({"license": "MIT"})
    with pytest.raises(UserError, match=r"model_card.owners is 'Ann'"):
        settings.parse({"owners": "Ann"})


@pytest.mark.parametrize("name", HOSTILE)
def test_texts_of_strangers_stay_text(push: Any, name: str) -> None:
    given = {**KNOWN, "name": name, "overview": name, "limitations": [name], "owners": [name], "citations": [name]}
    folder = push(given, slices=[{"slice": name, "rows": 5, "metrics": {name: 1.0}}]).path
    require_safe((folder / CARD_FILES[2]).read_text())
    text = (folder / CARD_FILES[1]).read_text()
    assert "<script" not in text
    assert "](javascript" not in text


def test_the_report_shows_the_card(push: Any, tmp_path: Path) -> None:
    pushed = push()
    sections = [found for kind, make in SECTIONS if (found := make(pushed, Ran([pushed], has_just_ended=True)))]
    assert [each.id for each in sections] == ["push", "model-card", "lineage"]
    page = require_safe(render("Push", sections))
    assert "Knows Chicago only." in page.text
    (pushed.path / CARD_FILES[0]).unlink()
    assert [make(pushed, Ran()) for _, make in SECTIONS][1] is None


PIPELINE = """
from kfp import dsl

from taxiway.dsl import Pusher


@dsl.pipeline(name="push")
def push(destination: str = "served"):
    '''What it is for.'''
    model = dsl.importer(artifact_uri="model", artifact_class=dsl.Model)
    Pusher(model=model.output, destination=destination){more}
"""


def _constants(folder: Path, more: str = "") -> list[Any]:
    (folder / "pipeline.py").write_text(PIPELINE.replace("{more}", more))
    pipeline = loading.load(str(folder / "pipeline.py"))
    tasks = pipeline.spec["root"]["dag"]["tasks"].values()
    given = [task.get("inputs", {}).get("parameters", {}).get("model_card") for task in tasks]
    return [each["runtimeValue"]["constant"] for each in given if each]


def test_a_pipeline_gives_its_docstring_and_its_file_to_the_card(tmp_path: Path) -> None:
    assert _constants(tmp_path) == [{"overview": "What it is for."}]
    (tmp_path / "model_card.yaml").write_text("licence: MIT\noverview: Better.\n")
    assert _constants(tmp_path) == [{"overview": "Better.", "licence": "MIT"}]


@pytest.mark.parametrize(("text", "said"), [("a: [", "is not YAML"), ("- a", "is no map of settings")])
def test_a_file_that_is_no_map_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "model_card.yaml").write_text(text)
    with pytest.raises(UserError, match=f"model_card.yaml {said}"):
        _constants(tmp_path)
