"""The cluster, through the Kubernetes API: context, namespace, rights, nodes, volumes, secrets. Nothing is changed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from components.contract.commands import typed
from taxiway.doctor import kubeflow, nodes
from taxiway.doctor.findings import Check, Line, State, Use, short, unless_well
from taxiway.doctor.requirements import Secret, Task
from taxiway.language.spec import Json

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_FOLLOW = (("get", "", "pods", ""), ("list", "", "pods", ""), ("get", "", "pods", "log"))
_SUBMIT = (("create", "pipelines.kubeflow.org", "runs", ""), ("create", "pipelines.kubeflow.org", "pipelines", ""))
_NAMES_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""What a secret holds is not asked for."""


class _NoAnswerError(Exception):
    """The API gave none that can be used: why, how to fix it, and HTTP's status where it has one."""

    def __init__(self, found: str, fix: str, status: int = 0) -> None:
        super().__init__(found)
        self.found, self.fix, self.status = found, fix, status


def preload() -> None:
    """Loads the client library once, for all checks that are going to be forked."""
    import kubernetes.client
    import kubernetes.config  # noqa: F401


def _choosing() -> str:
    return f"kubectl config use-context NAME  # or, for a cluster on this machine: {typed('make kind-up')}"


def checks(use: Use) -> list[Check]:
    """The context, and what the pipeline's pods need where a namespace is named."""
    needed = bool(use.namespace)
    found = [_check("kubectl context", "this machine", partial(_context, use, needed), unless_well(needed))]
    if needed:
        found.append(_check("namespace", "cluster", partial(_namespace, use)))
        found.append(_check("rights", "cluster", partial(_rights, use)))
    if needed and use.tasks:
        found.append(_check("nodes", "cluster", partial(_nodes, use)))
        found.append(_check("volumes", "cluster", partial(_volumes, use)))
        found.append(_check("secrets", "cluster", partial(_secrets, use)))
    return found


def _check(name: str, group: str, look: Callable[[], list[Line]], bad: State = State.UNKNOWN) -> Check:
    """A check whose line says so where the API gives no answer."""

    def guarded() -> list[Line]:
        try:
            return look()
        except _NoAnswerError as error:
            return [Line(name, bad, error.found, error.fix)]

    return Check(name, group, guarded, bad)


# The API


class _Api:
    """The API of one context, as JSON."""

    def __init__(self, context: str) -> None:
        files = _kubeconfig()
        if not files and _IN_CLUSTER not in os.environ:
            raise _NoAnswerError("there is no kubeconfig", _choosing())
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
        except Exception as error:  # a file of the user's: the library fails on it in many ways
            raise _NoAnswerError(f"the kubeconfig cannot be used: {short(error)}", _choosing()) from error
        # An address that refuses is not asked three times more.
        self._client.rest_client.pool_manager.connection_pool_kw["retries"] = False

    @property
    def server(self) -> str:
        """Its address."""
        return str(self._client.configuration.host)

    def get(self, path: str, accept: str = "application/json") -> Json:
        """Reads an object or a list."""
        return self._call("GET", path, {"Accept": accept}, None)

    def post(self, path: str, body: Json) -> Json:
        """Sends a review, which the API answers and does not keep."""
        return self._call("POST", path, {"Accept": "application/json", "Content-Type": "application/json"}, body)

    def _call(self, method: str, path: str, headers: dict[str, str], body: Json | None) -> Json:
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = self._client.call_api(
                path, method, header_params=headers, body=body, auth_settings=["BearerToken"], _preload_content=False
            )[0]
            document = json.loads(answer.data)
        except ApiException as error:
            raise _refused(self.name, error.status, error.body) from error
        except (HTTPError, OSError) as error:
            raise _NoAnswerError(f"{self.name}: {self.server} does not answer: {short(error)}", _choosing()) from error
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise _NoAnswerError(f"{self.name}: {self.server} answers, but is no Kubernetes API", _choosing())
        return document


def _kubeconfig() -> str:
    """The files of KUBECONFIG, or the usual one, as far as they are there; joined as that variable is."""
    places = os.environ.get("KUBECONFIG") or "~/.kube/config"
    files = [Path(place).expanduser() for place in places.split(os.pathsep) if place]
    return os.pathsep.join(str(file) for file in files if file.is_file())


def _refused(context: str, status: int, body: Any) -> _NoAnswerError:
    if status == 401:
        return _NoAnswerError(
            f"{context}: the login is missing or has expired (401)",
            "log in to the cluster again, then: kubectl auth whoami",
            status,
        )
    try:
        message = json.loads(body)["message"]
    except (ValueError, TypeError, KeyError):
        message = "no Kubernetes API, it seems" if status != 403 else "forbidden"
    return _NoAnswerError(f"{context} answers {status}: {short(message)}", "kubectl auth can-i --list", status)


# The context, the namespace, and rights


def _context(use: Use, needed: bool) -> list[Line]:
    api = _Api(use.context)
    version = api.get("/version").get("gitVersion")
    if not version:
        raise _NoAnswerError(f"{api.name}: {api.server} answers, but is no Kubernetes API", _choosing())
    return [Line("kubectl context", State.WELL, f"{api.name}: Kubernetes {version} at {api.server}")]


