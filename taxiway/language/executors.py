"""The executors of a compiled pipeline, read once: the containers and importers that carry out tasks.

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
    """Accelerators such as GPUs: their kind, `nvidia.com/gpu`, and how many."""

    kind: str
    count: str

    @classmethod
    def of(cls, accelerator: Json) -> Accelerator:
        """The accelerators that a container has in the compiled pipeline, by newer or older compilers."""
        kind = accelerator.get("resourceType") or accelerator.get("type") or ""
        return cls(kind, str(accelerator.get("resourceCount") or accelerator.get("count") or ""))


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container.

    Attributes:
        image: Its image.
        command: Its program.
        args: The arguments of its program.
        env: Its environment variables.
        requests: What the scheduler uses, by resource (`cpu`, `memory`): requests, or limits without a request.
        accelerator: The accelerators that it takes; None where it takes none.
        written: It as the compiler wrote it, for digests.
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
        """The container that an executor has in the compiled pipeline."""
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
        """Its program with the arguments."""
        return (*self.command, *self.args)

    @property
    def stage(self) -> str:
        """The name of the stage that it runs; empty for any other container."""
        return self.command[3] if len(self.command) == 4 and self.command[1:3] == ("-m", "components") else ""

    @property
    def settings(self) -> Json:
        """What it is but its program, as the compiler wrote it: here placeholders stand for inputs alone."""
        return {name: self.written[name] for name in _SETTINGS if name in self.written}


@dataclass(frozen=True, kw_only=True)
class Importer:
    """Brings an artifact in from where it is.

    Attributes:
        uri: Where that is; empty where a parameter says it.
        parameter: The parameter that says it.
        schema: The artifact's type as Kubeflow has it.
        metadata: The artifact's metadata.
        written: It as the compiler wrote it.
    """

    uri: Any = ""
    parameter: str = ""
    schema: Json
    metadata: Json = field(default_factory=dict)
    written: Json = field(default_factory=dict)

    @classmethod
    def of(cls, importer: Json) -> Importer:
        """The importer that an executor has in the compiled pipeline."""
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
    """What carries out a component that is no DAG.

    Attributes:
        kind: `container`, `importer`, or what open-source Kubeflow does not have.
        container: The container; without an image where it is none.
        importer: The importer; None where it is none.
        written: It as the compiler wrote it, for digests.
    """

    kind: str
    container: Container = field(default_factory=Container)
    importer: Importer | None = None
    written: Json = field(default_factory=dict)

    @classmethod
    def of(cls, executor: Json) -> Executor:
        """The executor that a compiled pipeline has."""
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
