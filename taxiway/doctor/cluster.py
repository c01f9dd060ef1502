"""Checks of the cluster through the Kubernetes API: context, namespace, rights, nodes, volumes, secrets. Read-only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from taxiway.doctor import kubeflow, nodes
from taxiway.doctor.findings import Check, Line, State, Use, absent_or_missing
from taxiway.doctor.requirements import Secret
from taxiway.network import kubernetes
from taxiway.network.kubernetes import KubernetesApi, NoAnswerError, switch_context

_FOLLOW = (("get", "", "pods", ""), ("list", "", "pods", ""), ("get", "", "pods", "log"))
_SUBMIT = (("create", "pipelines.kubeflow.org", "runs", ""), ("create", "pipelines.kubeflow.org", "pipelines", ""))
_NAMES_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Requests only the metadata of secrets, never their content."""


def preload() -> None:
    """Loads the client library once, before the checks are forked."""
    kubernetes.preload()


def checks(use: Use) -> list[Check]:
    """The context; with a namespace, also what the pipeline's pods need."""
    needed = bool(use.namespace)
    found = [_check("kubectl context", "this machine", partial(_context, use, needed), absent_or_missing(needed))]
    if needed:
        found.append(_check("namespace", "cluster", partial(_namespace, use)))
        found.append(_check("rights", "cluster", partial(_rights, use)))
    if needed and use.tasks:
        found.append(_check("nodes", "cluster", partial(_nodes, use)))
        found.append(_check("volumes", "cluster", partial(_volumes, use)))
        found.append(_check("secrets", "cluster", partial(_secrets, use)))
    return found


def _check(name: str, group: str, look: Callable[[], list[Line]], bad: State = State.UNKNOWN) -> Check:
    """A check that reports an API that does not answer on its own line."""

    def look_or_report() -> list[Line]:
        try:
            return look()
        except NoAnswerError as error:
            return [Line(name, bad, error.found, error.fix)]

    return Check(name, group, look_or_report, bad)


# The context, the namespace, and rights


def _context(use: Use, needed: bool) -> list[Line]:
    api = KubernetesApi(use.context)
    version = api.get("/version").get("gitVersion")
    if not version:
        raise NoAnswerError(f"{api.name}: {api.server} answers, but is not a Kubernetes API", switch_context())
    return [Line("kubectl context", State.OK, f"{api.name}: Kubernetes {version} at {api.server}")]


