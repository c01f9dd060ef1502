"""What a container with several stages has to do, as JSON in its arguments.

The container's inputs and outputs are those of its members, each under a name that tells whose it is:
`example_gen__examples`. The plan says what that cannot: the members in their order, which artifact each reads, and on
what condition it runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from components.contract.errors import UserError

NAME = "fused"
"""What stands in the container's command where a stage's name would."""

SKIPPED = "skipped_by_condition"
"""In the metadata of an output that was not made: the condition that did not hold."""


@dataclass(frozen=True)
class Source:
    """Where an input of a member comes from.

    Attributes:
        name: The name of an input of the container, or of an earlier member's output.
        member: That member; empty where it is an input of the container.
    """

    name: str
    member: str = ""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One stage of several.

    Attributes:
        name: The name of its task.
        stage: The stage that it runs.
        artifacts: Where its input artifacts come from, by port.
        parameters: Where parameters come from that earlier members give; the others are inputs of the container.
        condition: It runs where this holds; always where empty.
        compared: Where the parameters in the condition come from.
        cached: Whether what it made in another run may be used.
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
        """How the names of its inputs and outputs begin, as those of the container."""
        return prefix(self.name)

    def own(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """Of values by the container's names those of this member, by its own."""
        return {name.removeprefix(self.prefix): each for name, each in named.items() if name.startswith(self.prefix)}


def prefix(task: str) -> str:
    """How the names begin that belong to a task."""
    return f"{task.replace('-', '_')}__"


def written(members: Sequence[Member]) -> str:
    """A plan as text."""
    found = [{name: value for name, value in asdict(member).items() if value} for member in members]
    return json.dumps(found, separators=(",", ":"))


def read(text: str) -> list[Member]:
    """The plan that a text is.

    Raises:
        UserError: It is none of this version.
    """
    try:
        return [_member(**document) for document in json.loads(text)]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"--plan is no plan of this version: {error}", fix="compile the pipeline with this version of Taxiway"
        ) from error


def _member(**document: Any) -> Member:
    sources = {name: _sources(document.get(name, {})) for name in ("artifacts", "parameters", "compared")}
    return Member(**{**document, **sources, "variables": tuple(document.get("variables", ()))})


def _sources(documents: Mapping[str, Any]) -> dict[str, Source]:
    return {name: Source(**document) for name, document in documents.items()}
