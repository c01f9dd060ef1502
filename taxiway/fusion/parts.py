"""Finds the tasks of a DAG that may share a container: Taxiway's stages, including those inside of conditions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from components.execution import provenance, stages
from components.execution.executor import CHANNEL
from components.fused import stage_cache
from taxiway.fusion import raw
from taxiway.language.spec import Pipeline
from taxiway.language.values import Json

_KINDS = ("serve", "data", "train")
# Its last occurrence in the name of an image.
_KIND = re.compile(rf"\b({'|'.join(_KINDS)})\b(?!.*\b({'|'.join(_KINDS)})\b)")
_INPUT = ["--executor-input", "{{$}}"]
# In the settings: a value that is known only during a run.
_FROM_INPUTS = ("{{$", "componentInputParameter", "taskOutputParameter")
_PLAIN = {"cachingOptions", "componentRef", "dependentTasks", "inputs", "retryPolicy", "taskInfo"}


@dataclass(frozen=True)
class Condition:
    """The condition around a task.

    Attributes:
        name: The name of the condition's own task.
        text: The condition.
        compared: The source and the definition of each parameter in the condition.
    """

    name: str
    text: str
    compared: Mapping[str, tuple[Json, Json]]


@dataclass(frozen=True)
class Part:
    """A task that may be fused.

    Attributes:
        name: Its name.
        task: The task, with the sources of its inputs relative to the DAG.
        component: Its component.
        executor: Its executor.
        platform: The Kubernetes settings of its pod.
        condition: The condition around it; None if there is none.
    """

    name: str
    task: Json
    component: Json
    executor: Json
    platform: Json
    condition: Condition | None = None

    @property
    def stage(self) -> str:
        """The stage that it runs."""
        return raw.stage(self.executor)

    @property
    def container(self) -> Json:
        """Its container."""
        return dict(self.executor["container"])

    @property
    def pod_key(self) -> str:
        """Equal for tasks that can share a pod: the image without its kind, the node, and the security context."""
        image = _KIND.sub("{kind}", self.container["image"])
        settings = {name: value for name, value in self.platform.items() if not isinstance(value, list)}
        return json.dumps([image, settings], sort_keys=True)

    @property
    def size(self) -> int:
        """The rank of its image: each kind contains the libraries of the kinds before it."""
        kind = _KIND.search(self.container["image"])
        return _KINDS.index(kind[0]) if kind else 0

    @property
    def modules(self) -> str:
        """The inlined source of the user's modules; empty if there is none."""
        return str(self.container["args"][3]) if len(self.container.get("args", [])) > 3 else ""

    @property
    def variables(self) -> list[Json]:
        """Its container's environment variables."""
        return list(self.container.get("env", []))

    @property
    def variable_names(self) -> tuple[str, ...]:
        """The environment variables that its outputs may depend on: not secrets, the commit, or the cache."""
        maps = [pair["envVar"] for each in self.platform.get("configMapAsEnv", []) for pair in each["keyToEnv"]]
        own = [each["name"] for each in (*self.variables, *self.platform.get("fieldPathAsEnv", []))]
        return tuple(sorted({*own, *maps} - {provenance.COMMIT_VARIABLE, *stage_cache.VARIABLES}))

    @property
    def channels(self) -> Json:
        """The sources of the inputs that its placeholders refer to."""
        given = self.task.get("inputs", {}).get("parameters", {})
        return {name: source for name, source in given.items() if name.startswith(CHANNEL)}


def parts(pipeline: Pipeline, dag: Json, name: str) -> list[Part]:
    """The parts of a task: one for a stage, several for a condition, none if it cannot be fused."""
    task = dag["tasks"][name]
    component = raw.component(pipeline, task)
    if "dag" in component:
        found = _of_condition(pipeline, dag, name) if _is_condition(dag, name, component) else []
    else:
        found = [_part(pipeline, name, task)]
    return found if all(_may_be_fused(part) for part in found) else []


def _part(pipeline: Pipeline, name: str, task: Json, condition: Condition | None = None) -> Part:
    component = raw.component(pipeline, task)
    return Part(
        name=name,
        task=task,
        component=component,
        executor=raw.executor(pipeline, component),
        platform=raw.platform(pipeline, component),
        condition=condition,
    )


