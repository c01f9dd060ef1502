"""`taxiway submit` as a command: its output, exit statuses, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from taxiway.kubeflow import compilation
from taxiway.language.spec import Pipeline
from tests.taxiway.kubeflow.conftest import SMALL
from tests.taxiway.kubeflow.graphs import impl_pod, look
from tests.taxiway.kubeflow.stub import Kubeflow

TAXIWAY = str(Path(sys.executable).with_name("taxiway"))
Started = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def submit(kubeflow: Kubeflow, tmp_path: Path) -> Started:
    """Starts `taxiway submit` with the small pipeline."""

    def start(*options: str) -> subprocess.Popen[str]:
        command = [TAXIWAY, "submit", SMALL, "--host", kubeflow.url, *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "COLUMNS": "200"}, **pipes)

    return start


def _ended(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    printed, shown = process.communicate(timeout=60)
    assert process.returncode == status, printed + shown
    return printed, shown


def test_without_waiting_the_output_says_how_to_follow(kubeflow: Kubeflow, submit: Started) -> None:
    printed, shown = _ended(submit("--param", "data=/data", "--profile", "gpu", "--no-cache"))
    lines = printed.splitlines()
    assert lines[0].startswith("run small-20")
    assert lines[1:] == [
        "  id      run-0",
        f"  page    {kubeflow.url}/#/runs/details/run-0",
        f"  follow  taxiway submit {SMALL} --host {kubeflow.url} --follow run-0",
    ]
    assert shown == ""
    [version] = kubeflow.versions.values()
    gpu = compilation.without_cache(compilation.compiled(SMALL, ["gpu"]))
    assert version["display_name"] == compilation.version_name(gpu)
    assert kubeflow.experiments[0]["display_name"] == "small"


def test_the_suggested_follow_command_has_the_login(kubeflow: Kubeflow, submit: Started, tmp_path: Path) -> None:
    kubeflow.multi_user = True
    kubeflow.rights = {("ann", "ml"): "edit"}
    cookies = tmp_path / "cookies"
    cookies.write_text("authservice_session=x")
    kubeflow.cookie = "authservice_session=x"
    login = ["--namespace", "ml", "--cookie-file", str(cookies), "--header", "kubeflow-userid: ann"]
    printed, _ = _ended(submit("--param", "data=/data", *login))
    follow = printed.splitlines()[-1]
    assert follow == (
        f"  follow  taxiway submit {SMALL} --host {kubeflow.url} --namespace ml --cookie-file {cookies} "
        "--header 'kubeflow-userid: ann' --follow run-0"
    )


def test_waiting_for_a_run_shows_its_progress(kubeflow: Kubeflow, submit: Started) -> None:
    kubeflow.looks = [look("SUCCEEDED", {"example-gen": ("SUCCEEDED", 20)})]
    _, shown = _ended(submit("-p", "data=/data", "--wait", "--experiment", "tips"))
    assert "example-gen: done in 20.0 s\n" in shown
    assert kubeflow.experiments[0]["display_name"] == "tips"


def test_a_failed_run_has_the_exit_status_1(kubeflow: Kubeflow, submit: Started) -> None:
    kubeflow.looks = [look("FAILED", {"baseline": ("FAILED", 8)})]
    kubeflow.logs[impl_pod("baseline")] = "error: /models cannot be read\n"
    printed, shown = _ended(submit("-p", "data=/data", "--wait"), status=1)
    assert "/models cannot be read" in shown
    # Kubeflow's cache contains the finished tasks.
    assert f"  resume    taxiway submit {SMALL} --host {kubeflow.url} -p data=/data --wait\n" in shown
    assert printed == f"page {kubeflow.url}/#/runs/details/run-0\n"
    _, shown = _ended(submit("--follow", "run-0"), status=1)
    assert f"  resume    Retry at {kubeflow.url}/#/runs/details/run-0\n" in shown


def test_ctrl_c_does_not_stop_the_run(kubeflow: Kubeflow, submit: Started) -> None:
    kubeflow.looks = [look("RUNNING", {"example-gen": ("RUNNING", 0)})]
    process = submit("-p", "data=/data", "--wait")
    while not kubeflow.requests("GET /apis/v2beta1/runs/run-0"):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, shown = _ended(process, status=130)
    assert shown.splitlines()[-2].endswith(" continues; follow it with:")
    assert shown.splitlines()[-1] == f"  taxiway submit {SMALL} --host {kubeflow.url} --follow run-0"
    assert kubeflow.requests("POST .*:terminate") == []
    assert "Traceback" not in shown


def test_an_earlier_run_can_be_followed(kubeflow: Kubeflow, submit: Started, small: Pipeline) -> None:
    versions = {"pipeline_id": "p", "pipeline_version_id": "v"}
    kubeflow.versions["v"] = {"pipeline_spec": {"pipeline_spec": small.spec, "platform_spec": small.platform}}
    kubeflow.runs["run-0"] = {"run_id": "run-0", "display_name": "small-1", "pipeline_version_reference": versions}
    kubeflow.looks = [look("SUCCEEDED", {"baseline": ("SUCCEEDED", 5)})]
    _, shown = _ended(submit("--follow", "run-0"))
    assert shown.startswith("run small-1\nbaseline: running\nbaseline: done in 5.0 s\n")
    assert kubeflow.requests("POST /apis/v2beta1/.*") == []


def test_a_schedule_is_created(kubeflow: Kubeflow, submit: Started) -> None:
    printed, _ = _ended(submit("-p", "data=/data", "--schedule", "@daily"))
    assert printed.startswith("recurring run small-20")
    assert kubeflow.schedules[0]["trigger"]["cron_schedule"]["cron"] == "@daily"
    assert kubeflow.runs == {}


def test_contradictory_options_are_refused(kubeflow: Kubeflow, submit: Started) -> None:
    _, shown = _ended(submit("--wait", "--schedule", "@daily"), status=2)
    assert "error: only one of --wait, --follow and --schedule can be used" in shown
    assert kubeflow.received == []


def test_compile_writes_custom_resources_with_a_profile(tmp_path: Path) -> None:
    options = ["--profile", "gpu", "--kubernetes", "--output", "small.yaml"]
    command = [TAXIWAY, "compile", SMALL, *options]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "wrote small.yaml\n"), result.stderr
    kinds = [document["kind"] for document in yaml.safe_load_all((tmp_path / "small.yaml").read_text())]
    assert kinds == ["Pipeline", "PipelineVersion"]
