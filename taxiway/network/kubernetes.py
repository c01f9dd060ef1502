"""A client of the Kubernetes API, with the user's kubeconfig or from inside the cluster."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from components.contract.commands import typed

Json = dict[str, Any]

_LONGEST = 200  # characters
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


class NoAnswerError(Exception):
    """The API gave no usable answer: the reason, how to fix it, and the HTTP status if there is one."""

    def __init__(self, found: str, fix: str, status: int = 0) -> None:
        super().__init__(found)
        self.found, self.fix, self.status = found, fix, status


def preload() -> None:
    """Loads the client library once, before checks are forked."""
    import kubernetes.client
    import kubernetes.config  # noqa: F401


def switch_context() -> str:
    """The command that selects another cluster."""
    return f"kubectl config use-context NAME  # or, for a cluster on this machine: {typed('make kind-up')}"


class KubernetesApi:
    """The API of one context, as JSON."""

    def __init__(self, context: str = "", *, seconds: float | None = None) -> None:
        self._seconds = seconds
        files = _kubeconfig()
        if not files and _IN_CLUSTER not in os.environ:
            raise NoAnswerError("no kubeconfig found", switch_context())
        from kubernetes import client, config

        try:
            if not files:
                self.name = "the cluster that this runs in"
                settings = client.Configuration()
                config.load_incluster_config(client_configuration=settings)
                self._client = client.ApiClient(settings)
            else:
                self.name = context or str(config.list_kube_config_contexts(files)[1]["name"])
                self._client = config.new_client_from_config(files, context=context or None, persist_config=False)
        except Exception as error:  # the library fails on a broken kubeconfig in many ways
            raise NoAnswerError(f"the kubeconfig cannot be used: {_short(error)}", switch_context()) from error
        # Do not retry a refused connection three times.
        self._client.rest_client.pool_manager.connection_pool_kw["retries"] = False

    @property
    def server(self) -> str:
        """The server's URL."""
        return str(self._client.configuration.host)

    def get(self, path: str, accept: str = "application/json") -> Json:
        """Reads an object or a list."""
        return self._call("GET", path, {"Accept": accept}, None)

    def post(self, path: str, body: Json) -> Json:
        """Creates an object, or posts a review, which the API answers but does not store."""
        return self._call("POST", path, {"Accept": "application/json", "Content-Type": "application/json"}, body)

    def put(self, path: str, body: Json) -> Json:
        """Replaces an object; the API answers 409 if it has changed since the body was read."""
        return self._call("PUT", path, {"Accept": "application/json", "Content-Type": "application/json"}, body)

    def _call(self, method: str, path: str, headers: dict[str, str], body: Json | None) -> Json:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = self._client.call_api(
                path,
                method,
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=self._seconds,
            )[0]
            document = json.loads(answer.data)
        except ApiException as error:
            raise _refused(self.name, error.status, error.body) from error
        except (HTTPError, OSError) as error:
            found = f"{self.name}: {self.server} does not answer: {_short(error)}"
            raise NoAnswerError(found, switch_context()) from error
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise NoAnswerError(f"{self.name}: {self.server} answers, but is not a Kubernetes API", switch_context())
        return document


def _kubeconfig() -> str:
    """The existing files of KUBECONFIG, or the default one, joined as in that variable."""
    places = os.environ.get("KUBECONFIG") or "~/.kube/config"
    files = [Path(place).expanduser() for place in places.split(os.pathsep) if place]
    return os.pathsep.join(str(file) for file in files if file.is_file())


def _refused(context: str, status: int, body: Any) -> NoAnswerError:
    if status == 401:
        return NoAnswerError(
            f"{context}: you are not logged in, or the login has expired (401)",
            "log in to the cluster again, then: kubectl auth whoami",
            status,
        )
    try:
        message = json.loads(body)["message"]
    except (ValueError, TypeError, KeyError):
        message = "probably not a Kubernetes API" if status != 403 else "forbidden"
    return NoAnswerError(f"{context} answers {status}: {_short(message)}", "kubectl auth can-i --list", status)


def _short(error: object) -> str:
    """An error as one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
