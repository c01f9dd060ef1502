"""The requests to Kubeflow for a run or a schedule, and the errors when it rejects them."""

from __future__ import annotations

import pytest
import yaml

from components.contract.errors import ServiceError, UserError
from taxiway.kubeflow import compilation, submission
from taxiway.kubeflow.host import Host
from taxiway.language.spec import Pipeline
from tests.taxiway.kubeflow.stub import Kubeflow

GIVEN = {"data": "/data", "splits": '["eval"]'}


def test_a_run_is_started_from_an_uploaded_version(kubeflow: Kubeflow, small: Pipeline) -> None:
    started = submission.submit(Host(kubeflow.url), small, GIVEN, "tips")
    assert started.id == "run-0"
    assert started.name.startswith("small-20")
    assert started.page == f"{kubeflow.url}/#/runs/details/run-0"
    [version] = kubeflow.versions.values()
    assert version["display_name"] == compilation.version_name(small)
    spec, platform = yaml.safe_load_all(version["yaml"])
    assert Pipeline(spec, platform) == small
    [run] = kubeflow.requests("POST /apis/v2beta1/runs")
    # Parameters that are not given keep the pipeline's defaults.
    assert run["runtime_config"]["parameters"] == {"data": "/data", "splits": ["eval"]}
    assert run["pipeline_version_reference"] == {"pipeline_id": "pipeline-0", "pipeline_version_id": "version-0"}
    assert run["experiment_id"] == "experiment-0"
    assert kubeflow.experiments[0]["display_name"] == "tips"
    assert not kubeflow.experiments[0]["namespace"]


def test_an_existing_version_is_not_uploaded_again(kubeflow: Kubeflow, small: Pipeline) -> None:
    for _ in range(2):
        submission.submit(Host(kubeflow.url), small, GIVEN, "tips")
    submission.submit(Host(kubeflow.url), compilation.without_cache(small), GIVEN, "tips")
    assert len(kubeflow.requests("POST /apis/v2beta1/pipelines")) == 1
    assert len(kubeflow.requests("POST /apis/v2beta1/pipelines/upload_version")) == 2
    assert len(kubeflow.experiments) == 1
    assert len(kubeflow.runs) == 3


def test_a_wrong_parameter_is_refused_before_anything_is_uploaded(kubeflow: Kubeflow, small: Pipeline) -> None:
    host = Host(kubeflow.url)
    with pytest.raises(UserError, match="the pipeline small has no parameter 'split'"):
        submission.submit(host, small, {"data": "/data", "split": "x"}, "tips")
    with pytest.raises(UserError, match="the parameter 'data' has no value"):
        submission.submit(host, small, {}, "tips")
    assert kubeflow.requests("POST .*") == []


def test_a_kubeflow_that_refuses_the_ir_is_reported(kubeflow: Kubeflow, small: Pipeline) -> None:
    body = b'{"error_message": "InvalidInputError: pipeline spec is invalid: unknown field \\"secretNameParameter\\""}'
    for status in (400, 500):
        kubeflow.overrides["POST .*/upload_version"] = (status, body)
        kubeflow.overrides["GET /apis/v1beta1/healthz"] = (200, b'{"tag_name": "2.0.5"}')
        with pytest.raises(UserError) as raised:
            submission.submit(Host(kubeflow.url), small, GIVEN, "tips")
        assert str(raised.value).startswith(
            f"Kubeflow Pipelines 2.0.5 at {kubeflow.url} rejects the pipeline (IR 2.1.0"
        )
        assert 'unknown field "secretNameParameter"' in str(raised.value)
        assert "fix: upgrade it to 2.18.1" in str(raised.value)


def test_refusals_and_failures_of_kubeflow_are_reported(kubeflow: Kubeflow, small: Pipeline) -> None:
    kubeflow.overrides["POST /apis/v2beta1/runs"] = (400, b'{"message": "the run has no experiment"}')
    with pytest.raises(UserError, match="refuses to start a run: the run has no experiment"):
        submission.submit(Host(kubeflow.url), small, GIVEN, "tips")
    kubeflow.overrides["POST /apis/v2beta1/runs"] = (500, b'{"message": "database is locked"}')
    with pytest.raises(ServiceError, match="failed to start a run: 500: database is locked"):
        submission.submit(Host(kubeflow.url), small, GIVEN, "tips")


def test_a_schedule_creates_a_recurring_run(kubeflow: Kubeflow, small: Pipeline) -> None:
    created = submission.schedule(Host(kubeflow.url), small, GIVEN, "tips", "0 3 * * *")
    assert created.page == f"{kubeflow.url}/#/recurringrun/details/schedule-0"
    [schedule] = kubeflow.schedules
    # Kubeflow's first field is for seconds: five unchanged fields would mean another time.
    assert schedule["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (schedule["mode"], schedule["max_concurrency"], schedule["no_catchup"]) == ("ENABLE", 1, True)
    assert schedule["runtime_config"]["parameters"] == {"data": "/data", "splits": ["eval"]}


@pytest.mark.parametrize("cron", ["", "3", "at three", "0 3 * *", "0 0 0 3 * * *", "0 3 ; * *", "@sometimes"])
def test_an_invalid_schedule_is_refused(cron: str) -> None:
    with pytest.raises(UserError, match="must have five fields, or six") as raised:
        submission.cron_with_seconds(cron)
    assert raised.value.fix == "for every day at 3:00, write '0 3 * * *'"


@pytest.mark.parametrize("cron", ["@daily", "@every 1h", "30 0 3 ? * MON-FRI"])
def test_schedules_in_kubeflows_own_form_are_unchanged(cron: str) -> None:
    assert submission.cron_with_seconds(cron) == cron


def test_an_unknown_run_is_reported(kubeflow: Kubeflow) -> None:
    with pytest.raises(UserError, match=f"there is no run run-7 at {kubeflow.url}"):
        submission.started(Host(kubeflow.url), "run-7")
