"""Finds out whether a URL is one of Kubeflow Pipelines, and reports the reason if not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from components.contract.errors import ServiceError, UserError
from taxiway.kubeflow.host import Host
from taxiway.network.login import Login
from tests.taxiway.kubeflow.stub import Kubeflow

HEALTHZ = "GET /apis/v2beta1/healthz"


def _refused(url: str, *, token_file: Path | None = None, namespace: str = "") -> str:
    with pytest.raises(UserError) as raised:
        Host(url, namespace, Login(token_file))
    return str(raised.value)


def test_a_url_without_a_scheme_is_refused() -> None:
    assert _refused("localhost:8080") == (
        "localhost:8080 is not a URL\n  fix: write http://localhost:8080 or https://localhost:8080"
    )


def test_an_unreachable_host_is_reported() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServiceError) as raised:
        Host(url)
    assert f"nothing answers at {url}: " in str(raised.value)
    assert "kubectl --namespace kubeflow port-forward service/ml-pipeline-ui 8080:80" in raised.value.fix


def test_a_host_that_is_not_kubeflow_is_refused(kubeflow: Kubeflow) -> None:
    kubeflow.overrides[".*"] = (404, b"<html><style>h1 {}</style><h1>Jenkins</h1></html>")
    message = _refused(kubeflow.url)
    assert message.startswith(
        f"{kubeflow.url} is not Kubeflow Pipelines: {kubeflow.url}/apis/v2beta1/healthz answers 404: Jenkins\n"
    )
    assert "behind Kubeflow's dashboard, the URL ends in /pipeline" in message


def test_a_web_page_as_answer_is_refused(kubeflow: Kubeflow) -> None:
    kubeflow.overrides[".*"] = (200, b"<html>Welcome</html>")
    assert "is not Kubeflow Pipelines" in _refused(kubeflow.url)
    assert "200: Welcome" in _refused(kubeflow.url)


def test_a_kubeflow_that_is_down_is_reported(kubeflow: Kubeflow) -> None:
    kubeflow.overrides[HEALTHZ] = (503, b"no healthy upstream")
    with pytest.raises(ServiceError, match="answers 503: no healthy upstream"):
        Host(kubeflow.url)


def test_a_kubeflow_without_the_v2_api_is_refused(kubeflow: Kubeflow) -> None:
    kubeflow.overrides[HEALTHZ] = (404, b"Not Found")
    kubeflow.overrides["GET /apis/v1beta1/healthz"] = (200, b'{"tag_name": "1.8.5"}')
    message = _refused(kubeflow.url)
    assert message.startswith(f"Kubeflow Pipelines 1.8.5 at {kubeflow.url} rejects the pipeline (IR 2.1.0, ")
    assert "fix: upgrade it to 2.18.1" in message


def test_a_host_that_requires_a_token_is_reported(kubeflow: Kubeflow) -> None:
    kubeflow.token = "fresh"
    message = _refused(kubeflow.url)
    assert message.startswith(f"{kubeflow.url} requires authentication (401: Jwt is expired)\n  fix: give a token: ")


def test_a_login_page_is_reported(kubeflow: Kubeflow) -> None:
    kubeflow.overrides[".*"] = (302, b"Found")
    assert "requires authentication (302: Found)" in _refused(kubeflow.url)


def test_an_expired_token_is_reported(kubeflow: Kubeflow, tmp_path: Path) -> None:
    kubeflow.token = "fresh"
    file = tmp_path / "token"
    file.write_text("stale\n")
    assert _refused(kubeflow.url, token_file=file) == (
        f"{kubeflow.url} rejects the token in {file}, which may have expired (401: Jwt is expired)\n"
        f"  fix: kubectl create token default-editor --audience pipelines.kubeflow.org --namespace NAMESPACE > {file}"
    )


def test_a_token_that_a_gateway_refuses_is_reported(kubeflow: Kubeflow, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another's")
    kubeflow.overrides[HEALTHZ] = (403, b"RBAC: access denied")
    assert "rejects the token in" in _refused(kubeflow.url, token_file=tmp_path / "token")


def test_a_missing_token_file_is_reported(kubeflow: Kubeflow, tmp_path: Path) -> None:
    message = _refused(kubeflow.url, token_file=tmp_path / "token")
    assert message == f"the token file {tmp_path}/token cannot be read: No such file or directory"


def test_a_token_is_read_again_for_every_request(kubeflow: Kubeflow, tmp_path: Path) -> None:
    file = tmp_path / "token"
    kubeflow.token = "first"
    file.write_text("first")
    host = Host(kubeflow.url, login=Login(file))
    kubeflow.token = "second"
    file.write_text("second\n")
    with host.explained("list experiments"), pytest.raises(ValueError, match="No experiment is found"):
        host.client.get_experiment(experiment_name="none")


def test_a_single_user_kubeflow_has_runs_in_its_own_namespace(kubeflow: Kubeflow) -> None:
    assert (Host(kubeflow.url).namespace, Host(kubeflow.url).pods) == (None, "kubeflow")
    # Kubeflow is installed in another namespace; the API itself has no namespaces.
    assert (Host(kubeflow.url, "ml").namespace, Host(kubeflow.url, "ml").pods) == (None, "ml")


def test_a_missing_ca_certificate_is_reported(kubeflow: Kubeflow, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--ca: there is no file .*authority.pem"):
        Host(kubeflow.url, ca=tmp_path / "authority.pem")