def _namespace(use: Use) -> list[Line]:
    try:
        found = _Api(use.context).get(f"/api/v1/namespaces/{use.namespace}")
    except _NoAnswerError as error:
        if error.status != 404:
            raise
        return [
            Line(
                "namespace", State.MISSING, f"there is no {use.namespace}", f"kubectl create namespace {use.namespace}"
            )
        ]
    if found.get("status", {}).get("phase") == "Terminating":
        return [
            Line(
                "namespace",
                State.MISSING,
                f"{use.namespace} is being deleted",
                f"kubectl get namespace {use.namespace}",
            )
        ]
    return [Line("namespace", State.WELL, use.namespace)]


def _rights(use: Use) -> list[Line]:
    api = _Api(use.context)
    follow = [right for right in _FOLLOW if not _may(api, use.namespace, right)]
    submit = [right for right in _SUBMIT if not _may(api, use.namespace, right)]
    bind = "kubectl create rolebinding {} --clusterrole={} --namespace=" + use.namespace + " --user=YOU"
    lines = []
    if follow:
        found = f"may not {_shown(follow)} in {use.namespace}, to see why a task fails"
        lines.append(Line("rights", State.WARNING, found, bind.format("follow-runs", "view")))
    if submit:
        needed = kubeflow.is_for_several_users(use)
        found = (
            f"may not {_shown(submit)} in {use.namespace}, which {'this' if needed else 'a'} Kubeflow of several users"
        )
        state = State.MISSING if needed else State.WARNING
        lines.append(Line("rights", state, f"{found} asks for", bind.format("submit-runs", "kubeflow-pipelines-edit")))
    return lines or [Line("rights", State.WELL, f"may {_shown([*_FOLLOW, *_SUBMIT])} in {use.namespace}")]


def _may(api: _Api, namespace: str, right: tuple[str, str, str, str]) -> bool:
    verb, group, resource, subresource = right
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return bool(answer.get("status", {}).get("allowed"))


def _shown(rights: list[tuple[str, str, str, str]]) -> str:
    return ", ".join(f"{verb} {'/'.join(filter(None, rest))}" for verb, _, *rest in rights)


# What the pipeline names


def _nodes(use: Use) -> list[Line]:
    asking = [task for task in use.tasks if task.requests or task.node_labels]
    if not asking:
        return [Line("nodes", State.WELL, "the pipeline asks for no resources")]
    listed = _Api(use.context).get("/api/v1/nodes").get("items", [])
    return nodes.lines(asking, listed)


def _volumes(use: Use) -> list[Line]:
    wanted = {(use.namespace, claim): task.name for task in use.tasks for claim in task.claims.values()}
    for task in use.tasks:
        pod = task.serving.get("kubernetes")
        if isinstance(pod, Mapping) and pod.get("volume_claim"):
            wanted[(pod.get("namespace") or use.namespace, pod["volume_claim"])] = task.name
    if not wanted:
        return [Line("volumes", State.WELL, "the pipeline names no PersistentVolumeClaim")]
    api = _Api(use.context)
    return [_volume(api, namespace, claim, task) for (namespace, claim), task in wanted.items()]


def _volume(api: _Api, namespace: str, claim: str, task: str) -> Line:
    name = f"volume {claim}"
    try:
        found = api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
    except _NoAnswerError as error:
        if error.status != 404:
            return Line(name, State.UNKNOWN, error.found, error.fix)
        make = f"kubectl apply --namespace {namespace} -f FILE  # manifests/base/model-store.yaml is a pattern"
        return Line(name, State.MISSING, f"{task} mounts it; there is none in {namespace}", make)
    phase = found.get("status", {}).get("phase", "")
    size = found.get("status", {}).get("capacity", {}).get("storage", "")
    describe = f"kubectl describe persistentvolumeclaim {claim} --namespace {namespace}"
    if phase == "Lost":
        return Line(name, State.MISSING, "its volume is lost", describe)
    if phase != "Bound":
        return Line(name, State.WARNING, f"{phase or 'not bound'}: it may wait for its first pod", describe)
    return Line(name, State.WELL, f"bound, {size}".rstrip(", "))


def _secrets(use: Use) -> list[Line]:
    named = [(secret, task) for task in use.tasks for secret in task.secrets]
    # Optional for one task and not for another: the latter counts.
    wanted = {secret.name: (secret, task) for secret, task in sorted(named, key=lambda pair: not pair[0].optional)}
    if not wanted:
        return [Line("secrets", State.WELL, "the pipeline names no Secret")]
    api = _Api(use.context)
    return [_secret(api, use.namespace, secret, task) for secret, task in wanted.values()]


def _secret(api: _Api, namespace: str, secret: Secret, task: Task) -> Line:
    name = f"secret {secret.name}"
    try:
        api.get(f"/api/v1/namespaces/{namespace}/secrets/{secret.name}", _NAMES_ONLY)
    except _NoAnswerError as error:
        if error.status != 404:
            return Line(name, State.UNKNOWN, error.found, error.fix)
        found = f"{task.name} names it; there is none in {namespace}"
        return Line(name, unless_well(not secret.optional), found, _create(secret, namespace))
    return Line(name, State.WELL, f"in {namespace}")


def _create(secret: Secret, namespace: str) -> str:
    start = "kubectl create secret"
    if secret.pulls_images:
        login = "--docker-server=HOST --docker-username=NAME --docker-password=PASSWORD"
        return f"{start} docker-registry {secret.name} --namespace {namespace} {login}"
    keys = " ".join(f"--from-literal={key}=..." for key in secret.keys or ("KEY",))
    return f"{start} generic {secret.name} --namespace {namespace} {keys}"
