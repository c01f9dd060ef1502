"""Checks Kubeflow Pipelines through its REST API: does it answer, accept the IR, and have known vulnerabilities?

Source: kubeflow/pipelines, backend/src/apiserver/main.go; its UI, which forwards the API, uses other names for the
version (frontend/server/handlers/healthz.ts).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from packaging.version import InvalidVersion, Version

from components.contract.errors import UserError
from taxiway.doctor.findings import Check, Line, State, Use, short
from taxiway.network.login import new_token

FIXED_IN = Version("2.18.1")
"""The first version of Kubeflow Pipelines without the vulnerabilities below."""

LOCAL_RUNNER_ADVISORY = "GHSA-rhjm-6347-5x33"
VULNERABILITIES = (LOCAL_RUNNER_ADVISORY, "CVE-2026-54745", "CVE-2026-77596")

_HEALTH = "apis/v2beta1/healthz"
_FORWARD = (
    "kubectl port-forward --namespace kubeflow service/ml-pipeline-ui 8080:80  # then --host http://localhost:8080"
)
_MANIFESTS = "github.com/kubeflow/pipelines/manifests/kustomize"
_UPGRADE = f"kubectl apply -k '{_MANIFESTS}/env/platform-agnostic?ref={FIXED_IN}'"
_UPGRADE_MULTI_USER = f"upgrade to a Kubeflow whose Pipelines are {FIXED_IN} or later"
_ACCESS = "apis/v2beta1/experiments"


@dataclass(frozen=True)
class _Answer:
    status: int
    document: Any


class _UnreachableError(Exception):
    """No request can be made, or nothing answers: the reason, and how to fix it."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.found, self.fix = found, fix


def checks(use: Use) -> list[Check]:
    """The check of the given Kubeflow."""
    if not use.host:
        return []
    return [Check("Kubeflow", "cluster", lambda: _lines(use), State.MISSING)]


def is_multi_user(use: Use) -> bool:
    """Whether the given Kubeflow is multi-user; False if unknown."""
    try:
        document = _health(use).document if use.host else None
    except _UnreachableError:
        return False
    return isinstance(document, dict) and _is_multi_user(document)


def _lines(use: Use) -> list[Line]:
    try:
        answer = _health(use)
        if answer.status != 200:
            return [_refused(use, answer.status)]
        found = [_found(use, answer.document)]
        several = isinstance(answer.document, dict) and _is_multi_user(answer.document)
        return [*found, _access(use)] if several else found
    except _UnreachableError as error:
        return [_missing(error.found, error.fix)]


def _access(use: Use) -> Line:
    """Whether a multi-user Kubeflow accepts the user in the namespace; its health does not depend on the user."""
    if not use.namespace:
        return _login_missing(f"{use.host} is multi-user, so it needs a namespace", "give yours with --namespace")
    answer = _get(use, f"{_ACCESS}?{urlencode({'namespace': use.namespace, 'page_size': 1})}")
    if answer.status == 401 or 300 <= answer.status < 400:
        return _login_missing(*_unauthenticated(use, answer.status))
    if answer.status == 403:
        found = f"you may not list experiments in {use.namespace}"
        return _login_missing(found, f"ask its owner to make you a contributor (kubeflow-edit in {use.namespace})")
    if answer.status != 200:
        found = f"{use.host} answers {answer.status} to a list of the experiments in {use.namespace}"
        return Line("Kubeflow login", State.UNKNOWN, found)
    return Line("Kubeflow login", State.OK, f"accepts {use.login or 'you'} in {use.namespace}")


def _health(use: Use) -> _Answer:
    return _get(use, _HEALTH)


def _get(use: Use, path: str) -> _Answer:
    import urllib3

    from taxiway.network import http_client
    from taxiway.network.tls import Tls

    if not re.match(r"https?://[^/]", use.host):
        raise _UnreachableError(f"{use.host} is not a URL", f"write --host http://{use.host}")
    try:
        pool = http_client.pool(Tls(ca=use.ca))
        answer = pool.request("GET", f"{use.host.rstrip('/')}/{path}", headers=use.login.headers(), redirect=False)
    except UserError as error:
        raise _UnreachableError(error.what, error.fix or "give another file") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        fix = "give the CA certificate for the server: --ca FILE" if "CERTIFICATE" in str(error) else _FORWARD
        raise _UnreachableError(f"{use.host} does not answer: {short(error)}", fix) from error
    try:
        return _Answer(answer.status, json.loads(answer.data))
    except ValueError:
        return _Answer(answer.status, None)


def _refused(use: Use, status: int) -> Line:
    if status in (401, 403) or 300 <= status < 400:
        return _missing(*_unauthenticated(use, status))
    if status == 404:
        return _missing(f"{use.host} has no API v2beta1: IR 2.1.0 needs Kubeflow Pipelines 2", _FORWARD)
    return _missing(f"{use.host} answers {status}", _FORWARD)


def _unauthenticated(use: Use, status: int) -> tuple[str, str]:
    """What a server found wrong with the login, and the fix."""
    if not use.login:
        fix = f"{new_token(use.namespace)} > FILE, then --token-file FILE"
        return f"{use.host} requires a token ({status})", fix
    return f"{use.host} rejects {use.login}, {use.login.flaw()} ({status})", use.login.renewal(use.namespace)


def _found(use: Use, document: Any) -> Line:
    known = document if isinstance(document, dict) else {}
    tag = known.get("tag_name") or known.get("apiServerTagName")
    if tag is None and "multi_user" not in known:
        return _missing(f"{use.host} answers, but is not Kubeflow Pipelines", _FORWARD)
    try:
        version = Version(str(tag))
    except InvalidVersion:
        found = f"{use.host} accepts IR 2.1.0, but does not report its version"
        return Line("Kubeflow", State.UNKNOWN, found, "kubectl get deployment ml-pipeline --namespace kubeflow -o wide")
    multi_user = _is_multi_user(known)
    shown = f"{version}{', multi-user' if multi_user else ''}, at {use.host}"
    return _rated(shown, version, use.sdk_version, _UPGRADE_MULTI_USER if multi_user else _UPGRADE)


def _is_multi_user(document: dict[str, Any]) -> bool:
    return bool(document.get("multi_user") or document.get("apiServerMultiUser"))


def _rated(shown: str, version: Version, sdk: str, upgrade: str) -> Line:
    """Compares a version with the IR, with the kfp that compiled the pipeline, and with known vulnerabilities."""
    if version.major < 2:
        return _missing(f"{shown}, rejects IR 2.1.0", upgrade)
    facts = [f"{shown}, accepts IR 2.1.0"]
    compiled = Version(found[1]) if (found := re.search(r"(\d+(\.\d+)+)", sdk)) else version
    if version.release[:2] < compiled.release[:2]:
        facts.append(f"kfp {compiled} compiled the pipeline: this Kubeflow rejects fields that it does not know")
    if version < FIXED_IN:
        facts.append(f"versions before {FIXED_IN} have known vulnerabilities: {', '.join(VULNERABILITIES)}")
    return Line("Kubeflow", State.WARNING if facts[1:] else State.OK, "; ".join(facts), upgrade if facts[1:] else "")


def _missing(found: str, fix: str) -> Line:
    return Line("Kubeflow", State.MISSING, found, fix)


def _login_missing(found: str, fix: str) -> Line:
    return Line("Kubeflow login", State.MISSING, found, fix)
