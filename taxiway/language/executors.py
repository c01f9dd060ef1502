"""The executors of a compiled pipeline: the containers and importers that run its tasks.

Source: kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto, `PipelineDeploymentConfig`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from taxiway.language.values import Json

_RESOURCES = {"cpu": "resourceCpu", "memory": "resourceMemory"}
_SETTINGS = ("image", "env", "resources")


@dataclass(frozen=True)
class Accelerator:
    """The kind of an accelerator, such as `nvidia.com/gpu`, and the number of them."""

    kind: str
    count: str

    @classmethod
    def of(cls, accelerator: Json) -> Accelerator:
        """Reads a container's accelerators, as newer or older compilers write them."""
        kind = accelerator.get("resourceType") or accelerator.get("type") or ""
        return cls(kind, str(accelerator.get("resourceCount") or accelerator.get("count") or ""))


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container.

    Attributes:
        image: Its image.
        command: Its command.
        args: The arguments of the command.
        env: Its environment variables.
        requests: The request for each resource (`cpu`, `memory`), or the limit if there is no request.
        accelerator: Its accelerators; None if it uses none.
        written: The original definition, for digests.
    """

    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    accelerator: Accelerator | None = None
    written: Json = field(default_factory=dict)

    @classmethod
    def of(cls, container: Json) -> Container:
        """Reads an executor's container."""
        resources = container.get("resources", {})
        return cls(
            image=container["image"],
            command=tuple(container.get("command", [])),
            args=tuple(container.get("args", [])),
            env={variable["name"]: variable.get("value", "") for variable in container.get("env", [])},
            requests=_requests(resources),
            accelerator=Accelerator.of(resources["accelerator"]) if resources.get("accelerator") else None,
            written=container,
        )

    @property
    def words(self) -> tuple[str, ...]:
        """Its whole command line."""
        return (*self.command, *self.args)

    @property
    def stage(self) -> str:
        """The name of the stage that it runs; empty for any other container."""
        return self.command[3] if len(self.command) == 4 and self.command[1:3] == ("-m", "components") else ""

    @property
    def settings(self) -> Json:
        """The original definition without the command; placeholders in it refer to inputs only."""
        return {name: self.written[name] for name in _SETTINGS if name in self.written}


@dataclass(frozen=True, kw_only=True)
class Importer:
    """Imports an existing artifact.

    Attributes:
        uri: The artifact's URI; empty if a parameter has it.
        parameter: The parameter that has the URI.
        schema: The artifact's type in Kubeflow's form.
        metadata: The artifact's metadata.
        written: The original definition.
    """

    uri: Any = ""
    parameter: str = ""
    schema: Json
    metadata: Json = field(default_factory=dict)
    written: Json = field(default_factory=dict)

    @classmethod
    def of(cls, importer: Json) -> Importer:
        """Reads an executor's importer."""
        source = importer["artifactUri"]
        return cls(
            uri=source.get("constant"),
            parameter=source.get("runtimeParameter", ""),
            schema=importer["typeSchema"],
            metadata=importer.get("metadata", {}),
            written=importer,
        )


@dataclass(frozen=True, kw_only=True)
class Executor:
    """What runs a component that is not a DAG.

    Attributes:
        kind: `container`, `importer`, or a kind that open-source Kubeflow does not support.
        container: The container; for other kinds, one without an image.
        importer: The importer; None for other kinds.
        written: The original definition, for digests.
    """

    kind: str
    container: Container = field(default_factory=Container)
    importer: Importer | None = None
    written: Json = field(default_factory=dict)

    @classmethod
    def of(cls, executor: Json) -> Executor:
        """Reads an executor."""
        return cls(
            kind=next(iter(executor), "none"),
            container=Container.of(executor["container"]) if "container" in executor else Container(),
            importer=Importer.of(executor["importer"]) if "importer" in executor else None,
            written=executor,
        )

    @property
    def stage(self) -> str:
        """The name of the stage that it runs; empty for anything else."""
        return self.container.stage

    @property
    def modules(self) -> frozenset[str]:
        """The sources of the user's modules that its stage gets as `--modules`."""
        options = itertools.pairwise(self.container.args if self.stage else ())
        return frozenset(text for option, text in options if option == "--modules")


def _requests(resources: Json) -> dict[str, str]:
    wanted = {name: resources.get(f"{key}Request") or resources.get(f"{key}Limit") for name, key in _RESOURCES.items()}
    return {name: str(value) for name, value in wanted.items() if value}
