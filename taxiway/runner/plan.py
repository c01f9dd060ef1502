"""What a task's outputs depend on, and so whether there are some already, and where new ones will lie."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from components.contract.digests import text_digest
from components.execution import provenance
from components.user_code import user_modules
from taxiway.checks import refusals, roles
from taxiway.checks.roles import Parameter
from taxiway.fusion import members
from taxiway.language.placeholders import bodies
from taxiway.language.values import Json
from taxiway.packages import imports
from taxiway.runner.call import Call, Context, file_name
from taxiway.runner.outputs import artifact_of


@dataclass(frozen=True)
class Planned:
    """A task that is about to be found in the cache, or to run.

    Attributes:
        call: The task.
        named: Its parameters that have a role.
        parts: Everything that its outputs depend on, readable.
        key: The digest of these.
        folder: Where its outputs are kept.
    """

    call: Call
    named: list[Parameter]
    parts: Json
    key: str
    folder: Path


def plan(context: Context, call: Call) -> Planned:
    """Says what a task's outputs depend on.

    Raises:
        UserError: An input that the call names is missing or cannot be read.
    """
    named = _named(context, call)
    parts = _parts(context, call, named)
    if not (context.use_cache and call.task.is_cached):
        # Its own folder: what other runs made stays theirs, and so does what the turns of a loop make.
        parts["run"] = f"{context.run_id}/{call.name}"
    key = text_digest(json.dumps(parts, sort_keys=True))
    place = context.home.artifacts / context.pipeline.name / file_name(re.sub(r"\[\d+\]", "", call.name))
    return Planned(call, named, parts, key, place / key[7:23])


def variables(call: Call, *, secrets: bool = True) -> list[str]:
    """The variables that Kubernetes would give a task, and the environment of the run gives here."""
    return [name for name, origin, _ in refusals.variables(call.platform) if secrets or "secret" not in origin.split()]


def _named(context: Context, call: Call) -> list[Parameter]:
    """The parameters of a call that have a role; for each member of a fused one those beside it are its own."""
    if not members.is_fused(call.executor):
        return roles.of_task(context.pipeline, call.task, call.component, call.inputs.parameters)
    return [
        replace(parameter, name=each.member.prefix + parameter.name)
        for each in members.members(call.task, call.component, call.executor)
        for parameter in roles.of_task(
            context.pipeline, each.task, each.component, each.member.own(call.inputs.parameters)
        )
    ]


def _parts(context: Context, call: Call, named: list[Parameter]) -> Json:
    container, launcher = call.executor.container, context.launcher
    code = [launcher.identity(stage, container.image) for stage in members.stages(call.executor) or [""]]
    return {
        "container": {name: container.written.get(name) for name in ("command", "args")}
        | {"env": _key_variables(container.written.get("env"))},
        "code": code if members.is_fused(call.executor) else code[0],
        "packages": context.packages.behind(_imports(context, call, named)) if launcher.uses_packages else [],
        "parameters": call.inputs.parameters,
        "named": roles.states(named, context.digests),
        "inputs": {name: [_as_seen(a) for a in found] for name, found in call.inputs.artifacts.items()},
        "outputs": call.component.outputs.written,
        "variables": {name: os.environ.get(name) for name in variables(call, secrets=False)},
        "facts": {body: call.facts[body] for body in sorted(set(bodies(container.words))) if body in call.facts},
    }


def _imports(context: Context, call: Call, named: list[Parameter]) -> set[str]:
    """What the code of a call imports: the stage, the user's modules, and modules that its parameters may name."""
    stages = members.stages(call.executor)
    if not stages:
        return imports.of_command(call.executor.container.words)
    modules = (user_modules.imports_behind(module) for module in roles.modules(named))
    own = (context.packages.stage_imports(stage) for stage in stages)
    return set[str]().union(imports.named_in(call.inputs.parameters), *own, *modules)


def _key_variables(variables: list[Json] | None) -> list[Json] | None:
    """The variables that a container's outputs depend on: the commit is a fact about the pipeline's making."""
    return variables and [each for each in variables if each["name"] != provenance.COMMIT_VARIABLE]


def _as_seen(artifact: Json) -> Json:
    """What a task can tell two artifacts apart by: content and metadata; not where they lie, nor their provenance."""
    metadata = provenance.telling(artifact_of(artifact))
    described: Json = {name: artifact[name] for name in ("name", "type") if name in artifact}
    return {**described, "digest": _digest(artifact), "metadata": metadata}


def _digest(artifact: Json) -> str:
    """The digest of an artifact's content; elsewhere its place, and nothing where no file was written (metrics)."""
    return str(artifact["metadata"].get("digest") or ("://" in artifact["uri"] and artifact["uri"]) or "")
