"""What a call names beside its inputs: modules, files, repositories; of a fused call what each of its members does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from components.contract.artifacts import Role
from components.execution import provenance
from components.user_code import custom_ops, user_modules
from components.versioning.dvc_outputs import repository_root
from components.versioning.dvc_revisions import is_url
from taxiway.fusion import members
from taxiway.language import spec
from taxiway.runner.graph import Call, Values

_PATH_ROLES = ("Data", "Destination", "File", "Module")


def single(call: Call) -> list[Call]:
    """A call; of a fused one its members, each as a call of its stage with what is known of its inputs."""
    if not members.is_fused(call.executor):
        return [call]
    return [
        replace(
            call,
            name=each.member.name,
            task=each.task,
            component=each.component,
            executor=each.executor,
            inputs=Values(each.member.own(call.inputs.parameters), call.inputs.artifacts),
        )
        for each in members.members(call.task, call.component, call.executor)
    ]


def covered(call: Call) -> Iterator[Path]:
    """The files that the digests in the records of a call cover."""
    definitions = call.component.get("inputDefinitions", {}).get("parameters", {})
    roles = {name: Role(*spec.mark(definition)) for name, definition in definitions.items()}
    if stage := spec.stage_name(call.executor):
        yield from provenance.covered(stage, call.inputs.parameters, roles)


def imports(call: Call) -> frozenset[str]:
    """What the user's modules that a call names import."""
    return frozenset().union(*map(user_modules.imports, modules(call)))


def modules(call: Call) -> list[str]:
    """The user's modules that a call names."""
    definitions = call.component.get("inputDefinitions", {}).get("parameters", {})
    given = call.inputs.parameters.items()
    return [value for name, value in given if value and spec.mark(definitions.get(name, {}))[0] == "Module"]


def paths(call: Call) -> Iterator[Path]:
    """The files and folders of this machine that a call's parameters and input artifacts name."""
    definitions = call.component.get("inputDefinitions", {}).get("parameters", {})
    for name, value in call.inputs.parameters.items():
        role, _ = spec.mark(definitions.get(name, {}))
        if value and role == "Operations":
            yield from (file.absolute() for file in custom_ops.files(value))
        elif value and role in _PATH_ROLES and "://" not in value:
            path = Path(value).absolute()
            yield path
            if role == "Data":
                yield from _repositories(path, call.inputs.parameters.get("data_repo", ""))
    uris = [artifact["uri"] for found in call.inputs.artifacts.values() for artifact in found]
    yield from (Path(uri).absolute() for uri in uris if "://" not in uri)


def _repositories(path: Path, repo: str) -> Iterator[Path]:
    """Where the version of data is known: the repository around them, and the one that they are named in."""
    if root := repository_root(path, ".git"):
        yield root
    if repo and not is_url(repo):
        yield Path(repo).absolute()
