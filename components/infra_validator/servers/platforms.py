"""Where a candidate is served: a setting with one key, `{"local": {}}`, `{"docker": {...}}` or `{"kubernetes": {...}}`.

Other code uses this module too, to check the setting before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.contract.errors import UserError
from components.contract.settings import named, nearest, typed


def _load_once() -> list[str]:
    # By default, TF Serving retries a model that fails to load for five minutes before it reports the failure.
    return ["--max_num_load_retries=0"]


@dataclass(frozen=True)
class Local:
    """Taxiway's model server, as a process beside the stage."""


@dataclass(frozen=True)
class Docker:
    """A container.

    Attributes:
        image: TF Serving's, or one that accepts its MODEL_NAME and MODEL_BASE_PATH and serves gRPC on port 8500.
        args: Arguments for the image's entrypoint.
        environment: More environment variables.
        socket: The URL of the container engine; default: DOCKER_HOST, or else Docker's or Podman's socket.
    """

    image: str
    args: list[str] = field(default_factory=_load_once)
    environment: dict[str, str] = field(default_factory=dict)
    socket: str = ""


@dataclass(frozen=True)
class Kubernetes:
    """A pod.

    Attributes:
        image: As for Docker.
        staging: A folder or URL where the stage can write a copy of the candidate, and the pod can read it.
        volume_claim: The claim that is mounted at the staging folder.
        namespace: The pod's namespace; default: the stage's.
        service_account: The pod's service account.
        resources: `{"requests": {...}, "limits": {...}}`.
        args: Arguments for the image's entrypoint.
        environment: More environment variables.
    """

    image: str
    staging: str
    volume_claim: str = ""
    namespace: str = ""
    service_account: str = ""
    resources: dict[str, dict[str, str]] = field(default_factory=dict)
    args: list[str] = field(default_factory=_load_once)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if ("://" in self.staging) == bool(self.volume_claim):
            raise UserError(
                f"serving.kubernetes.staging is {self.staging!r}, and volume_claim is {self.volume_claim!r}",
                fix="set a folder and the claim that is mounted there, or a URL and no claim",
            )


Platform = Local | Docker | Kubernetes
_PLATFORMS: dict[str, type[Platform]] = {"local": Local, "docker": Docker, "kubernetes": Kubernetes}


def parse(serving: Mapping[str, Any]) -> Platform:
    """The platform that a `serving` setting selects.

    Raises:
        UserError: It selects none or several; or one of its settings is unknown, missing or of the wrong type.
    """
    if len(serving) != 1:
        raise UserError(
            f"serving has {', '.join(map(repr, serving)) or 'no key'}", fix=f"use one of {', '.join(_PLATFORMS)}"
        )
    [(name, settings)] = serving.items()
    if name not in _PLATFORMS:
        raise UserError(f"serving has no {name!r}", fix=nearest(name, _PLATFORMS))
    kind, where = _PLATFORMS[name], f"serving.{name}"
    return typed(named(settings, kind, where), kind, where)
