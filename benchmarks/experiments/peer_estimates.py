"""Runs in the peers' environment: what statsmodels and tea-tasting say of the data that `peers.py` wrote.

    python peer_estimates.py FOLDER

Reads `data.npz` and `asked.json` and writes `estimates.json`: name to numbers.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Found = tuple[str, dict[str, float]]


def main(folder: Path) -> None:
    """Computes all estimates."""
    warnings.simplefilter("ignore")
    data = dict(np.load(folder / "data.npz"))
    asked = json.loads((folder / "asked.json").read_text())
    found = dict([*statsmodels(data, asked), *tea_tasting(data)])
    (folder / "estimates.json").write_text(json.dumps(found, default=float))


def statsmodels(data: dict[str, np.ndarray], asked: dict[str, Any]) -> Iterator[Found]:
    """Estimates of statsmodels."""
    from statsmodels.stats import multitest, nonparametric, power, proportion, weightstats

    pair = weightstats.CompareMeans.from_data(data["treatment"], data["control"])
    low, high = pair.tconfint_diff(usevar="unequal")
    yield "statsmodels: Welch's t", {"p_value": pair.ttest_ind(usevar="unequal")[1], "low": low, "high": high}
    x, n, y, m = asked["counts"]
    yield "statsmodels: z of two shares", {"p_value": proportion.proportions_ztest([y, x], [m, n])[1]}
    ranks = nonparametric.rank_compare_2indep(data["treatment"], data["control"], use_t=True)
    low, high = ranks.conf_int()
    yield "statsmodels: rank comparison", {"treatment": ranks.prob1, "low": low - 0.5, "high": high - 0.5}
    for ours, theirs in (("holm", "holm"), ("benjamini-hochberg", "fdr_bh"), ("bonferroni", "bonferroni")):
        values = multitest.multipletests(data["p_values"], method=theirs)[1]
        yield f"statsmodels: {ours}", {str(number): value for number, value in enumerate(values)}
    solver = power.TTestIndPower()
    given = {"effect_size": 0.2, "nobs1": 300, "alpha": 0.05, "ratio": 1.5}
    yield "statsmodels: power of t", {"power": solver.power(**given)}
    shares = proportion.power_proportions_2indep(0.02, 0.1, 3000, ratio=1, alpha=0.05)
    yield "statsmodels: power of z", {"power": shares.power}


def tea_tasting(data: dict[str, np.ndarray]) -> Iterator[Found]:
    """Estimates of tea-tasting."""
    import pyarrow
    import tea_tasting

    names = ("value", "before", "clicks", "views", "clicks_before", "views_before", "hit")
    table = {name: np.concatenate([data[f"control_{name}"], data[f"treatment_{name}"]]) for name in names}
    variant = np.repeat([0, 1], [len(data["control_value"]), len(data["treatment_value"])])
    experiment = tea_tasting.Experiment(
        {
            "mean": tea_tasting.Mean("value", use_t=True, equal_var=False),
            "mean with CUPED": tea_tasting.Mean("value", "before", use_t=True, equal_var=False),
            "ratio": tea_tasting.RatioOfMeans("clicks", "views", use_t=True, equal_var=False),
            "ratio with CUPED": tea_tasting.RatioOfMeans(
                "clicks", "views", "clicks_before", "views_before", use_t=True, equal_var=False
            ),
            "z of two shares": tea_tasting.Proportion("hit", method="norm", correction=False),
            "Mann-Whitney U": tea_tasting.MannWhitneyU("value"),
        }
    )
    found = experiment.analyze(pyarrow.table({"variant": variant, **table}))
    for name, result in found.items():
        yield f"tea-tasting: {name}", _result(result._asdict())


def _result(given: dict[str, Any]) -> dict[str, float]:
    names = {
        "control": "control",
        "treatment": "treatment",
        "effect_size": "difference",
        "effect_size_ci_lower": "low",
        "effect_size_ci_upper": "high",
        "rel_effect_size": "relative",
        "rel_effect_size_ci_lower": "relative_low",
        "rel_effect_size_ci_upper": "relative_high",
        "pvalue": "p_value",
    }
    return {ours: given[theirs] for theirs, ours in names.items() if given.get(theirs) is not None}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
