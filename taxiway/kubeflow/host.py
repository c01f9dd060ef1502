"""A client of Kubeflow Pipelines: its REST API, and the pods and metadata that its UI's server exposes.

Source: kubeflow/pipelines, backend/src/apiserver/main.go and frontend/server/app.ts.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import kfp
import kfp_server_api  # type: ignore[import-untyped]
import urllib3

from components.contract.errors import ServiceError, TaxiwayError, UserError
from taxiway.network import http_client
from taxiway.network.login import ANONYMOUS, Login
from taxiway.network.tls import loadable

PORT_FORWARD = "kubectl --namespace kubeflow port-forward service/ml-pipeline-ui 8080:80"
_SECONDS = 30.0
_HOME = "kubeflow"
"""The namespace of a single-user Kubeflow."""

_RIGHTS = (7, 16)
"""gRPC's codes for users without a right and users who are not logged in; their details have the shorter message."""

_REQUEST = re.compile(r"( with reason:)? *\(request: .*\)$", re.DOTALL)

_NO_RIGHT_TO_UPLOAD = "Failed to create a pipeline version"
"""All that the upload server says if the user may not create pipelines (pipeline_upload_server.go)."""

_NO_RIGHT_TO_VIEW = "Access denied to namespace"
"""The UI's server says this of pods to everyone without the gateway's user header (handlers/pod-info.ts)."""


class _Client(kfp.Client):
    """kfp's client, which need not ask whether Kubeflow is multi-user."""

    def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
        return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)