def _may_be_fused(part: Part) -> bool:
    if "container" not in part.executor or part.stage not in stages.names() or part.task.keys() - _PLAIN:
        return False
    is_free = not stages.load(part.stage).alone and "accelerator" not in part.container.get("resources", {})
    return is_free and _has_plain_words(part.container) and _has_fixed_settings(part) and _has_plain_inputs(part)


def _has_plain_words(container: Json) -> bool:
    words = container.get("args", [])
    return words[:2] == _INPUT and (len(words) == 2 or (len(words) == 4 and words[2] == "--modules"))


def _has_fixed_settings(part: Part) -> bool:
    settings = json.dumps([{name: part.container.get(name) for name in raw.SETTINGS}, part.platform])
    return not any(word in settings for word in _FROM_INPUTS)


def _has_plain_inputs(part: Part) -> bool:
    """Whether its placeholders refer to no outputs of tasks, and it does not read a final status or a selected part."""
    given = part.task.get("inputs", {}).get("parameters", {})
    return all("componentInputParameter" in source for source in part.channels.values()) and not any(
        "taskFinalStatus" in source or "parameterExpressionSelector" in source for source in given.values()
    )


def _is_condition(dag: Json, name: str, component: Json) -> bool:
    """Whether a task is a plain condition without outputs, which no other task depends on."""
    task = dag["tasks"][name]
    is_plain = task.get("triggerPolicy", {}).keys() == {"condition"} and not task.keys() - _PLAIN - {"triggerPolicy"}
    is_condition = task["componentRef"]["name"].startswith("comp-condition-") and raw.is_group(task)
    is_needed = any(name in raw.dependencies(other) for other in dag["tasks"].values())
    outputs = component.get("outputDefinitions") or component["dag"].get("outputs")
    return is_plain and is_condition and not is_needed and not outputs


def _of_condition(pipeline: Pipeline, dag: Json, name: str) -> list[Part]:
    task = dag["tasks"][name]
    component = raw.component(pipeline, task)
    inner = component["dag"]["tasks"]
    condition = _condition(name, task, component)
    if condition is None or inner.keys() & dag["tasks"].keys():
        return []
    found = []
    for each in raw.ordered(component["dag"]):
        inside = raw.component(pipeline, inner[each])
        task_outside = _in_outer_dag(inner[each], task)
        if task_outside is None or "dag" in inside or inside.get("outputDefinitions", {}).get("parameters"):
            # A skipped stage writes no output parameters, and Kubeflow fails a task that does not write them.
            return []
        found.append(_part(pipeline, each, task_outside, condition))
    return found


def _condition(name: str, task: Json, component: Json) -> Condition | None:
    text = task["triggerPolicy"]["condition"]
    sources = task.get("inputs", {}).get("parameters", {})
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    named = [each for each in sources if f"['{each}']" in text]
    if "{{$" in text or any("parameterExpressionSelector" in source for source in sources.values()):
        return None
    return Condition(name, text, {each: (sources[each], definitions[each]) for each in named})


def _in_outer_dag(task: Json, outer: Json) -> Json | None:
    """A task in a condition, with the sources of its inputs relative to the outer DAG; None if one is unknown."""
    inputs: Json = {}
    for kind, key in (("parameters", "componentInputParameter"), ("artifacts", "componentInputArtifact")):
        given = outer.get("inputs", {}).get(kind, {})
        inputs[kind] = {}
        for name, source in task.get("inputs", {}).get(kind, {}).items():
            if key in source and source[key] not in given:
                return None
            inputs[kind][name] = given[source[key]] if key in source else source
    return {**task, "inputs": inputs}


def mounts(platforms: list[Json]) -> list[Json]:
    """The entries of all lists in the Kubernetes settings of several pods, without duplicates."""
    lists = [value for platform in platforms for value in platform.values() if isinstance(value, list)]
    return distinct([entry for each in lists for entry in each])


def distinct(entries: list[Json]) -> list[Json]:
    """The entries without duplicates, in their order."""
    return [entry for index, entry in enumerate(entries) if entry not in entries[:index]]
