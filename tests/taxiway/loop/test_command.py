"""`taxiway loop` as people type it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from components.contract.errors import UserError
from taxiway import cli
from taxiway.lineage.loop import history
from taxiway.lineage.loop.cycle import State
from taxiway.loop import check, init
from taxiway.loop.settings import parsed
from tests.taxiway.loop.conftest import Site, until


def called(*arguments: object) -> Result:
    found = CliRunner().invoke(cli.app, ["loop", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found


def test_from_a_dry_run_to_a_version_and_its_history(drifted: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(drifted.folder)
    drifted.file()
    assert f"would run {drifted.pipeline} destination=" in called("--dry-run").output
    assert called("history").output.splitlines()[1:] == []
    assert "no cycle of taxi is under way" in called("status").output
    until(lambda: called("run", "--once") and drifted.cycles and drifted.cycles[0].is_over)
    said = called("history", "taxi").output
    assert "promoted" in said and "version 1 was pushed: better by 0.02" in said
    [cycle] = json.loads(called("history", "--json").output)
    assert (cycle["state"], cycle["trigger"]["kind"]) == ("promoted", "alarm")
    document = json.loads(called("status", "--json").output)
    assert document["cycle"] is None
    assert document["triggers"][0]["says"] == "1 that had a cycle"


def test_a_person_asks_for_a_retraining_of_a_window(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.folder)
    site.file(triggers=[])
    times = ["--since", "2026-01-01", "--until", "2026-01-02"]
    assert "asked for a retraining of taxi" in called("trigger", "--reason", "new prices", "--by", "ana", *times).output
    until(lambda: called("--once") and site.cycles and site.cycles[0].is_over)
    assert site.pushes == ["2026-01-01T00:00:00+00:00 2026-01-02T00:00:00+00:00"]
    assert site.cycles[0].trigger.reason == "ana asked for it: new prices"


def test_there_is_nothing_to_approve(site: Site) -> None:
    with pytest.raises(UserError, match="no version waits for approval"):
        called("approve")
    with pytest.raises(UserError, match="names the model"):
        called("trigger")


def test_the_written_file_is_right(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.folder)
    called("init", "taxi", "--pipeline", site.pipeline)
    settings = parsed(yaml.safe_load(Path("loop.yaml").read_text()))
    assert (settings.model, settings.cool_down, len(settings.triggers)) == ("taxi", "1h", 1)
    with pytest.raises(UserError, match=r"loop.yaml exists"):
        called("init", "taxi")
    # The quick pipeline needs a destination.
    with pytest.raises(UserError, match="needs the parameter 'destination'"):
        called("check")
    site.file()
    assert "triggers  alarm" in called("check").output


def test_each_line_of_the_written_file_is_a_setting() -> None:
    """Also those that are commented out."""
    text = init.text("taxi", "quick")
    head, _, rest = text.partition("model: taxi")
    assert head.startswith("# The loop of taxi")
    whole = re.sub(r"^(  )?# (?=  |- |kubeflow:|alerts:|delivery:)", r"\1", f"model: taxi{rest}", flags=re.MULTILINE)
    given = yaml.safe_load(whole)
    found = parsed(given)
    assert [each.kind for each in found.triggers] == ["alarm", "quality", "data", "labels", "schedule", "webhook"]
    assert found.delivery and found.alerts.webhooks and found.kubeflow


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"modle": "taxi"}, "has no setting 'modle'\n  fix: did you mean 'model'?"),
    ({"action": "submit"}, "submits pipelines, but says not where to"),
    ({"window": "a week"}, "loop.yaml.window is 'a week'"),
    ({"time_zone": "Vienna"}, "loop.yaml.time_zone is 'Vienna'"),
    ({"cool_down": "1w"}, "loop.yaml.cool_down is '1w'"),
    ({"budget_per_day": -1}, "loop.yaml.budget_per_day is -1"),
    ({"budget_per_day": "two"}, "loop.yaml.budget_per_day is 'two'"),
    ({"quiet_hours": ["at night"]}, "loop.yaml.quiet_hours has 'at night'"),
    ({"quiet_hours": ["25:00-26:00"]}, "loop.yaml.quiet_hours has '25:00-26:00'"),
    ({"approval": True}, "asks for approval without delivery"),
    ({"tell": ["all"]}, "loop.yaml.tell is 'all'"),
    ({"parameters": {"span": "trigger.spam"}}, "loop.yaml.parameters.span is 'trigger.spam', which no trigger has"),
    ({"triggers": {"alarm": {}}}, "loop.yaml: triggers is {'alarm': {}}"),
    ({"triggers": [{"alarms": {}}]}, "did you mean 'alarm'?"),
    ({"triggers": [{"alarm": {}, "labels": {"new": 1}}]}, "give it one of alarm, quality"),
    ({"triggers": [{"alarm": {"kind": []}}]}, "triggers[0].alarm has no setting 'kind'"),
    ({"triggers": [{"alarm": {}}, {"alarm": {}}]}, "triggers[1] has the name of another: 'alarm'"),
    ({"triggers": [{"alarm": {}, "name": "hand"}]}, "triggers[0].name is 'hand'"),
    ({"triggers": [{"quality": {"metric": "auc"}}]}, "triggers[0].quality has not one of below and above"),
    ({"triggers": [{"quality": {"metric": "auc", "below": 1, "windows": 0}}]}, "quality.windows is 0"),
    ({"triggers": [{"data": {}}]}, "triggers[0].data has nothing"),
    ({"triggers": [{"data": {"span": "data/*"}}]}, "triggers[0].data.span is 'data/*'"),
    ({"triggers": [{"labels": {"new": 0}}]}, "triggers[0].labels.new is 0"),
    ({"triggers": [{"schedule": "0 3 * *"}]}, "triggers[0].schedule is '0 3 * *'"),
    ({"triggers": [{"schedule": "61 3 * * *"}]}, "'61' is not from 0 to 59"),
    ({"triggers": [{"schedule": "0 3 31 2 *"}]}, "which never comes"),
    ({"triggers": [{"webhook": {"secret": "abc"}}]}, "says not where the secret is"),
    ({"delivery": {}}, "loop.yaml: delivery.weights is missing"),
    ({"alerts": {"webhooks": [{"url": "x"}]}}, "loop.yaml: alerts.webhooks[0].url is 'x'"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG)
def test_wrong_settings_name_the_path_and_the_fix(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as found:
        parsed({"model": "taxi", "pipeline": "taxi", **changed})
    assert said in str(found.value)
    assert found.value.fix


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"parameters": {"colour": "red"}}, "has no parameter 'colour'"),
        ({"parameters": {"destination": "trigger.place"}}, "which not all triggers have"),
        ({"pipeline": "gone.yaml"}, "gone.yaml"),
    ],
)
def test_the_pipeline_is_checked_too(site: Site, changed: dict[str, Any], said: str) -> None:
    settings = parsed(site.settings(**changed))
    with pytest.raises(UserError) as found:
        check.pipeline(settings)
    assert said in str(found.value)
    check.pipeline(parsed(site.settings(parameters={"pause": "trigger.labels"})))
    assert history(site.lineage) == []
    assert State.FAILED == "failed"