class Host:
    """A reachable Kubeflow Pipelines.

    Attributes:
        url: Its URL.
        namespace: The user's namespace; None on a single-user Kubeflow.
        pods: The namespace of the runs' pods.
        client: kfp's client.
    """

    def __init__(self, url: str, namespace: str = "", login: Login = ANONYMOUS, ca: Path | None = None) -> None:
        """Connects.

        Raises:
            UserError: The URL is not one of Kubeflow Pipelines 2, or it rejects the login or the namespace.
            ServiceError: The server does not answer.
        """
        if not re.match(r"https?://[^/]", url):
            raise UserError(f"{url} is not a URL", fix=f"write http://{url} or https://{url}")
        tls = loadable("--ca", ca=ca)
        self.url = url.rstrip("/")
        self.pods = namespace or _HOME
        self._login, self._given = login, namespace
        ca_file = str(ca) if ca else None
        self._pool = http_client.pool(tls, _SECONDS)
        multi_user = self._healthy().get("multi_user", False)
        if multi_user and not namespace:
            raise UserError(
                f"the Kubeflow at {self.url} is multi-user, so it needs a namespace",
                fix="give yours with --namespace",
            )
        self.namespace = namespace if multi_user else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # kfp warns that it only supports Kubeflow Pipelines 2
            self.client = _Client(host=self.url, namespace=self.namespace or _HOME, ssl_ca_cert=ca_file)
        # Redirects lead to login pages, which kfp would take for answers.
        pool = self.client.pipelines.api_client.rest_client.pool_manager
        pool.connection_pool_kw["retries"] = urllib3.Retry(3, redirect=0, raise_on_redirect=False)

    def get(self, path: str, **query: str) -> bytes | None:
        """Reads a path below the URL; None if it is not served, because not every URL of Kubeflow serves every path."""
        response = self._request("GET", f"{self.url}/{path}?{urlencode(query)}")
        if response.status == 403 and _message(response.data) == _NO_RIGHT_TO_VIEW:
            return None
        if response.status in (401, 403) or 300 <= response.status < 400:
            raise self._refusal(response.status, response.data, f"read {path}")
        return response.data if response.status == 200 else None

    def get_json(self, path: str, **query: str) -> dict[str, Any] | None:
        """As `get`, for JSON objects; None for anything else."""
        return _object(self.get(path, **query) or b"")

    def post(self, path: str, body: bytes, content_type: str) -> bytes:
        """Posts a body to a path of the server, ignoring the URL's own path; empty if the request is rejected."""
        parts = urlsplit(self.url)
        url = f"{parts.scheme}://{parts.netloc}/{path}"
        answer = self._request("POST", url, body=body, headers={"Content-Type": content_type})
        return bytes(answer.data) if answer.status == 200 else b""

    @contextlib.contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Logs kfp's client in, converts its exceptions to errors with a fix, and suppresses its output."""
        self.client.pipelines.api_client.default_headers.update(self._login.headers())
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except kfp_server_api.ApiException as error:
            raise self._refusal(error.status or 0, error.body or error.reason or "", doing) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._silence(error) from error

    def _healthy(self) -> dict[str, Any]:
        response = self._request("GET", f"{self.url}/apis/v2beta1/healthz")
        if response.status in (401, 403) or 300 <= response.status < 400:
            raise self._refusal(response.status, response.data, "connect")
        if response.status == 200 and (answer := _object(response.data)) is not None:
            return answer
        if response.status >= 500:
            raise ServiceError(f"{self.url} answers {_status(response.status, response.data)}")
        if older := self._version():
            raise self._too_old(f"Kubeflow Pipelines {older}")
        raise UserError(
            f"{self.url} is not Kubeflow Pipelines: {self.url}/apis/v2beta1/healthz answers "
            f"{_status(response.status, response.data)}",
            fix=f"behind Kubeflow's dashboard, the URL ends in /pipeline; or forward a port: {PORT_FORWARD}",
        )

    def _version(self) -> str:
        """The version according to the older API; empty if unknown."""
        answer = _object(self._request("GET", f"{self.url}/apis/v1beta1/healthz").data) or {}
        return str(answer.get("tag_name") or answer.get("commit_sha") or "")

    def _request(self, method: str, url: str, headers: Mapping[str, str] = {}, **options: Any) -> Any:
        identified = {**headers, **self._login.headers()}
        try:
            return self._pool.request(method, url, headers=identified, redirect=False, **options)
        except urllib3.exceptions.HTTPError as error:
            raise self._silence(error) from error

    def _silence(self, error: Exception) -> ServiceError:
        if "CERTIFICATE" in str(error):
            return ServiceError(f"{self.url}: {error}", fix="give the CA certificate for the server with --ca")
        return ServiceError(f"nothing answers at {self.url}: {error}", fix=f"forward a port: {PORT_FORWARD}")

    def _refusal(self, status: int, body: bytes | str, doing: str) -> TaxiwayError:
        message = _message(body)
        if status == 401 or 300 <= status < 400 or (status == 403 and _object(body) is None):
            return self._unauthenticated(status, message)
        if status == 403:
            namespace = self.namespace or self.pods
            return UserError(
                f"you may not {doing} in the namespace {namespace}: {message}",
                fix=f"ask its owner to make you a contributor (kubeflow-edit in {namespace}), or use another namespace",
            )
        if status == 400 or "pipeline spec" in message.lower():
            return self._refused(doing, message)
        return ServiceError(f"{self.url} failed to {doing}: {_status(status, message)}")

    def _unauthenticated(self, status: int, message: str) -> UserError:
        if not self._login:
            return UserError(
                f"{self.url} requires authentication ({_status(status, message)})",
                fix="give a token: --token-file FILE; docs/operations/kubeflow.md says how to get one",
            )
        return UserError(
            f"{self.url} rejects {self._login}, {self._login.flaw()} ({_status(status, message)})",
            fix=self._login.renewal(self._given),
        )

    def _refused(self, doing: str, message: str) -> UserError:
        if self.namespace and message == _NO_RIGHT_TO_UPLOAD:
            return UserError(
                f"{self.url} refuses to {doing} without a reason; you may lack the right to create pipelines in the "
                f"namespace {self.namespace}",
                fix=f"ask its owner to make you a contributor (kubeflow-edit in {self.namespace})",
            )
        if doing == "upload the pipeline":
            version = self._version()
            return self._too_old(f"Kubeflow Pipelines{version and ' '}{version}", message)
        return UserError(f"{self.url} refuses to {doing}: {message}")

    def _too_old(self, what: str, message: str = "") -> UserError:
        return UserError(
            f"{what} at {self.url} rejects the pipeline (IR 2.1.0, written by kfp {kfp.__version__})"
            + (f": {message}" if message else ""),
            fix="upgrade it to 2.18.1; versions from 2.0 accept IR 2.1.0, but not every setting of later versions",
        )


def _object(body: bytes | str) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _message(body: bytes | str) -> str:
    """The message in an error's body: from Kubeflow's JSON, or the plain text of anything else."""
    document = _object(body)
    if document and document.get("code") in _RIGHTS and document.get("details"):
        return _REQUEST.sub("", str(document["details"][0].get("message", "")))
    if document:
        return str(document.get("message") or document.get("error_message") or document.get("error") or document)
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    words = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE).split()
    return " ".join(words)[:300]


def _status(status: int, body: bytes | str) -> str:
    return f"{status}: {message}" if (message := _message(body)) else str(status)
