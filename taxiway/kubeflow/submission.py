"""Submits a compiled pipeline to Kubeflow: as a version, a run or a schedule."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kfp_server_api  # type: ignore[import-untyped]

from components import __version__
from components.contract.errors import UserError
from components.execution import provenance
from taxiway.kubeflow import compilation
from taxiway.kubeflow.host import Host
from taxiway.language import spec
from taxiway.language.spec import Pipeline


@dataclass(frozen=True)
class Submission:
    """A run or schedule in Kubeflow.

    Attributes:
        id: Its id.
        name: Its display name.
        page: Its page in Kubeflow's UI.
    """

    id: str
    name: str
    page: str


def submit(
    host: Host, pipeline: Pipeline, parameters: Mapping[str, Any], experiment: str, name: str = ""
) -> Submission:
    """Uploads a pipeline, unless this version exists, and starts a run.

    Args:
        host: Kubeflow.
        pipeline: The pipeline to run.
        parameters: The pipeline's parameters.
        experiment: The experiment of the run.
        name: The run's name; a new one by default. Kubeflow takes a name twice: see `named`.

    Raises:
        UserError: A parameter is wrong, or Kubeflow rejects the pipeline or the run.
    """
    given, references = _prepared(host, pipeline, parameters, experiment)
    name = name or _run_name(pipeline)
    with host.explained("start a run"):
        run = host.client.run_pipeline(job_name=name, params=given, **references)
    return Submission(run.run_id, name, _page(host, run.run_id))


def schedule(host: Host, pipeline: Pipeline, parameters: Mapping[str, Any], experiment: str, cron: str) -> Submission:
    """Uploads a pipeline, unless this version exists, and creates a recurring run, with one run at a time.

    Args:
        host: Kubeflow.
        pipeline: The pipeline to run.
        parameters: The pipeline's parameters.
        experiment: The experiment of the runs.
        cron: Five fields as in a crontab, six starting with seconds, or `@daily` and the like.

    Raises:
        UserError: The schedule or a parameter is wrong, or Kubeflow rejects the pipeline or the schedule.
    """
    expression = cron_with_seconds(cron)
    given, references = _prepared(host, pipeline, parameters, experiment)
    name = _run_name(pipeline)
    with host.explained("create a recurring run"):
        made = host.client.create_recurring_run(
            job_name=name, params=given, cron_expression=expression, no_catchup=True, **references
        )
    return Submission(made.recurring_run_id, name, f"{host.url}/#/recurringrun/details/{made.recurring_run_id}")


def cron_with_seconds(cron: str) -> str:
    """Converts a schedule to Kubeflow's format, which starts with a field for seconds, unlike a crontab.

    Raises:
        UserError: It has neither five nor six fields.
    """
    fields = cron.split()
    if re.fullmatch(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every \w+)", cron):
        return cron
    if len(fields) not in (5, 6) or not all(re.fullmatch(r"[\w*?/,#-]+", text) for text in fields):
        raise UserError(
            f"the schedule {cron!r} must have five fields, or six starting with seconds",
            fix="for every day at 3:00, write '0 3 * * *'",
        )
    return " ".join(["0", *fields] if len(fields) == 5 else fields)


def named(host: Host, name: str) -> str:
    """The id of the run with a name; empty if there is none."""
    wanted = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
    with host.explained("list the runs"):
        listed = host.client.list_runs(
            filter=json.dumps({"predicates": [wanted]}), sort_by="created_at desc", namespace=host.namespace
        )
    return str(listed.runs[0].run_id) if listed.runs else ""


def started(host: Host, run_id: str) -> tuple[Pipeline, Submission]:
    """A run that was started earlier, and its pipeline.

    Raises:
        UserError: There is no such run.
    """
    with host.explained("read the run"):
        try:
            run = host.client.get_run(run_id)
        except kfp_server_api.ApiException as error:
            if error.status == 404:
                raise UserError(f"there is no run {run_id} at {host.url}") from error
            raise
        version = run.pipeline_version_reference
        document = run.pipeline_spec or (
            host.client.get_pipeline_version(version.pipeline_id, version.pipeline_version_id).pipeline_spec
        )
    pipeline = Pipeline(document.get("pipeline_spec", document), document.get("platform_spec", {}))
    return pipeline, Submission(run_id, run.display_name, _page(host, run_id))


def _prepared(
    host: Host, pipeline: Pipeline, parameters: Mapping[str, Any], experiment: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """The parameters as values, and the ids that are needed to start a run."""
    values = spec.pipeline_parameters(pipeline, parameters)
    pipeline_id, version_id = _version(host, pipeline)
    with host.explained("create an experiment"):
        found = host.client.create_experiment(experiment, namespace=host.namespace)
    ids = {"experiment_id": found.experiment_id, "pipeline_id": pipeline_id, "version_id": version_id}
    return {name: values[name] for name in parameters}, ids


def _page(host: Host, run_id: str) -> str:
    return f"{host.url}/#/runs/details/{run_id}"


def _run_name(pipeline: Pipeline) -> str:
    return f"{pipeline.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(4).hex()}"


def _version(host: Host, pipeline: Pipeline) -> tuple[str, str]:
    """The ids of the pipeline and of this version, which is uploaded if Kubeflow does not have it."""
    pipeline_id, name = _pipeline_id(host, pipeline), compilation.version_name(pipeline)
    with host.explained("list the pipeline's versions"):
        wanted = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        listed = host.client.list_pipeline_versions(pipeline_id, filter=json.dumps({"predicates": [wanted]}))
    if listed.pipeline_versions:
        return pipeline_id, listed.pipeline_versions[0].pipeline_version_id
    with tempfile.TemporaryDirectory() as folder, host.explained("upload the pipeline"):
        file = Path(folder) / "pipeline.yaml"
        compilation.write(pipeline, file)
        made = host.client.upload_pipeline_version(
            str(file), name, pipeline_id=pipeline_id, description=_description(pipeline)
        )
    return pipeline_id, made.pipeline_version_id


def _description(pipeline: Pipeline) -> str:
    commit = provenance.commit_text(provenance.commit_with(pipeline.sources))
    return f"Taxiway {__version__}" + f", commit {commit}" * bool(commit)


def _pipeline_id(host: Host, pipeline: Pipeline) -> str:
    """The id of the pipeline with this name, which is created if it does not exist."""
    named = {"namespace": host.namespace} if host.namespace else {}
    with host.explained("create a pipeline"):
        try:
            found = host.client.pipelines.pipeline_service_get_pipeline_by_name(pipeline.name, **named)
        except kfp_server_api.ApiException as error:
            if error.status != 404:
                raise
            description = pipeline.spec["pipelineInfo"].get("description")
            new = kfp_server_api.V2beta1Pipeline(display_name=pipeline.name, description=description, **named)
            found = host.client.pipelines.pipeline_service_create_pipeline(new)
    return str(found.pipeline_id)
