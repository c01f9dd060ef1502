"""The stage's artifacts: `comparison.json`, and the blessing with its reason."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import ModelBlessing, ModelComparison
from components.contract.files import whole_folder
from components.execution.provenance import VERDICT
from components.judge.verdict import Decision, Gain, Rule

if TYPE_CHECKING:
    from components.judge.compare import Comparison

COMPARISON = "comparison.json"
"""The artifact's file."""


def write(
    comparison: ModelComparison, blessing: ModelBlessing, found: Comparison, rule: Rule, decision: Decision
) -> None:
    """Writes both artifacts, and their metadata."""
    said = f"{decision.verdict}: {decision.reason}"
    print(f"judge: {said}", flush=True)
    with whole_folder(comparison.path) as folder, whole_folder(blessing.path) as marker:
        (folder / COMPARISON).write_text(json.dumps(_document(found, rule, decision), indent=1) + "\n")
        # With the reason in it, the lineage can tell it from the evaluator's, which is empty.
        (marker / ("BLESSED" if decision.blessed else "NOT_BLESSED")).write_text(f"{said}\n")
    comparison.metadata.update(_metrics(found.gains))
    comparison.metadata[VERDICT] = said
    blessing.metadata.update({"blessed": int(decision.blessed), VERDICT: said})
    blessing.summarize("judge", said)
    if not decision.blessed:
        blessing.metadata["not_blessed"] = said


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
