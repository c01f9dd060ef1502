"""Writes an experiment's settings with what the tables hold, every line explained."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from components.contract.commands import typed
from components.contract.errors import UserError
from components.inference.columns import INPUT, OUTPUT
from components.monitoring.labels import columns as labels
from components.monitoring.labels.sources import named
from components.monitoring.store import LABELS, Store
from taxiway.experiments.data.database import database, register_requests

_ENOUGH = 2
_KEYS = ("user", "rider", "customer", "account", "session", "device", "client")


def settings_file(model: str, store: Store, now: datetime | None = None) -> str:
    """The text of an experiment.yaml for a model.

    Raises:
        UserError: The model has no inference table.
        ServiceError: The tables cannot be read.
    """
    with database() as connection:
        there = register_requests(connection, store)
        if there is None:
            raise UserError(
                f"{model} has no inference table in {store.root}",
                fix="start the proxy or the server with --inference-tables, or name the folder with --tables",
            )
        arms = {
            column: [
                (row[0], row[1])
                for row in connection.execute(
                    f"SELECT {named(column)}, count(*) FROM requests WHERE {named(column)} IS NOT NULL "
                    "GROUP BY 1 ORDER BY 2 DESC LIMIT 8"
                ).fetchall()
            ]
            for column in ("target", "label", "version")
        }
    return _text(model, there, arms, store, now or datetime.now(UTC))


def _text(model: str, there: list[str], arms: dict[str, list[tuple[object, int]]], store: Store, now: datetime) -> str:
    column, values = next(((c, v) for c, v in arms.items() if len(v) >= _ENOUGH), ("target", []))
    names = [value for value, _ in values[:_ENOUGH]] or ["stable", "canary"]
    prefix = "v" if column == "version" else ""
    listed = "\n".join(f"  {prefix}{name}: {{{column}: {name}, share: {1 / len(names):g}}}" for name in names)
    inputs = [name.removeprefix(INPUT) for name in there if name.startswith(INPUT)]
    outcomes = [name.removeprefix(labels.LABEL) for name in labels.outcomes(_label_columns(store))]
    keys = [name for name in inputs if any(word in name.lower() for word in _KEYS)]
    return _TEXT.format(
        model=model,
        use=typed("taxiway experiment look", "experiment.yaml"),
        design=typed("taxiway experiment design", "experiment.yaml"),
        adds=typed("taxiway labels add", model, "outcomes.csv"),
        found="; ".join(_said(name, found) for name, found in arms.items() if found) or "no arm yet",
        arms=listed,
        control=f"{prefix}{names[0]}",
        start=f"{now + timedelta(minutes=1):%Y-%m-%dT%H:%M}:00Z",
        unit=f"feature:{keys[0]}" if keys else "request",
        inputs=", ".join(inputs) or "none yet",
        outputs=", ".join(name for name in there if name.startswith(OUTPUT)) or "none yet",
        outcomes=_OUTCOMES if outcomes else _NO_OUTCOMES,
        metric=_METRIC.format(name=outcomes[0], column=outcomes[0]) if outcomes else _LATENCY,
    )


def _said(name: str, found: list[tuple[object, int]]) -> str:
    return f"{name}s " + ", ".join(f"{value} ({count:,} rows)" for value, count in found)


def _label_columns(store: Store) -> list[str]:
    table = store.open(LABELS)
    return [field.name for field in table.schema().fields] if table else []


_OUTCOMES = """outcomes:
  - {source: labels, name: labels}
window: 1d"""
_NO_OUTCOMES = """# outcomes:
#   - {source: orders.parquet, name: orders, id: request_id, time: ordered_at}
window: 1d"""
_METRIC = "  - {{name: {name}, kind: mean, column: {column}, goal: up}}"
_LATENCY = "  - {name: latency, kind: ratio, column: latency_ms, below: requests, goal: down, unit: ms}"
_TEXT = """\
# An experiment with {model}: {use}
#
# Found in the inference table: {found}
# inputs: {inputs}
# outputs: {outputs}

# Its name: the looks at it are kept by it. Another name is another experiment.
name: {model}-1
model: {model}

# What is expected, and why: it heads the result.
hypothesis: ""

# The arms: requests of a proxy's target, of a label, or of a version; and the share of units that each should get.
arms:
{arms}
control: {control}

# Requests before are no part of it. `end: TIME` ends it.
start: {start}

# What is assigned: request, feature:NAME for an input, or header:NAME, the same as sticky_key in route.yaml. Requests
# of one user are not independent: if users notice the difference, assign users.
unit: {unit}

# Outcomes, from a CSV or Parquet file, a Delta table, SQL over files, or `labels`, which `{adds}` fills;
# joined by request id (id:) or by the unit's key (key:), and counted within the window after a unit's first request.
{outcomes}

# What is compared. kind: proportion, mean, ratio, click-through, conversion, watch time, rank, log loss, precision,
# recall or ndcg. goal: up or down. margin: 0.5 makes it a guardrail, which may not become worse by more than this.
# matters: the least difference that matters. covariate: `before` or an input, for CUPED. unit: the word after figures.
metrics:
{metric}
  - {{name: failed requests, kind: ratio, column: failed, below: requests, goal: down, margin: 0.005}}

# sequential: look as often as you like. fixed: once, at `units`. bayesian: probabilities and expected loss.
method: sequential

# The probability of any false finding, and the planned units of all arms together: run
# `{design}`.
level: 0.05
units: 10000

# Inputs by which the difference is looked at as well.
slices: []

# Experiments that exclude each other, with their shares: {{name: ranking, shares: {{{model}-1: 0.5, other: 0.5}}}}
layer: null

# true for an A/A run: the arms are the same, and nothing may differ.
same: false
"""
