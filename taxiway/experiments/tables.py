"""The tables of a model's experiments: <root>/<model>/experiments/looks and .../weights, which Delta readers read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from components.inference.columns import field
from components.monitoring.store import Store

LOOKS, WEIGHTS = "experiments/looks", "experiments/weights"

_TIME = pa.timestamp("us", "UTC")

SCHEMAS = {
    LOOKS: pa.schema(
        [
            field("experiment", pa.string(), "the experiment's name"),
            field("model", pa.string(), "the model's name"),
            field("time", _TIME, "when it was looked at"),
            field("until", _TIME, "the time up to which rows were counted"),
            field("by", pa.string(), "look, report or bandit"),
            field("settings", pa.string(), "the digest of the settings: another one is another experiment"),
            field("method", pa.string(), "sequential, fixed or bayesian"),
            field("layer", pa.string(), "its layer; empty for none"),
            field("started", _TIME, "when the experiment began"),
            field("ended", _TIME, "when it ended; null while it runs"),
            field("decision", pa.string(), "ship, stop, same, wait or invalid"),
            field("sentence", pa.string(), "the decision in words"),
            field("units", pa.int64(), "units that were compared"),
            field("mismatch", pa.float64(), "the p-value of the sample-ratio mismatch at this look"),
            field("found", pa.string(), "the differences and their intervals, as JSON"),
        ]
    ),
    WEIGHTS: pa.schema(
        [
            field("experiment", pa.string(), "the experiment's name"),
            field("time", _TIME, "from when on"),
            field("weights", pa.string(), "the share of each arm, as JSON"),
            field("policy", pa.string(), "what set them: thompson, ucb or epsilon-greedy"),
            field("reason", pa.string(), "the rewards by which they were set"),
        ]
    ),
}
"""The columns of the tables."""


def append(store: Store, name: str, row: Mapping[str, Any]) -> None:
    """Adds a row; raises ServiceError if the store is away."""
    store.append(name, pa.Table.from_pylist([dict(row)], schema=SCHEMAS[name]))


def rows(store: Store, name: str, experiment: str | None = None) -> list[dict[str, Any]]:
    """The rows of an experiment, or of all, in the order of time."""
    filters = [("experiment", "=", experiment)] if experiment else []
    found: list[dict[str, Any]] = store.read(name, filters).to_pylist()
    return sorted(found, key=lambda row: row["time"])


def steps(store: Store, experiment: str) -> list[tuple[datetime, dict[str, float]]]:
    """The weights that a bandit has set, and from when on."""
    return [(row["time"], json.loads(row["weights"])) for row in rows(store, WEIGHTS, experiment)]
