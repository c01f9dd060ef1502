"""The tasks of a DAG that may share a container with others: stages of ours, as they would stand in the DAG itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from components.execution import provenance, stages
from components.execution.executor import CHANNEL
from taxiway.fusion import raw
from taxiway.language.spec import Pipeline
from taxiway.language.values import Json

_KINDS = ("serve", "data", "train")
# The last one in the name of an image.
_KIND = re.compile(rf"\b({'|'.join(_KINDS)})\b(?!.*\b({'|'.join(_KINDS)})\b)")
_INPUT = ["--executor-input", "{{$}}"]
# A value of its settings that only a run can tell.
_FROM_INPUTS = ("{{$", "componentInputParameter", "taskOutputParameter")
_PLAIN = {"cachingOptions", "componentRef", "dependentTasks", "inputs", "retryPolicy", "taskInfo"}


@dataclass(frozen=True)
class Condition:
    """The condition around a task.

    Attributes:
        name: The name of the condition's own task.
        text: The condition.
        compared: The sources of the parameters in it, and their definitions.
    """

    name: str
    text: str
    compared: Mapping[str, tuple[Json, Json]]


@dataclass(frozen=True)
class Part:
    """A task that may be fused.

    Attributes:
        name: Its name.
        task: The task, with its inputs' sources as the DAG knows them.
        component: Its component.
        executor: Its executor.
        platform: What Kubernetes is to add to its pod.
        condition: The condition that it stands in.
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
    def place(self) -> str:
        """What tasks of one pod have in common: the image but for its kind, the node, the security context."""
        image = _KIND.sub("{kind}", self.container["image"])
        settings = {name: value for name, value in self.platform.items() if not isinstance(value, list)}
        return json.dumps([image, settings], sort_keys=True)

    @property
    def size(self) -> int:
        """How much its image holds: each kind has all that those before it have."""
        kind = _KIND.search(self.container["image"])
        return _KINDS.index(kind[0]) if kind else 0

    @property
    def modules(self) -> str:
        """The source of the user's modules that it is given."""
        return str(self.container["args"][3]) if len(self.container.get("args", [])) > 3 else ""

    @property
    def variables(self) -> list[Json]:
        """Its container's environment variables."""
        return list(self.container.get("env", []))

    @property
    def variable_names(self) -> tuple[str, ...]:
        """The environment variables that its outputs may depend on: not secrets, nor the commit."""
        maps = [pair["envVar"] for each in self.platform.get("configMapAsEnv", []) for pair in each["keyToEnv"]]
        own = [each["name"] for each in (*self.variables, *self.platform.get("fieldPathAsEnv", []))]
        return tuple(sorted({*own, *maps} - {provenance.COMMIT_VARIABLE}))

    @property
    def channels(self) -> Json:
        """The sources of what its texts name."""
        given = self.task.get("inputs", {}).get("parameters", {})
        return {name: source for name, source in given.items() if name.startswith(CHANNEL)}


def parts(pipeline: Pipeline, dag: Json, name: str) -> list[Part]:
    """What a task of a DAG is for fusion: one part; several for a condition; none where it has to stay as it is."""
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
    """Whether its texts name no outputs, and it waits for nobody's failure."""
    given = part.task.get("inputs", {}).get("parameters", {})
    return all("componentInputParameter" in source for source in part.channels.values()) and not any(
        "taskFinalStatus" in source or "parameterExpressionSelector" in source for source in given.values()
    )


def _is_condition(dag: Json, name: str, component: Json) -> bool:
    """Whether a task is a condition of plain tasks, which nothing outside needs."""
    task = dag["tasks"][name]
    has_only_this = task.get("triggerPolicy", {}).keys() == {"condition"} and not task.keys() - _PLAIN - {
        "triggerPolicy"
    }
    is_named = task["componentRef"]["name"].startswith("comp-condition-") and raw.is_group(task)
    is_needed = any(name in raw.dependencies(other) for other in dag["tasks"].values())
    gives = component.get("outputDefinitions") or component["dag"].get("outputs")
    return has_only_this and is_named and not is_needed and not gives


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
        raised = _raised(inner[each], task)
        if raised is None or "dag" in inside or inside.get("outputDefinitions", {}).get("parameters"):
            # A parameter that is not given fails a task, and one that was skipped gives none.
            return []
        found.append(_part(pipeline, each, raised, condition))
    return found


def _condition(name: str, task: Json, component: Json) -> Condition | None:
    text = task["triggerPolicy"]["condition"]
    sources = task.get("inputs", {}).get("parameters", {})
    definitions = component.get("inputDefinitions", {}).get("parameters", {})
    named = [each for each in sources if f"['{each}']" in text]
    if "{{$" in text or any("parameterExpressionSelector" in source for source in sources.values()):
        return None
    return Condition(name, text, {each: (sources[each], definitions[each]) for each in named})


def _raised(task: Json, outer: Json) -> Json | None:
    """A task inside of a condition with its sources as the DAG around knows them; None where that cannot be said."""
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
    """The entries of lists in what Kubernetes is to add to several pods, each once."""
    lists = [value for platform in platforms for value in platform.values() if isinstance(value, list)]
    return distinct([entry for each in lists for entry in each])


def distinct(entries: list[Json]) -> list[Json]:
    """Entries in their order, equal ones once."""
    return [entry for index, entry in enumerate(entries) if entry not in entries[:index]]
