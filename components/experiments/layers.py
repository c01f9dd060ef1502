"""Layers: experiments in one layer never share a user, and those of different layers do not depend on each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.contract.errors import UserError
from components.experiments.hashing import by_key

_NOBODY = ""


@dataclass(frozen=True)
class Experiment:
    """An experiment in a layer.

    Attributes:
        share: The share of the layer's users that take part.
        arms: The weight of each arm.
    """

    share: float
    arms: Mapping[str, float]


@dataclass(frozen=True)
class Layer:
    """Experiments that exclude each other.

    Tang, Agarwal, O'Brien and Meyer, "Overlapping experiment infrastructure" (KDD 2010). The names of a layer and of an
    experiment are part of the hash, so that who takes part in one layer says nothing about another one. A share that
    grows adds users and takes none out, as long as the others of the layer do not grow.

    Attributes:
        name: Its name; two layers with one name would have the same users.
        experiments: The experiments by name.
    """

    name: str
    experiments: Mapping[str, Experiment]

    def __post_init__(self) -> None:
        if not self.name:
            raise UserError("a layer has no name", fix="give it one, such as ranking")
        total = sum(each.share for each in self.experiments.values())
        if any(not 0 <= each.share <= 1 for each in self.experiments.values()) or total > 1 + 1e-9:
            raise UserError(
                f"the shares of layer {self.name!r} sum to {total:g}", fix="use shares between 0 and 1 with a sum of 1"
            )
        for name, each in self.experiments.items():
            if not name or not any(weight > 0 for weight in each.arms.values()):
                raise UserError(f"experiment {name!r} has no arm with a weight", fix="give one arm or more a weight")


def assigned(layer: Layer, key: str) -> tuple[str, str] | None:
    """The experiment and the arm of a user in a layer; None if the user takes part in none."""
    experiment = _experiment(layer, key)
    if experiment is None:
        return None
    return experiment, arm(experiment, layer.experiments[experiment].arms, key)


def arm(experiment: str, weights: Mapping[str, float], key: str) -> str:
    """The arm of a user who takes part in an experiment."""
    salted = {f"{experiment}\0{name}": weight for name, weight in weights.items()}
    return by_key(key.encode(), salted).partition("\0")[2]


def _experiment(layer: Layer, key: str) -> str | None:
    shares = {f"{layer.name}\0{name}": each.share for name, each in layer.experiments.items()}
    rest = max(0.0, 1 - sum(shares.values()))
    if rest < 1e-9:
        rest = 0.0
    found = by_key(key.encode(), {**shares, f"{layer.name}\0{_NOBODY}": rest}).partition("\0")[2]
    return found or None