def _namespace(use: Use) -> list[Line]:
    try:
        found = KubernetesApi(use.context).get(f"/api/v1/namespaces/{use.namespace}")
    except NoAnswerError as error:
        if error.status != 404:
            raise
        return [
            Line(
                "namespace",
                State.MISSING,
                f"{use.namespace} does not exist",
                f"kubectl create namespace {use.namespace}",
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
    return [Line("namespace", State.OK, use.namespace)]


def _rights(use: Use) -> list[Line]:
    api = KubernetesApi(use.context)
    follow = [right for right in _FOLLOW if not _may(api, use.namespace, right)]
    submit = [right for right in _SUBMIT if not _may(api, use.namespace, right)]
    bind = "kubectl create rolebinding {} --clusterrole={} --namespace=" + use.namespace + " --user=YOU"
    lines = []
    if follow:
        found = f"you may not {_shown(follow)} in {use.namespace}, which shows why a task failed"
        lines.append(Line("rights", State.WARNING, found, bind.format("follow-runs", "view")))
    if submit:
        needed = kubeflow.is_multi_user(use)
        found = (
            f"you may not {_shown(submit)} in {use.namespace}, which {'this' if needed else 'a'} multi-user Kubeflow"
        )
        state = State.MISSING if needed else State.WARNING
        lines.append(Line("rights", state, f"{found} requires", bind.format("submit-runs", "kubeflow-pipelines-edit")))
    return lines or [Line("rights", State.OK, f"you may {_shown([*_FOLLOW, *_SUBMIT])} in {use.namespace}")]


def _may(api: KubernetesApi, namespace: str, right: tuple[str, str, str, str]) -> bool:
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


# What the pipeline uses


def _nodes(use: Use) -> list[Line]:
    asking = [task for task in use.tasks if task.requests or task.node_labels]
    if not asking:
        return [Line("nodes", State.OK, "the pipeline requests no resources")]
    listed = KubernetesApi(use.context).get("/api/v1/nodes").get("items", [])
    return nodes.lines(asking, listed)


def _volumes(use: Use) -> list[Line]:
    wanted = {(use.namespace, claim): task.name for task in use.tasks for claim in task.claims.values()}
    for task in use.tasks:
        pod = task.serving.get("kubernetes")
        if isinstance(pod, Mapping) and pod.get("volume_claim"):
            wanted[(pod.get("namespace") or use.namespace, pod["volume_claim"])] = task.name
    if not wanted:
        return [Line("volumes", State.OK, "the pipeline uses no PersistentVolumeClaim")]
    api = KubernetesApi(use.context)
    return [_volume(api, namespace, claim, task) for (namespace, claim), task in wanted.items()]


def _volume(api: KubernetesApi, namespace: str, claim: str, task: str) -> Line:
    name = f"volume {claim}"
    try:
        found = api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
    except NoAnswerError as error:
        if error.status != 404:
            return Line(name, State.UNKNOWN, error.found, error.fix)
        make = f"kubectl apply --namespace {namespace} -f FILE  # manifests/base/model-store.yaml is an example"
        return Line(name, State.MISSING, f"{task} mounts it, but it does not exist in {namespace}", make)
    phase = found.get("status", {}).get("phase", "")
    size = found.get("status", {}).get("capacity", {}).get("storage", "")
    describe = f"kubectl describe persistentvolumeclaim {claim} --namespace {namespace}"
    if phase == "Lost":
        return Line(name, State.MISSING, "its volume is lost", describe)
    if phase != "Bound":
        return Line(name, State.WARNING, f"{phase or 'not bound'}: it may be waiting for its first pod", describe)
    return Line(name, State.OK, f"bound, {size}".rstrip(", "))


def _secrets(use: Use) -> list[Line]:
    named = [(secret, task) for task in use.tasks for secret in task.secrets]
    # If a secret is optional for one task and required by another, it is required.
    wanted = {secret.name: secret for secret, _ in sorted(named, key=lambda pair: not pair[0].optional)}
    users = {name: sorted({task.name for secret, task in named if secret.name == name}) for name in wanted}
    if not wanted:
        return [Line("secrets", State.OK, "the pipeline uses no Secret")]
    api = KubernetesApi(use.context)
    return [_secret(api, use.namespace, secret, users[name]) for name, secret in wanted.items()]


def _secret(api: KubernetesApi, namespace: str, secret: Secret, users: list[str]) -> Line:
    name = f"secret {secret.name}"
    try:
        api.get(f"/api/v1/namespaces/{namespace}/secrets/{secret.name}", _NAMES_ONLY)
    except NoAnswerError as error:
        if error.status != 404:
            return Line(name, State.UNKNOWN, error.found, error.fix)
        use = "uses" if len(users) == 1 else "use"
        found = f"{', '.join(users)} {use} it, but it does not exist in {namespace}"
        return Line(name, absent_or_missing(not secret.optional), found, _create(secret, namespace))
    return Line(name, State.OK, f"exists in {namespace}")


def _create(secret: Secret, namespace: str) -> str:
    start = "kubectl create secret"
    if secret.pulls_images:
        login = "--docker-server=HOST --docker-username=NAME --docker-password=PASSWORD"
        return f"{start} docker-registry {secret.name} --namespace {namespace} {login}"
    keys = " ".join(f"--from-literal={key}=..." for key in secret.keys or ("KEY",))
    return f"{start} generic {secret.name} --namespace {namespace} {keys}"
