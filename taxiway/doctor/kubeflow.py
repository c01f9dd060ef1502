"""Kubeflow Pipelines at its REST API: whether it is there, takes the IR, and has known holes.

Source: kubeflow/pipelines, backend/src/apiserver/main.go; its UI, which forwards the API, writes the version under
names of its own (frontend/server/handlers/healthz.ts).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from taxiway.doctor.findings import Check, Line, State, Use, short

MENDED = Version("2.18.1")
"""The first Kubeflow Pipelines without the holes that are known of those before it."""

LOCAL_RUNNER_HOLE = "GHSA-rhjm-6347-5x33"
HOLES = (LOCAL_RUNNER_HOLE, "CVE-2026-54745", "CVE-2026-77596")

_HEALTH = "apis/v2beta1/healthz"
_FORWARD = (
    "kubectl port-forward --namespace kubeflow service/ml-pipeline-ui 8080:80  # then --host http://localhost:8080"
)
_MANIFESTS = "github.com/kubeflow/pipelines/manifests/kustomize"
_UPGRADE = f"kubectl apply -k '{_MANIFESTS}/env/platform-agnostic?ref={MENDED}'"
_UPGRADE_FOR_SEVERAL = f"upgrade to a Kubeflow whose Pipelines are {MENDED} or later"
_TOKEN = "kubectl create token default-editor --audience pipelines.kubeflow.org --namespace {} > {}"


@dataclass(frozen=True)
class _Answer:
    status: int
    document: Any


class _SilenceError(Exception):
    """Nothing can be asked, or nothing answers: why, and how to fix it."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.found, self.fix = found, fix


def checks(use: Use) -> list[Check]:
    """Kubeflow at the address that was named."""
    if not use.host:
        return []
    return [Check("Kubeflow", "cluster", lambda: [_kubeflow(use)], State.MISSING)]


def is_for_several_users(use: Use) -> bool:
    """Whether the named Kubeflow looks at its users' rights in their namespaces; not where that cannot be told."""
    try:
        document = _asked(use).document if use.host else None
    except _SilenceError:
        return False
    return isinstance(document, dict) and _has_several_users(document)


def _kubeflow(use: Use) -> Line:
    try:
        answer = _asked(use)
    except _SilenceError as error:
        return _missing(error.found, error.fix)
    return _found(use, answer.document) if answer.status == 200 else _refused(use, answer.status)


def _asked(use: Use) -> _Answer:
    import urllib3

    from taxiway.network import http_client
    from taxiway.network.tls import Tls

    if not re.match(r"https?://[^/]", use.host):
        raise _SilenceError(f"{use.host} is no URL", f"write --host http://{use.host}")
    try:
        pool = http_client.pool(Tls(ca=use.ca))
        answer = pool.request("GET", f"{use.host.rstrip('/')}/{_HEALTH}", headers=_login(use), redirect=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        fix = "name the authority that it is known by: --ca FILE" if "CERTIFICATE" in str(error) else _FORWARD
        raise _SilenceError(f"{use.host} does not answer: {short(error)}", fix) from error
    try:
        return _Answer(answer.status, json.loads(answer.data))
    except ValueError:
        return _Answer(answer.status, None)


def _login(use: Use) -> dict[str, str]:
    if not use.token_file:
        return {}
    try:
        return {"Authorization": f"Bearer {use.token_file.read_text().strip()}"}
    except OSError as error:
        raise _SilenceError(
            f"{use.token_file} cannot be read: {error.strerror}", "name another --token-file"
        ) from error


def _refused(use: Use, status: int) -> Line:
    if status in (401, 403) or 300 <= status < 400:
        reason = f"refuses the token in {use.token_file}, which may have expired" if use.token_file else "wants a token"
        fix = _TOKEN.format(use.namespace or "NAMESPACE", use.token_file or "FILE")
        return _missing(f"{use.host} {reason} ({status})", fix if use.token_file else f"{fix}, then --token-file FILE")
    if status == 404:
        return _missing(f"{use.host} has no API v2beta1: no Kubeflow Pipelines 2, which the IR 2.1.0 needs", _FORWARD)
    return _missing(f"{use.host} answers {status}", _FORWARD)


def _found(use: Use, document: Any) -> Line:
    known = document if isinstance(document, dict) else {}
    tag = known.get("tag_name") or known.get("apiServerTagName")
    if tag is None and "multi_user" not in known:
        return _missing(f"{use.host} answers, but is no Kubeflow Pipelines", _FORWARD)
    try:
        version = Version(str(tag))
    except InvalidVersion:
        found = f"{use.host} takes the IR 2.1.0; it does not say its version"
        return Line("Kubeflow", State.UNKNOWN, found, "kubectl get deployment ml-pipeline --namespace kubeflow -o wide")
    several = _has_several_users(known)
    shown = f"{version}{', several users' if several else ''} at {use.host}"
    return _judged(shown, version, use.sdk_version, _UPGRADE_FOR_SEVERAL if several else _UPGRADE)


def _has_several_users(document: dict[str, Any]) -> bool:
    return bool(document.get("multi_user") or document.get("apiServerMultiUser"))


def _judged(shown: str, version: Version, sdk: str, upgrade: str) -> Line:
    """A version against the IR, against the kfp that compiled the pipeline, and against the known holes."""
    if version.major < 2:
        return _missing(f"{shown} refuses the IR 2.1.0", upgrade)
    said = [f"{shown} takes the IR 2.1.0"]
    compiled = Version(found[1]) if (found := re.search(r"(\d+(\.\d+)+)", sdk)) else version
    if version.release[:2] < compiled.release[:2]:
        said.append(f"kfp {compiled} compiled the pipeline: fields that are newer than this Kubeflow are refused")
    if version < MENDED:
        said.append(f"before {MENDED} there are known holes: {', '.join(HOLES)}")
    return Line("Kubeflow", State.WARNING if said[1:] else State.WELL, "; ".join(said), upgrade if said[1:] else "")


def _missing(found: str, fix: str) -> Line:
    return Line("Kubeflow", State.MISSING, found, fix)
