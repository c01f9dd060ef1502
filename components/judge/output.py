"""The stage's artifacts: `comparison.json`, and the blessing with its reason."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from components.contract.artifacts import ModelBlessing, ModelComparison
from components.contract.files import whole_folder
from components.execution.provenance import VERDICT
from components.judge.compare import Comparison
from components.judge.verdict import Decision, Gain, Rule

COMPARISON = "comparison.json"
"""The artifact's file."""


def write(
    comparison: ModelComparison, blessing: ModelBlessing, found: Comparison, rule: Rule, decision: Decision
) -> None:
    """Writes both artifacts, and their metadata."""
    print(f"judge: {decision.verdict}: {decision.reason}", flush=True)
    with whole_folder(comparison.path) as folder, whole_folder(blessing.path) as marker:
        (folder / COMPARISON).write_text(json.dumps(_document(found, rule, decision), indent=1) + "\n")
        (marker / ("BLESSED" if decision.blessed else "NOT_BLESSED")).touch()
    comparison.metadata.update(_metrics(found.gains))
    said = {VERDICT: f"{decision.verdict}: {decision.reason}"}
    comparison.metadata.update(said)
    blessing.metadata.update(blessed=int(decision.blessed), **said)
    blessing.summarize("judge", f"{decision.verdict}: {decision.reason}")
    if not decision.blessed:
        blessing.metadata["not_blessed"] = f"{decision.verdict}: {decision.reason}"


def _document(found: Comparison, rule: Rule, decision: Decision) -> dict[str, Any]:
    return {
        **asdict(decision),
        "blessed": decision.blessed,
        "rule": asdict(rule),
        "gains": [asdict(each) for each in found.gains],
        "metrics": {name: values.get("", {}) for name, values in found.values.items()},
        "slices": {name: [asdict(each) for each in slices] for name, slices in found.slices.items()},
    }


def _metrics(gains: list[Gain]) -> dict[str, float]:
    named = {f"{each.name}_{key}": getattr(each, key) for each in gains for key in ("value", "low", "high")}
    found = {name.replace("_value", "_gain"): value for name, value in named.items() if value is not None}
    return {**found, **{f"{each.name}_rows": each.rows for each in gains}}
