"""A Kubeflow Pipelines that a URL leads to: its REST API, and what its UI's server tells of pods and metadata.

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
from kfp.client.token_credentials_base import TokenCredentialsBase

from components.contract.errors import ServiceError, TaxiwayError, UserError
from taxiway.network import http_client
from taxiway.network.tls import loadable

PORT_FORWARD = "kubectl --namespace kubeflow port-forward service/ml-pipeline-ui 8080:80"
_SECONDS = 30.0
_HOME = "kubeflow"
"""The namespace of a Kubeflow that has one for all."""


class _TokenFile(TokenCredentialsBase):
    """A token that is read again for every request: who renews it writes the file anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> str:
        try:
            return self.path.read_text().strip()
        except OSError as error:
            raise UserError(f"the token file {self.path} cannot be read: {error.strerror}") from error

    def refresh_api_key_hook(self, config: Any) -> None:
        config.api_key["authorization"] = self.read()


class Host:
    """A Kubeflow Pipelines that answers.

    Attributes:
        url: Where it is.
        namespace: The user's namespace; None where it has one for all.
        pods: The namespace that the pods of runs are in.
        client: kfp's client.
    """

    def __init__(self, url: str, namespace: str = "", token_file: Path | None = None, ca: Path | None = None) -> None:
        """Connects.

        Raises:
            UserError: The URL leads to no Kubeflow Pipelines 2, or it refuses the token or the namespace.
            ServiceError: Nothing answers.
        """
        if not re.match(r"https?://[^/]", url):
            raise UserError(f"{url} is no URL", fix=f"write http://{url} or https://{url}")
        tls = loadable("--ca", ca=ca)
        self.url = url.rstrip("/")
        self._token = _TokenFile(token_file) if token_file else None
        authority = str(ca) if ca else None
        self._pool = http_client.pool(tls, _SECONDS)
        several = self._healthy().get("multi_user", False)
        if several and not namespace:
            raise UserError(
                f"the Kubeflow at {self.url} has a namespace for each user, and none is given",
                fix="give yours with --namespace",
            )
        self.namespace = namespace if several else None
        self.pods = namespace or _HOME
        with warnings.catch_warnings(), self.explained("connect"):
            warnings.simplefilter("ignore", FutureWarning)  # that it speaks to Kubeflow Pipelines 2 only
            self.client = kfp.Client(
                host=self.url,
                namespace=self.namespace or _HOME,
                credentials=self._token,
                ssl_ca_cert=authority,
            )

    def get(self, path: str, **query: str) -> bytes | None:
        """What a path below the URL answers; None where there is no such path, as with some ways to Kubeflow."""
        response = self._request("GET", f"{self.url}/{path}?{urlencode(query)}")
        if response.status in (401, 403):
            raise self._refusal(response.status, response.data, f"read {path}")
        return response.data if response.status == 200 else None

    def get_json(self, path: str, **query: str) -> dict[str, Any] | None:
        """As `get`, for JSON objects; None for anything else."""
        return _object(self.get(path, **query) or b"")

    def post(self, path: str, body: bytes, content_type: str) -> bytes:
        """Sends a body to a path of the URL's server, whatever path the URL itself has; empty where that is refused."""
        parts = urlsplit(self.url)
        url = f"{parts.scheme}://{parts.netloc}/{path}"
        answer = self._request("POST", url, body=body, headers={"Content-Type": content_type})
        return bytes(answer.data) if answer.status == 200 else b""

    @contextlib.contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Turns what kfp's client raises into errors that say what to do, and keeps what it prints to itself."""
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
            fix=f"behind Kubeflow's dashboard the URL ends in /pipeline; or open a way to it: {PORT_FORWARD}",
        )

    def _version(self) -> str:
        """The version, which the older API tells; empty where it does not."""
        answer = _object(self._request("GET", f"{self.url}/apis/v1beta1/healthz").data) or {}
        return str(answer.get("tag_name") or answer.get("commit_sha") or "")

    def _request(self, method: str, url: str, headers: Mapping[str, str] = {}, **options: Any) -> Any:
        token = {"Authorization": f"Bearer {self._token.read()}"} if self._token else {}
        try:
            return self._pool.request(method, url, headers={**headers, **token}, redirect=False, **options)
        except urllib3.exceptions.HTTPError as error:
            raise self._silence(error) from error

    def _silence(self, error: Exception) -> ServiceError:
        if "CERTIFICATE" in str(error):
            return ServiceError(f"{self.url}: {error}", fix="give the authority that it is known by with --ca")
        return ServiceError(f"nothing answers at {self.url}: {error}", fix=f"open a way to it: {PORT_FORWARD}")

    def _refusal(self, status: int, body: bytes | str, doing: str) -> TaxiwayError:
        said = _message(body)
        if status == 401 or 300 <= status < 400 or (status == 403 and _object(body) is None):
            return self._unknown_user(status, said)
        if status == 403:
            namespace = self.namespace or self.pods
            return UserError(
                f"no right to {doing} in the namespace {namespace}: {said}",
                fix=f"ask its owner to make you a contributor (kubeflow-edit in {namespace}), or name another",
            )
        if status == 400 or "pipeline spec" in said.lower():
            return self._refused(doing, said)
        return ServiceError(f"{self.url} failed to {doing}: {_status(status, said)}")

    def _unknown_user(self, status: int, said: str) -> UserError:
        if not self._token:
            return UserError(
                f"{self.url} wants to know who you are ({_status(status, said)})",
                fix="give a token: --token-file FILE; docs/operations/kubeflow.md says where to get one",
            )
        return UserError(
            f"{self.url} refuses the token in {self._token.path}, which may have expired ({_status(status, said)})",
            fix=f"write a new one into {self._token.path}",
        )

    def _refused(self, doing: str, said: str) -> UserError:
        if doing == "upload the pipeline":
            version = self._version()
            return self._too_old(f"Kubeflow Pipelines{version and ' '}{version}", said)
        return UserError(f"{self.url} refuses to {doing}: {said}")

    def _too_old(self, what: str, said: str = "") -> UserError:
        return UserError(
            f"{what} at {self.url} refuses the pipeline (IR 2.1.0, written by kfp {kfp.__version__})"
            + (f": {said}" if said else ""),
            fix="upgrade it to 2.18.1; 2.0 and later take IR 2.1.0, but not every setting of later ones",
        )


def _object(body: bytes | str) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _message(body: bytes | str) -> str:
    """What an error's body says: the message of Kubeflow's JSON, or the text of anything else."""
    document = _object(body)
    if document:
        return str(document.get("message") or document.get("error_message") or document.get("error") or document)
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    words = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE).split()
    return " ".join(words)[:300]


def _status(status: int, body: bytes | str) -> str:
    return f"{status}: {said}" if (said := _message(body)) else str(status)
