"""Tokens, cookies and headers that identify a user to Kubeflow."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from components.contract.errors import UserError
from taxiway.network.login import ANONYMOUS, Login


def token(claims: dict[str, Any]) -> str:
    """A JSON web token without a valid signature."""
    parts = ({"alg": "RS256"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".x"


def _file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "file"
    file.write_text(text)
    return file


def test_files_are_read_for_every_request(tmp_path: Path) -> None:
    login = Login(token_file=_file(tmp_path, "first\n"))
    assert login.headers() == {"Authorization": "Bearer first"}
    _file(tmp_path, "second\n")
    assert login.headers() == {"Authorization": "Bearer second"}


def test_token_cookie_and_headers_are_combined(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies"
    cookies.write_text("authservice_session=MTY=; path=/\n")
    login = Login(_file(tmp_path, "t"), cookies, "kubeflow-userid:  ann@example.com ")
    assert login.headers() == {
        "Authorization": "Bearer t",
        "Cookie": "authservice_session=MTY=; path=/",
        "kubeflow-userid": "ann@example.com",
    }
    assert login
    assert not ANONYMOUS
    assert ANONYMOUS.headers() == {}


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "größe", "a\x00b"])
def test_a_file_that_is_not_a_header_value_is_refused(tmp_path: Path, text: str) -> None:
    file = _file(tmp_path, text)
    for login in (Login(token_file=file), Login(cookie_file=file)):
        with pytest.raises(UserError, match="is empty, or has more than one line of plain ASCII"):
            login.headers()


def test_files_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the cookie file .*/none cannot be read: No such file or directory"):
        Login(cookie_file=tmp_path / "none").headers()
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"the token file .*/binary cannot be read: it is not text"):
        Login(token_file=binary).headers()


@pytest.mark.parametrize("text", ["eyJhbGciOi", "; a=b", "a b=c"])
def test_invalid_cookies_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="is not of the form NAME=VALUE") as raised:
        Login(cookie_file=_file(tmp_path, text)).headers()
    assert raised.value.fix == "copy the session's cookie from the browser, as oauth2_proxy_kubeflow=VALUE"


@pytest.mark.parametrize("text", ["kubeflow-userid", ": ann", "a b: c", "name: ", "name: a\nHost: b", "name: ä"])
def test_invalid_headers_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not of the form NAME: VALUE") as raised:
        Login(header=text).headers()
    assert raised.value.fix == "write --header 'kubeflow-userid: EMAIL'"


@pytest.mark.parametrize(
    ("claims", "flaw"),
    [
        ({"exp": 1_700_000_000}, "which expired at 2023-11-14 22:13 UTC"),
        ({"aud": ["https://kubernetes.default.svc"]}, "whose audience is"),
        ({"aud": "istio-ingressgateway", "exp": 4_000_000_000}, "whose audience is istio-ingressgateway, not"),
        ({"aud": ["pipelines.kubeflow.org"], "exp": 4_000_000_000}, "which may have expired"),
        ({"aud": "pipelines.kubeflow.org", "exp": "soon"}, "which may have expired"),
    ],
)
def test_the_problem_of_a_token_is_found(tmp_path: Path, claims: dict[str, Any], flaw: str) -> None:
    assert Login(token_file=_file(tmp_path, token(claims))).flaw().startswith(flaw)


@pytest.mark.parametrize("text", ["opaque", "a.b.c", "a.MQ.c", "a..c"])
def test_an_opaque_token_has_no_known_problem(tmp_path: Path, text: str) -> None:
    assert Login(token_file=_file(tmp_path, text)).flaw() == "which may have expired"
