"""A multi-user Kubeflow: logins, namespaces, and refused requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.contract.errors import UserError
from taxiway.kubeflow import following, pods, submission
from taxiway.kubeflow.host import Host
from taxiway.language.spec import Pipeline
from taxiway.network.login import ANONYMOUS, Login
from taxiway.runner.call import State
from taxiway.runs.progress import observer_for
from tests.taxiway.kubeflow.graphs import impl_pod, look
from tests.taxiway.kubeflow.stub import Kubeflow
from tests.taxiway.network.test_login import token

GIVEN = {"data": "/data"}
HEADER = Login(header="kubeflow-userid: ann")


@pytest.fixture
def shared(kubeflow: Kubeflow) -> Kubeflow:
    """A multi-user Kubeflow, where ann owns a namespace and may view bob's."""
    kubeflow.multi_user = True
    kubeflow.users = {"of ann": "ann"}
    kubeflow.rights = {("ann", "ann"): "edit", ("ann", "bob"): "view", ("bob", "bob"): "edit"}
    return kubeflow


def _refused(kubeflow: Kubeflow, pipeline: Pipeline, namespace: str, login: Login) -> UserError:
    with pytest.raises(UserError) as raised:
        submission.submit(Host(kubeflow.url, namespace, login), pipeline, GIVEN, "tips")
    return raised.value


def _login_of_token(tmp_path: Path, text: str = "of ann") -> Login:
    file = tmp_path / "token"
    file.write_text(text)
    return Login(token_file=file)


def test_a_namespace_is_required(shared: Kubeflow) -> None:
    with pytest.raises(UserError) as raised:
        Host(shared.url)
    assert str(raised.value) == (
        f"the Kubeflow at {shared.url} is multi-user, so it needs a namespace\n  fix: give yours with --namespace"
    )
    assert Host(shared.url, "ann").namespace == "ann"


@pytest.mark.parametrize("by", ["token", "header"])
def test_everything_is_in_the_user_s_namespace(shared: Kubeflow, small: Pipeline, tmp_path: Path, by: str) -> None:
    host = Host(shared.url, "ann", _login_of_token(tmp_path) if by == "token" else HEADER)
    started = submission.submit(host, small, GIVEN, "tips")
    submission.schedule(host, small, GIVEN, "tips", "@daily")
    assert shared.pipelines["small"]["namespace"] == "ann"
    assert [experiment["namespace"] for experiment in shared.experiments] == ["ann"]
    assert list(shared.runs) == [started.id]
    assert len(shared.schedules) == 1


def test_a_login_is_required(shared: Kubeflow, small: Pipeline) -> None:
    refused = _refused(shared, small, "ann", ANONYMOUS)
    assert refused.what == (
        f"{shared.url} requires authentication "
        "(401: Failed to check authorization. User identity is empty in the request header)"
    )
    assert refused.fix.startswith("give a token: --token-file FILE")
    assert shared.pipelines == {}


def test_an_expired_token_is_reported(shared: Kubeflow, small: Pipeline, tmp_path: Path) -> None:
    login = _login_of_token(tmp_path, token({"exp": 1_700_000_000}))
    refused = _refused(shared, small, "ann", login)
    assert f"rejects the token in {tmp_path}/token, which expired at 2023-11-14 22:13 UTC (401: " in refused.what
    assert refused.fix == (
        f"kubectl create token default-editor --audience pipelines.kubeflow.org --namespace ann > {tmp_path}/token"
    )


def test_a_namespace_of_another_user_is_refused(shared: Kubeflow, small: Pipeline) -> None:
    refused = _refused(shared, small, "carol", HEADER)
    assert str(refused) == (
        "you may not create a pipeline in the namespace carol: User 'ann' is not authorized\n"
        "  fix: ask its owner to make you a contributor (kubeflow-edit in carol), or use another namespace"
    )


def test_a_viewer_may_not_start_runs(shared: Kubeflow, small: Pipeline) -> None:
    submission.submit(Host(shared.url, "bob", Login(header="kubeflow-userid: bob")), small, GIVEN, "tips")
    refused = _refused(shared, small, "bob", HEADER)
    assert refused.what == "you may not start a run in the namespace bob: User 'ann' is not authorized"


def test_an_upload_by_a_viewer_is_refused_with_a_reason(shared: Kubeflow, small: Pipeline) -> None:
    shared.pipelines["small"] = {"pipeline_id": "pipeline-0", "display_name": "small", "namespace": "bob"}
    refused = _refused(shared, small, "bob", HEADER)
    assert "you may lack the right to create pipelines in the namespace bob" in refused.what
    assert "kubeflow-edit in bob" in refused.fix


def test_a_gateway_s_cookie_is_sent_with_every_request(shared: Kubeflow, small: Pipeline, tmp_path: Path) -> None:
    shared.cookie = "oauth2_proxy_kubeflow=first"
    cookies = tmp_path / "cookies"
    cookies.write_text("oauth2_proxy_kubeflow=first\n")
    login = Login(cookie_file=cookies, header="kubeflow-userid: ann")
    host = Host(shared.url, "ann", login)
    shared.cookie = "oauth2_proxy_kubeflow=second"
    cookies.write_text("oauth2_proxy_kubeflow=second\n")
    submission.submit(host, small, GIVEN, "tips")
    shared.cookie = "oauth2_proxy_kubeflow=third"
    for ask in (lambda: host.get("k8s/pod"), lambda: submission.started(host, "run-0")):
        with pytest.raises(UserError) as raised:
            ask()
        assert f"rejects the cookies in {cookies}, which may have expired (302" in raised.value.what
        assert raised.value.fix == f"log in with a browser, and write the session's cookie to {cookies}"


def test_a_token_shows_logs_though_the_ui_shows_it_no_pods(shared: Kubeflow, small: Pipeline, tmp_path: Path) -> None:
    host = Host(shared.url, "ann", _login_of_token(tmp_path))
    started = submission.submit(host, small, GIVEN, "tips")
    shared.looks = [look("FAILED", {"baseline": ("FAILED", 8)})]
    shared.logs[impl_pod("baseline")] = "error: /models cannot be read\n"
    run = following.follow(host, small, started.id, "small-1", observer_for(), again="", resume="", seconds=0.01)
    assert run.tasks["baseline"].state == State.FAILED
    assert "/models cannot be read" in run.tasks["baseline"].error
    assert pods.pod(host, impl_pod("baseline")) is None


def test_a_token_that_expires_during_a_run_is_reported(shared: Kubeflow, small: Pipeline, tmp_path: Path) -> None:
    host = Host(shared.url, "ann", _login_of_token(tmp_path))
    started = submission.submit(host, small, GIVEN, "tips")
    shared.users.clear()
    with pytest.raises(UserError) as raised:
        following.follow(host, small, started.id, "small-1", observer_for(), again="AGAIN", resume="", seconds=0.01)
    assert f"--namespace ann > {tmp_path}/token; the run continues, follow it with: AGAIN" in raised.value.fix


def test_another_user_s_run_is_not_shown(shared: Kubeflow, small: Pipeline) -> None:
    started = submission.submit(Host(shared.url, "bob", Login(header="kubeflow-userid: bob")), small, GIVEN, "tips")
    shared.rights.pop(("ann", "bob"))
    with pytest.raises(UserError, match="you may not read the run in the namespace ann: User 'ann' is not authorized"):
        submission.started(Host(shared.url, "ann", HEADER), started.id)
