"""The plan of a container with several stages, as JSON in its arguments.

The container has the inputs and outputs of all its members, prefixed with the member's name: `example_gen__examples`.
The plan has the members in their order, the sources of their inputs, and the conditions on which they run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from components.contract.errors import UserError

NAME = "fused"
"""The name in the container's command, in place of a stage's name."""

SKIPPED = "skipped_by_condition"
"""A property of outputs that were not written: the condition that was false."""


@dataclass(frozen=True)
class Source:
    """Where an input of a member comes from.

    Attributes:
        name: The name of an input of the container, or of an output of an earlier member.
        member: The earlier member; empty for an input of the container.
    """

    name: str
    member: str = ""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One of the stages in the container.

    Attributes:
        name: The name of its task.
        stage: The stage that it runs.
        artifacts: The sources of its input artifacts, by port.
        parameters: The sources of parameters that are outputs of earlier members; all others are container inputs.
        condition: The condition on which it runs; empty for always.
        compared: The sources of the parameters in the condition.
        cached: Whether its outputs of an earlier run may be used.
        variables: The environment variables that its outputs may depend on.
    """

    name: str
    stage: str
    artifacts: Mapping[str, Source] = field(default_factory=dict)
    parameters: Mapping[str, Source] = field(default_factory=dict)
    condition: str = ""
    compared: Mapping[str, Source] = field(default_factory=dict)
    cached: bool = False
    variables: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """The prefix of its inputs and outputs among those of the container."""
        return prefix(self.name)

    def own(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """The values of this member, by its own names, from values by the container's names."""
        return {name.removeprefix(self.prefix): each for name, each in named.items() if name.startswith(self.prefix)}


def prefix(task: str) -> str:
    """The prefix of a task's inputs and outputs among those of the container."""
    return f"{task.replace('-', '_')}__"


def written(members: Sequence[Member]) -> str:
    """A plan as JSON."""
    found = [{name: value for name, value in asdict(member).items() if value} for member in members]
    return json.dumps(found, separators=(",", ":"))


def read(text: str) -> list[Member]:
    """Parses a plan.

    Raises:
        UserError: It is not a plan of this version.
    """
    try:
        return [_member(**document) for document in json.loads(text)]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"--plan is not a plan of this version: {error}", fix="compile the pipeline with this version of Taxiway"
        ) from error


def _member(**document: Any) -> Member:
    sources = {name: _sources(document.get(name, {})) for name in ("artifacts", "parameters", "compared")}
    return Member(**{**document, **sources, "variables": tuple(document.get("variables", ()))})


def _sources(documents: Mapping[str, Any]) -> dict[str, Source]:
    return {name: Source(**document) for name, document in documents.items()}
