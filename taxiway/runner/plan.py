"""Computes the cache key of a task from everything that its outputs depend on, and where its outputs are kept."""

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
    """A task with its cache key.

    Attributes:
        call: The task.
        named: Its parameters that have a role.
        parts: Everything that its outputs depend on, in readable form.
        key: The cache key: the digest of the parts.
        folder: Where its outputs are kept.
    """

    call: Call
    named: list[Parameter]
    parts: Json
    key: str
    folder: Path


def plan(context: Context, call: Call) -> Planned:
    """Computes a task's cache key.

    Raises:
        UserError: A file that a parameter names is missing or cannot be read.
    """
    named = _named(context, call)
    parts = _parts(context, call, named)
    if not (context.use_cache and call.task.is_cached):
        # A folder that is separate from those of other runs and iterations.
        parts["run"] = f"{context.run_id}/{call.name}"
    key = text_digest(json.dumps(parts, sort_keys=True))
    place = context.home.artifacts / context.pipeline.name / file_name(re.sub(r"\[\d+\]", "", call.name))
    return Planned(call, named, parts, key, place / key[7:23])


def variables(call: Call, *, secrets: bool = True) -> list[str]:
    """The variables that Kubernetes would set for a task; a local run takes them from its own environment."""
    return [name for name, origin, _ in refusals.variables(call.platform) if secrets or "secret" not in origin.split()]


def _named(context: Context, call: Call) -> list[Parameter]:
    """The parameters of a call that have a role; each member of a fused call sees only its own parameters."""
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
        "inputs": {name: [_artifact_key(a) for a in found] for name, found in call.inputs.artifacts.items()},
        "outputs": call.component.outputs.written,
        "variables": {name: os.environ.get(name) for name in variables(call, secrets=False)},
        "facts": {body: call.facts[body] for body in sorted(set(bodies(container.words))) if body in call.facts},
    }


def _imports(context: Context, call: Call, named: list[Parameter]) -> set[str]:
    """The names that a call's code imports: its stage, the user's modules, and modules that parameters may name."""
    stages = members.stages(call.executor)
    if not stages:
        return imports.of_command(call.executor.container.words)
    modules = (user_modules.imports_behind(module) for module in roles.modules(named))
    own = (context.packages.stage_imports(stage) for stage in stages)
    return set[str]().union(imports.named_in(call.inputs.parameters), *own, *modules)


def _key_variables(variables: list[Json] | None) -> list[Json] | None:
    """The variables that a container's outputs depend on; not the commit, which says only when it was compiled."""
    return variables and [each for each in variables if each["name"] != provenance.COMMIT_VARIABLE]


def _artifact_key(artifact: Json) -> Json:
    """What identifies an input artifact: its content and metadata, but not its location or provenance."""
    metadata = provenance.telling(artifact_of(artifact))
    described: Json = {name: artifact[name] for name in ("name", "type") if name in artifact}
    return {**described, "digest": _digest(artifact), "metadata": metadata}


def _digest(artifact: Json) -> str:
    """The digest of an artifact's content; its URI if it is remote; empty if it has no file, as for metrics."""
    return str(artifact["metadata"].get("digest") or ("://" in artifact["uri"] and artifact["uri"]) or "")
