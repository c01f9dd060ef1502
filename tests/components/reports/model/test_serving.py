"""The sections on infra validation and on the push."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import InfraBlessing, PushedModel
from components.data.tfrecord import write_records
from components.execution import provenance
from components.execution.pushed_models import STAMPED_MODEL, WARMUP_FILE
from components.reports.model import serving
from tests.components.models import make_history, pusher_input
from tests.components.reports.model.pages import HOSTILE, TURNED, cells, require_harmless, text

LATENCY = {
    "serving_default": {"requests": 20, "p50_ms": 1.06, "p99_ms": 2.625},
    "columns": {"requests": 5.0, "p99_ms": 9},
}


def blessing(folder: Path, *, blessed: bool = True, **report: Any) -> InfraBlessing:
    folder.mkdir()
    (folder / ("INFRA_BLESSED" if blessed else "INFRA_NOT_BLESSED")).touch()
    whole = {"blessed": blessed, "step": "", "message": "", "log": [], **report}
    (folder / "report.json").write_text(json.dumps(whole))
    return InfraBlessing(folder, {"blessed": float(blessed)})


def test_requests_and_latencies_are_shown(tmp_path: Path) -> None:
    artifact = blessing(tmp_path / "blessing")
    artifact.metadata |= {"tries": 1, "loading_seconds": 5.158, "latency": LATENCY}
    parameters = {"serving": {"docker": {"image": "tensorflow/serving:2.19.0"}}, "num_examples": 20, "splits": ["eval"]}
    record = {"digest": "sha256:1", "type": "InfraBlessing", "output": "blessing", "stage": "infra_validator"}
    call = {"parameters": parameters, "inputs": {}, "created": "2026-01-01T00:00:00+00:00"}
    provenance.write_chain(artifact.path, [{**record, **call}])
    warm_up = artifact.path / STAMPED_MODEL / WARMUP_FILE
    warm_up.parent.mkdir(parents=True)
    with warm_up.open("wb") as file:
        write_records(file, [b"a", b"b", b"c"])

    section = serving.validation_section(artifact)

    assert section.summary == "The candidate loaded in 5.2 s and answered 25 requests well, 99 % of them within 9 ms."
    assert cells(section, "serving_default") == ["20", "1.06", "2.625"]
    assert cells(section, "columns") == ["5", "–", "9"]
    shown = text(section)
    assert "20 rows of eval, one at a time and all at once" in shown
    assert "tensorflow/serving:2.19.0" in shown
    assert "Warm-up requests in the model\n3" in shown


@pytest.mark.parametrize("latency", [json.dumps(LATENCY), LATENCY])
def test_latencies_passed_as_strings_by_kubeflow_are_shown(tmp_path: Path, latency: Any) -> None:
    artifact = blessing(tmp_path / "blessing")
    artifact.metadata["latency"] = latency

    assert cells(serving.validation_section(artifact), "serving_default")[0] == "20"


@pytest.mark.parametrize("latency", ["{", [], {"a": {"p99_ms": "fast"}}, {"a": 1}])
def test_invalid_latencies_are_left_out(tmp_path: Path, latency: Any) -> None:
    artifact = blessing(tmp_path / "blessing")
    artifact.metadata["latency"] = latency

    assert serving.validation_section(artifact).summary == "The candidate loaded; it was sent no requests."


def test_the_reason_of_a_failure_is_shown(tmp_path: Path) -> None:
    message = "the output 'price' has nan for real examples"
    artifact = blessing(tmp_path / "blessing", blessed=False, step="answer", message=message, log=["one", HOSTILE])

    section = serving.validation_section(artifact)

    assert section.summary == "The candidate failed: an answer was wrong."
    assert f"Failed at the step “answer”. {message}" in text(section)
    assert HOSTILE in text(section)
    require_harmless(section)


@pytest.mark.parametrize("content", [None, "[]", "{", "\x00"])
def test_a_damaged_report_is_reported_in_a_sentence(tmp_path: Path, content: str | None) -> None:
    artifact = blessing(tmp_path / "blessing", blessed=False)
    (artifact.path / "report.json").unlink()
    if content:
        (artifact.path / "report.json").write_text(content)

    section = serving.validation_section(artifact)

    assert section.summary == "The candidate failed: the reason is not known."
    assert ("cannot be shown" in text(section)) == (content is not None)


def test_a_missing_blessing_is_reported_in_a_sentence(tmp_path: Path) -> None:
    section = serving.validation_section(InfraBlessing(tmp_path / "gone"))

    assert section.summary == "Whether a server can serve the model is not known."


def test_the_destination_of_a_push_is_shown(run_stage: Any, tmp_path: Path) -> None:
    model, judged = make_history(tmp_path / "history")
    inputs = {"model": model, "blessing": judged}
    parameters = pusher_input(model, str(tmp_path / "served"), tmp_path, 7, judged)["inputs"]["parameterValues"]
    pushed = run_stage("pusher", inputs, parameters)["pushed_model"]

    section = serving.push_section(pushed)

    assert section.summary == f"The model was pushed to {tmp_path / 'served/7'}."
    shown = text(section).replace("\n", " ")
    assert "Version 7" in shown
    assert f"Digest {pushed.metadata['pushed_digest'].removeprefix('sha256:')[:12]}" in shown
    assert "Evaluated before ✓ yes" in shown
    assert "Tried in a server before ! no" in shown


@pytest.mark.parametrize("place", ["models.config", "taxi/models.config"])
@pytest.mark.parametrize("name", ["taxi", "another"])
def test_labels_come_from_the_servers_config(tmp_path: Path, place: str, name: str) -> None:
    version = tmp_path / "taxi/7"
    version.mkdir(parents=True)
    labels = 'version_labels { key: "stable" value: 7 } version_labels { key: "canary" value: 8 }'
    config = f'model_config_list {{ config {{ name: "{name}" base_path: "{tmp_path}/taxi" {labels} }} }}'
    (tmp_path / place).write_text(config)
    pushed = PushedModel(tmp_path, {"pushed": 1, "pushed_version": "7"})
    pushed.left_elsewhere([str(version)])

    assert "Labels now\nstable" in text(serving.push_section(pushed))

    (tmp_path / place).write_text("{")
    assert "The labels cannot be shown: " in text(serving.push_section(pushed))


def test_a_push_without_evaluation_is_reported(tmp_path: Path) -> None:
    pushed = PushedModel(tmp_path, {"pushed": 1, "pushed_destination": HOSTILE, "pushed_version": TURNED, "judged": 0})

    section = serving.push_section(pushed)

    assert "No evaluator judged the model before it was pushed." in text(section)
    require_harmless(section)


def test_a_model_that_was_not_pushed_is_reported(tmp_path: Path) -> None:
    assert serving.push_section(PushedModel(tmp_path, {"pushed": 0.0})).summary == "Nothing was pushed."
    assert serving.push_section(PushedModel(tmp_path / "gone")).summary == "Nothing was pushed."
