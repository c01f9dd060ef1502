"""The tasks of a compiled pipeline: where their inputs come from, when they run, and how they are retried.

Source: kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto, `PipelineTaskSpec`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from taxiway.language.loops import Loop
from taxiway.language.values import Json

_GROUP = re.compile(r"comp-(condition|condition-branches|for-loop|exit-handler)-\d+(-\d+)*")
_AFTER_FAILURES = "ALL_UPSTREAM_TASKS_COMPLETED"


@dataclass(frozen=True)
class Constant:
    """A constant in the compiled pipeline; it may contain placeholders."""

    value: Any


@dataclass(frozen=True)
class FromParent:
    """An input of the task's DAG, or the part of it that a selector selects."""

    name: str
    selector: str | None = None


@dataclass(frozen=True)
class FromTask:
    """An output of another task in the same DAG, or the part of it that a selector selects."""

    task: str
    output: str
    selector: str | None = None


@dataclass(frozen=True)
class FinalStatus:
    """How another task of the same DAG ended."""

    task: str


ParameterSource = Constant | FromParent | FromTask | FinalStatus
ArtifactSource = FromParent | FromTask


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often a task is retried, and the pauses in seconds."""

    times: int = 0
    first_pause: float = 0.0
    factor: float = 2.0
    longest: float = 3600.0

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> RetryPolicy:
        """Reads a task's policy."""
        return cls(
            times=int(policy.get("maxRetryCount", 0)),
            first_pause=_seconds(policy.get("backoffDuration")),
            factor=float(policy.get("backoffFactor", 2)),
            longest=_seconds(policy.get("backoffMaxDuration", "3600s")),
        )


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of a DAG.

    Attributes:
        component: The name of the component that it runs.
        parameters: Where each parameter comes from.
        artifacts: Where each artifact comes from.
        condition: The condition on which it runs; empty for always.
        runs_after_failures: Whether it runs even if a task before it failed.
        after: Tasks that must end first, in addition to those that its inputs come from.
        loop: The loop around it.
        retry: How it is retried.
        is_cached: Whether outputs of earlier runs may be used.
    """

    component: str
    parameters: Mapping[str, ParameterSource] = field(default_factory=dict)
    artifacts: Mapping[str, ArtifactSource] = field(default_factory=dict)
    condition: str = ""
    runs_after_failures: bool = False
    after: tuple[str, ...] = ()
    loop: Loop | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    is_cached: bool = False

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Task:
        """Reads a task."""
        inputs, trigger = task.get("inputs", {}), task.get("triggerPolicy", {})
        return cls(
            component=task["componentRef"]["name"],
            parameters={name: parameter_source(source) for name, source in inputs.get("parameters", {}).items()},
            artifacts={name: _artifact(source) for name, source in inputs.get("artifacts", {}).items()},
            condition=trigger.get("condition", ""),
            runs_after_failures=trigger.get("strategy") == _AFTER_FAILURES,
            after=tuple(task.get("dependentTasks", [])),
            loop=Loop.of(task),
            retry=RetryPolicy.of(task.get("retryPolicy", {})),
            is_cached=bool(task.get("cachingOptions", {}).get("enableCache", False)),
        )

    @property
    def is_group(self) -> bool:
        """Whether it is a condition, a loop or an exit handler, which the compiler named."""
        return bool(_GROUP.fullmatch(self.component))

    @property
    def constants(self) -> Json:
        """The constant parameters, which may contain placeholders."""
        return {name: source.value for name, source in self.parameters.items() if isinstance(source, Constant)}

    @property
    def dependencies(self) -> list[str]:
        """The tasks in the same DAG that must end before this one."""
        sources = (*self.parameters.values(), *self.artifacts.values())
        return sorted({*self.after, *(each.task for each in sources if isinstance(each, FromTask | FinalStatus))})


def parameter_source(source: Mapping[str, Any]) -> ParameterSource:
    """Reads where a parameter comes from."""
    selector = source.get("parameterExpressionSelector")
    if "runtimeValue" in source:
        return Constant(source["runtimeValue"]["constant"])
    if "componentInputParameter" in source:
        return FromParent(source["componentInputParameter"], selector)
    if "taskFinalStatus" in source:
        return FinalStatus(source["taskFinalStatus"]["producerTask"])
    wanted = source["taskOutputParameter"]
    return FromTask(wanted["producerTask"], wanted["outputParameterKey"], selector)


def _artifact(source: Mapping[str, Any]) -> ArtifactSource:
    if "componentInputArtifact" in source:
        return FromParent(source["componentInputArtifact"])
    wanted = source["taskOutputArtifact"]
    return FromTask(wanted["producerTask"], wanted["outputArtifactKey"])


def _seconds(duration: str | None) -> float:
    return float((duration or "0s").removesuffix("s"))
