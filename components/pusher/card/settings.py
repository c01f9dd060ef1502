"""What only people know about a model: `model_card.yaml` beside the pipeline, or the stage's parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.contract.settings import named, typed

_WHERE = "model_card"


@dataclass(frozen=True)
class Settings:
    """What a card says besides what the lineage knows.

    Attributes:
        name: The model's name; default: the last part of its destination.
        overview: What it is for, in a sentence; default: the pipeline's docstring.
        documentation: More about it.
        owners: Who answers for it: names, or `name <contact>`.
        licence: An SPDX identifier, such as `Apache-2.0`, or the text of a licence of your own.
        references: URLs with more about it.
        citations: How to cite it.
        users: Who is meant to use it.
        use_cases: What for.
        limitations: Where it is weak.
        tradeoffs: What it gives up for what.
        risks: Ethical risks, each with what is done about it.
        sensitive: Sensitive data in what it was trained on.
    """

    name: str = ""
    overview: str = ""
    documentation: str = ""
    owners: list[str] = field(default_factory=list)
    licence: str = ""
    references: list[str] = field(default_factory=list)
    citations: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    use_cases: list[str] = field(default_factory=list)
    limitations: list[str] = field(default_factory=list)
    tradeoffs: list[str] = field(default_factory=list)
    risks: dict[str, str] = field(default_factory=dict)
    sensitive: list[str] = field(default_factory=list)


def parse(given: Mapping[str, Any]) -> Settings:
    """The settings in a map.

    Raises:
        UserError: There is no such setting, or a value has the wrong type.
    """
    return typed(named(given, Settings, _WHERE), Settings, _WHERE)
