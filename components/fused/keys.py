"""What the outputs of a member depend on, as far as its container can tell: the same parts as in the runner's keys."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

from components.contract.digests import file_digest, text_digest
from components.execution import executor, provenance, stages
from components.execution.executor import Called
from components.fused.plan import Member

Json = dict[str, Any]

# Facts about the run, not about the stage's output.
_NOT_IN_KEY = {"code", "created", "environment"}
# A dummy commit, because only the digests of modules and files are used.
_COMMIT = {"commit": "", "modified": False}
# The digest of its code is in the key anyway.
_OURS = "taxiway-"


def parts(member: Member, executor_input: Json) -> Json:
    """Everything that a member's outputs depend on.

    Raises:
        UserError: Something that its parameters name is missing or cannot be read; so is an input.
    """
    call = executor.called(stages.load(member.stage).function, executor_input)
    made_by = provenance.activity(member.stage, call.parameters, call.roles, call.inputs, _COMMIT)
    return {
        **{name: value for name, value in made_by.items() if name not in _NOT_IN_KEY},
        "modules": {name: module["digest"] for name, module in made_by["code"]["modules"].items()},
        "files": made_by["code"]["files"],
        "data": _data(call),
        "destinations": _destinations(call),
        "metadata": {name: provenance.telling(artifact) for name, artifact in call.inputs.items()},
        "variables": {name: os.environ.get(name) for name in member.variables},
        "python": sys.version,
        "packages": packages(),
    }


@functools.cache
def packages() -> str:
    """The digest of the installed packages, from the lists of files that pip keeps of them."""
    lists = {record for place in sys.path for record in Path(place).glob("*.dist-info/RECORD")}
    found = {record.parent.name: file_digest(record) for record in lists}
    return text_digest("".join(f"{name}\0{found[name]}\n" for name in sorted(found) if not name.startswith(_OURS)))


def _data(call: Called) -> Json:
    """The versions of the data that parameters name; the commit describes the run."""
    if not (paths := _with_role(call, "Data")):
        return {}
    # The image of the stages that read no data cannot import it.
    from components.versioning import data_versions

    named = {role.name: call.parameters[name] for name, role in call.roles.items()}
    found = {
        name: data_versions.describe(
            call.parameters[name],
            repo=named.get("Repository", ""),
            allow_unversioned=named.get("Unversioned", False),
        )
        for name in paths
    }
    return {name: {**version, "commit": ""} for name, version in found.items()}


def _destinations(call: Called) -> Json:
    """The same relative path is another place in another working folder."""
    found = {name: str(call.parameters[name]) for name in _with_role(call, "Destination")}
    return {name: value if "://" in value else str(Path(value).absolute()) for name, value in found.items()}


def _with_role(call: Called, wanted: str) -> list[str]:
    return [name for name, role in call.roles.items() if role.name == wanted and call.parameters[name]]
