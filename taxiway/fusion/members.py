"""Splits fused tasks into their members, for code that deals with single stages."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from components.execution.executor import CHANNEL
from components.fused import plan
from components.fused.plan import Member, Source
from taxiway.fusion import raw
from taxiway.language.components import ExecutorComponent, Ports
from taxiway.language.executors import Executor
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Task
from taxiway.language.values import Json


@dataclass(frozen=True)
class Unfused:
    """One member of a fused task, as a separate task.

    Attributes:
        member: The member.
        task: Its task, with the parameters that are inputs of the container.
        component: Its component, with the definitions of these parameters.
    """

    member: Member
    task: Task
    component: ExecutorComponent


def is_fused(executor: Executor) -> bool:
    """Whether a container runs several stages."""
    return executor.stage == plan.NAME


def stages(executor: Executor) -> list[str]:
    """The stages that a container runs: one, several, or none if it is not one of Taxiway's."""
    if is_fused(executor):
        return [member.stage for member in _plan(executor.written)]
    return [executor.stage] if executor.stage else []


def members(task: Task, component: ExecutorComponent, executor: Executor) -> list[Unfused]:
    """The members of a fused task, in their order."""
    return [_unfused(member, task, component) for member in _plan(executor.written)]


def _unfused(member: Member, task: Task, component: ExecutorComponent) -> Unfused:
    inputs = Ports.of({"parameters": member.own(component.inputs.written.get("parameters", {}))})
    own = replace(task, parameters=member.own(task.parameters))
    return Unfused(member, own, replace(component, inputs=inputs))


def forget_cache(executor: Json) -> None:
    """Lets a fused container run each of its members, whatever was made before; leaves any other as it is."""
    if raw.stage(executor) == plan.NAME:
        words = executor["container"]["args"]
        place = words.index("--plan") + 1
        words[place] = plan.written([replace(member, cached=False) for member in plan.read(words[place])])


def unfused(pipeline: Pipeline) -> Pipeline:
    """The pipeline with each member of a fused task as a separate task; their conditions are lost."""
    changed = copy.deepcopy(pipeline.spec)
    for component in [changed["root"], *list(changed["components"].values())]:
        for name, task in list(component.get("dag", {}).get("tasks", {}).items()):
            inner = raw.component(pipeline, task)
            if "dag" not in inner and raw.stage(executor := raw.executor(pipeline, inner)) == plan.NAME:
                found = {each.name: (each, *_parts(each, task, inner, executor)) for each in _plan(executor)}
                _split(changed, component["dag"], name, found)
    return replace(pipeline, spec=changed)


def _plan(executor: Json) -> list[Member]:
    words = executor["container"].get("args", [])
    return plan.read(next((text for option, text in itertools.pairwise(words) if option == "--plan"), ""))


def _parts(member: Member, task: Json, component: Json, executor: Json) -> tuple[Json, Json, Json]:
    given = {kind: task.get("inputs", {}).get(kind, {}) for kind in ("parameters", "artifacts")}
    own = member.own(given["parameters"])
    inputs = {
        "parameters": {name: source for name, source in given["parameters"].items() if _is_referenced(name, own)}
        | own
        | {name: _output_of(source, "Parameter") for name, source in member.parameters.items()},
        "artifacts": {
            name: _output_of(source, "Artifact") if source.member else given["artifacts"][source.name]
            for name, source in member.artifacts.items()
            if source.member or source.name in given["artifacts"]
        },
    }
    container = {**executor["container"], "command": ["python", "-m", "components", member.stage]}
    return {**task, "inputs": inputs}, _component(member, component), {"container": container}


def _is_referenced(name: str, inputs: Json) -> bool:
    """Whether placeholders in the inputs refer to this input, which the compiler added and which kept its name."""
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


def _output_of(source: Source, kind: str) -> Json:
    return {f"taskOutput{kind}": {"producerTask": source.member, f"output{kind}Key": source.name}}


def _split(spec: Json, dag: Json, name: str, found: Mapping[str, tuple[Member, Json, Json, Json]]) -> None:
    del dag["tasks"][name]
    before: list[str] = []
    for own, (_, task, component, executor) in found.items():
        label = f"{name}/{own}"
        spec["components"][label] = {**component, "executorLabel": label}
        spec["deploymentSpec"]["executors"][label] = executor
        after = [*task.get("dependentTasks", []), *before]
        dag["tasks"][own] = {**task, "componentRef": {"name": label}, "dependentTasks": after}
        before = [own]
    _rewire(dag, name, [member for member, *_ in found.values()])


def _rewire(dag: Json, name: str, found: list[Member]) -> None:
    """Makes the tasks that read outputs of the fused task read those of its members."""
    for task in dag["tasks"].values():
        waits = [found[-1].name if other == name else other for other in task.get("dependentTasks", [])]
        task.update({"dependentTasks": waits} if waits else {})
    for source in raw.references(dag):
        task_key = "producerTask" if "producerTask" in source else "producerSubtask"
        output = next((key for key in ("outputParameterKey", "outputArtifactKey") if key in source), "")
        if source[task_key] == name and output:
            producer = next(member for member in found if source[output].startswith(member.prefix))
            source[task_key], source[output] = producer.name, source[output].removeprefix(producer.prefix)
