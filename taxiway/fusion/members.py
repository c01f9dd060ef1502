"""The members of a fused task, as the tasks that they were: for what looks at stages one by one."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.execution.executor import CHANNEL
from components.fused import plan
from components.fused.plan import Member, Source
from taxiway.language import spec
from taxiway.language.spec import Json, Pipeline


@dataclass(frozen=True)
class Unfused:
    """One member of a fused task.

    Attributes:
        member: The member.
        task: Its task: what it is given from outside of the container is given to it, by its own names.
        component: Its component. An artifact that it reads has the type of what it comes from.
        executor: Its executor, in the container's image.
    """

    member: Member
    task: Json
    component: Json
    executor: Json


def is_fused(executor: Mapping[str, Any]) -> bool:
    """Whether a container runs several stages."""
    return spec.stage_name(executor) == plan.NAME


def stages(executor: Mapping[str, Any]) -> list[str]:
    """The stages that a container runs: one, several, or none where it is no stage of ours."""
    if is_fused(executor):
        return [member.stage for member in _plan(executor)]
    return [name] if (name := spec.stage_name(executor)) else []


def members(task: Json, component: Json, executor: Json) -> list[Unfused]:
    """The members of a fused task, in their order."""
    return [Unfused(each, *_parts(each, task, component, executor)) for each in _plan(executor)]


def unfused(pipeline: Pipeline) -> Pipeline:
    """A pipeline with the members of fused tasks as tasks of their own; those on a condition have none."""
    changed = copy.deepcopy(pipeline)
    for component in [changed.spec["root"], *list(changed.spec["components"].values())]:
        for name, task in list(component.get("dag", {}).get("tasks", {}).items()):
            inner = pipeline.component(task)
            if "dag" not in inner and is_fused(executor := pipeline.executor(inner)):
                _take_apart(changed, component["dag"], name, members(task, inner, executor))
    return changed


def _plan(executor: Mapping[str, Any]) -> list[Member]:
    words = executor["container"].get("args", [])
    return plan.read(next((text for option, text in itertools.pairwise(words) if option == "--plan"), ""))


def _parts(member: Member, task: Json, component: Json, executor: Json) -> tuple[Json, Json, Json]:
    given = {kind: task.get("inputs", {}).get(kind, {}) for kind in ("parameters", "artifacts")}
    own = member.own(given["parameters"])
    inputs = {
        "parameters": {name: source for name, source in given["parameters"].items() if _is_named(name, own)}
        | own
        | {name: _inner(source, "Parameter") for name, source in member.parameters.items()},
        "artifacts": {
            name: _inner(source, "Artifact") if source.member else given["artifacts"][source.name]
            for name, source in member.artifacts.items()
            if source.member or source.name in given["artifacts"]
        },
    }
    container = {**executor["container"], "command": ["python", "-m", "components", member.stage]}
    return {**task, "inputs": inputs}, _component(member, component), {"container": container}


def _is_named(name: str, inputs: Json) -> bool:
    """Whether texts among some inputs name an input that the compiler added for them; it has its name still."""
    return name.startswith(CHANNEL) and f"['{name}']" in json.dumps(inputs)


def _component(member: Member, component: Json) -> Json:
    inputs, outputs = component.get("inputDefinitions", {}), component.get("outputDefinitions", {})
    read = {
        name: outputs["artifacts"][plan.prefix(source.member) + source.name]
        if source.member
        else inputs["artifacts"][source.name]
        for name, source in member.artifacts.items()
    }
    return {
        "inputDefinitions": {"parameters": member.own(inputs.get("parameters", {})), "artifacts": read},
        "outputDefinitions": {kind: member.own(found) for kind, found in outputs.items()},
    }


def _inner(source: Source, kind: str) -> Json:
    return {f"taskOutput{kind}": {"producerTask": source.member, f"output{kind}Key": source.name}}


def _take_apart(pipeline: Pipeline, dag: Json, name: str, found: list[Unfused]) -> None:
    del dag["tasks"][name]
    before: list[str] = []
    for each in found:
        label = f"{name}/{each.member.name}"
        pipeline.spec["components"][label] = {**each.component, "executorLabel": label}
        pipeline.spec["deploymentSpec"]["executors"][label] = each.executor
        after = [*each.task.get("dependentTasks", []), *before]
        dag["tasks"][each.member.name] = {**each.task, "componentRef": {"name": label}, "dependentTasks": after}
        before = [each.member.name]
    _rewire(dag, name, found)


def _rewire(dag: Json, name: str, found: list[Unfused]) -> None:
    """Lets what reads from the fused task read from the members."""
    for task in dag["tasks"].values():
        waits = [found[-1].member.name if other == name else other for other in task.get("dependentTasks", [])]
        task.update({"dependentTasks": waits} if waits else {})
    for source in spec.references(dag):
        task_key = "producerTask" if "producerTask" in source else "producerSubtask"
        output = next((key for key in ("outputParameterKey", "outputArtifactKey") if key in source), "")
        if source[task_key] == name and output:
            maker = next(each.member for each in found if source[output].startswith(each.member.prefix))
            source[task_key], source[output] = maker.name, source[output].removeprefix(maker.prefix)
