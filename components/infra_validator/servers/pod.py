"""A model server in a Kubernetes pod."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.contract.errors import ServiceError, UserError
from components.execution.pushed_models import open_destination
from components.infra_validator.servers.platforms import Kubernetes
from components.infra_validator.servers.server import GRPC_PORT, MODEL_NAME
from components.processes.reaper import Reaper

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
_LIFETIME_SECONDS = 6 * 3600
"""Kubernetes terminates the pod after this time, in case the stage was killed together with its container."""

_LOG_LINES = 200
_USER = 65534
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")


class PodServer:
    """A pod that reads a copy of the candidate, which the stage has written for it."""

    def __init__(self, settings: Kubernetes, base: Path) -> None:
        self._pods = connected()
        self._image = settings.image
        self._namespace = settings.namespace or _own_namespace()
        self._name = f"taxiway-infra-validator-{uuid.uuid4().hex[:12]}"
        staged = f"{settings.staging.rstrip('/')}/{self._name}"
        self._reaper = Reaper(__name__, self._namespace, self._name, staged)
        try:
            _copy(base, staged)
            self._create(manifest(settings, self._name, staged))
        except BaseException:
            self._reaper.reap()
            raise

    def address(self) -> str | None:
        """The pod's address, once its container runs."""
        status = self._pods.read_namespaced_pod(self._name, self._namespace).status
        self._require_image(status)
        if status.phase != "Running" or not status.pod_ip:
            return None
        host = f"[{status.pod_ip}]" if ":" in status.pod_ip else status.pod_ip
        return f"{host}:{GRPC_PORT}"

    def ended(self) -> str:
        """How the pod ended; empty while it is pending or running."""
        status = self._pods.read_namespaced_pod(self._name, self._namespace).status
        if status.phase not in ("Failed", "Succeeded"):
            return ""
        ends = [state.terminated for each in status.container_statuses or [] if (state := each.state).terminated]
        how = [f"{end.reason} with status {end.exit_code}" for end in ends] or [status.message or status.phase]
        return f"the pod ended: {', '.join(how)}"

    def log(self) -> str:
        """The last lines of its output."""
        with contextlib.suppress(ApiException):
            return str(self._pods.read_namespaced_pod_log(self._name, self._namespace, tail_lines=_LOG_LINES))
        return ""

    def stop(self) -> None:
        """Deletes the pod and the copy."""
        self._reaper.reap()

    def _create(self, body: dict[str, Any]) -> None:
        try:
            self._pods.create_namespaced_pod(self._namespace, body)
        except ApiException as error:
            kind = UserError if error.status in (400, 403, 404, 422) else ServiceError
            raise kind(
                f"cannot create a pod in the namespace {self._namespace}: {error.status} {error.reason} {error.body}",
                fix="check serving.kubernetes, and the permissions of the stage's service account",
            ) from error
        except HTTPError as error:
            raise ServiceError(
                f"the Kubernetes API does not answer: {error}", fix="check the cluster, and run again"
            ) from error

    def _require_image(self, status: Any) -> None:
        for each in status.container_statuses or []:
            waiting = each.state.waiting
            if waiting and waiting.reason in _NO_IMAGE:
                raise UserError(
                    f"the image {self._image!r} cannot be pulled: {waiting.message or waiting.reason}",
                    fix="correct serving.kubernetes.image, or give the service account a pull secret",
                )


def manifest(settings: Kubernetes, name: str, staged: str) -> dict[str, Any]:
    """The pod's manifest; it complies with the `restricted` Pod Security Standard."""
    environment = {"MODEL_NAME": MODEL_NAME, "MODEL_BASE_PATH": staged, **settings.environment}
    container: dict[str, Any] = {
        "name": "model-server",
        "image": settings.image,
        "args": settings.args,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "ports": [{"containerPort": GRPC_PORT, "name": "grpc"}],
        "resources": settings.resources,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": _LIFETIME_SECONDS,
        "securityContext": {"runAsNonRoot": True, "runAsUser": _USER, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    if settings.volume_claim:
        container["volumeMounts"] = [{"name": "staging", "mountPath": settings.staging, "readOnly": True}]
        claim = {"claimName": settings.volume_claim, "readOnly": True}
        spec["volumes"] = [{"name": "staging", "persistentVolumeClaim": claim}]
    if settings.service_account:
        spec["serviceAccountName"] = settings.service_account
    # Kubeflow's namespaces inject a proxy into every pod, which would intercept the stage's requests.
    labels = {"app.kubernetes.io/name": "taxiway-infra-validator", "sidecar.istio.io/inject": "false"}
    metadata = {"name": name, "labels": labels, "ownerReferences": _owners()}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _owners() -> list[dict[str, Any]]:
    """The stage's own pod, from Kubeflow's environment variables: deleting it deletes the server's pod too."""
    name, uid = os.environ.get("KFP_POD_NAME"), os.environ.get("KFP_POD_UID")
    return [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}] if name and uid else []


def _own_namespace() -> str:
    return _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.is_file() else "default"


def connected() -> client.CoreV1Api:
    """The API of the cluster that this pod runs in, or else of the kubeconfig's."""
    try:
        if os.environ.get(_IN_CLUSTER):
            config.load_incluster_config()
        else:
            config.load_kube_config(os.environ.get("KUBECONFIG"))
    except (config.ConfigException, OSError) as error:
        raise UserError(
            f"there is no Kubernetes cluster to serve the candidate in: {error}",
            fix="run in a cluster, set KUBECONFIG, or change `serving`",
        ) from error
    return client.CoreV1Api()


def _copy(base: Path, staged: str) -> None:
    place = open_destination(staged)
    try:
        place.file_system.put(str(base), f"{place.path}/{MODEL_NAME}", recursive=True)
    except Exception as error:
        # Each driver has its own exceptions, from libraries that only it imports.
        raise ServiceError(
            f"the candidate cannot be copied to {staged}: {type(error).__name__}: {error}",
            fix="check serving.kubernetes.staging, its credentials and its free space",
        ) from error


def remove(namespace: str, name: str, staged: str) -> None:
    """Deletes a pod and its copy of the candidate, if they exist."""
    try:
        connected().delete_namespaced_pod(name, namespace, grace_period_seconds=0)
    except ApiException as error:
        if error.status != 404:
            raise
    finally:
        place = open_destination(staged)
        with contextlib.suppress(FileNotFoundError):
            place.file_system.rm(place.path, recursive=True)
