"""The same data given to statsmodels and tea-tasting, in an environment of their own: all numbers have to be equal."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environments import python_of
from components.experiments import arms, joint
from components.experiments.compare import corrections, cuped, means, proportions, ranks
from components.experiments.design import Design, of_share, power

OUT = Path(__file__).parents[1] / "out" / "experiments"
PACKAGES = ("statsmodels==0.15.0", "tea-tasting==1.14.0", "pyarrow==25.0.0")
COUNTS = (300, 3000, 370, 3100)
LARGEST = 1e-9
Figure = dict[str, Any]


def measured() -> Iterator[Figure]:
    """For each estimate of a peer, the largest difference of its numbers from ours; or that there are no peers here."""
    try:
        python = python_of(OUT / "peers-venv", PACKAGES)
    except RuntimeError as error:
        yield {"part": "peers", "skipped": f"{' and '.join(PACKAGES)} cannot be installed here: {error}"}
        return
    data = _data()
    own = dict(_own(data))
    theirs = _theirs(python, data, own)
    for name, numbers in theirs.items():
        method = name.partition(": ")[2]
        known = {key: value for key, value in numbers.items() if key in own[method]}
        largest = max(_number(abs(value - own[method][key]) / max(1.0, abs(value))) for key, value in known.items())
        yield {
            "part": "peers",
            "estimate": name,
            "numbers": len(known),
            "largest_difference": f"{largest:.1e}",
            "equal": largest <= LARGEST,
        }


def _number(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _data() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(1)
    data = {
        "control": chance.gamma(2, 1.0, 400),
        "treatment": np.round(chance.gamma(2, 1.1, 350), 1),
        "p_values": chance.random(20) ** 3,
    }
    for arm, size, more in (("control", 900, 0.0), ("treatment", 1100, 0.15)):
        before = chance.normal(10, 2, size)
        views, views_before = (chance.poisson(5, size) + 1.0 for _ in range(2))
        liking = chance.beta(2, 6, size)
        data[f"{arm}_value"] = 0.8 * before + chance.normal(2 + more, 1, size)
        data[f"{arm}_before"] = before
        data[f"{arm}_views"], data[f"{arm}_views_before"] = views, views_before
        data[f"{arm}_clicks"] = chance.binomial(views.astype(int), liking).astype(float)
        data[f"{arm}_clicks_before"] = chance.binomial(views_before.astype(int), liking).astype(float)
        data[f"{arm}_hit"] = (chance.random(size) < 0.2 + more / 5).astype(np.int64)
    return data


def _own(data: Mapping[str, np.ndarray]) -> Iterator[tuple[str, dict[str, float]]]:
    welch = means.welch(arms.of_values(data["control"]), arms.of_values(data["treatment"]))
    yield "Welch's t", dataclasses.asdict(welch)
    yield "rank comparison", dataclasses.asdict(ranks.mann_whitney(data["control"], data["treatment"]))
    for method in corrections.METHODS:
        yield method, dict(_numbered(corrections.METHODS[method](data["p_values"])))
    yield "power of t", {"power": power(Design(0.0, 1.0, treated=0.6), 0.2, 750)}
    yield "power of z", {"power": power(of_share(0.1), 0.02, 6000)}
    yield from _of_users(data)


def _numbered(values: np.ndarray) -> Iterator[tuple[str, float]]:
    """Numbers by their place as text, as JSON has them."""
    yield from ((str(number), float(value)) for number, value in enumerate(values))


def _of_users(data: Mapping[str, np.ndarray]) -> Iterator[tuple[str, dict[str, float]]]:
    def column(name: str) -> list[np.ndarray]:
        return [data[f"{arm}_{name}"] for arm in ("control", "treatment")]

    def columns(*names: str) -> list[joint.Joint]:
        return [joint.of_columns(*each) for each in zip(*map(column, names), strict=True)]

    values = [arms.of_values(each) for each in column("value")]
    yield "mean", dataclasses.asdict(means.welch(*values))
    adjusted = cuped.means(*columns("value", "before"))
    yield "mean with CUPED", dataclasses.asdict(means.welch(adjusted.control, adjusted.treatment))
    yield "ratio", dataclasses.asdict(means.delta(*columns("clicks", "views")))
    adjusted = cuped.ratios(*columns("clicks", "views", "clicks_before", "views_before"))
    yield "ratio with CUPED", dataclasses.asdict(means.welch(adjusted.control, adjusted.treatment))
    yield "Mann-Whitney U", {"p_value": ranks.mann_whitney(*column("value")).p_value}
    hits = [arms.of_counts(each.sum(), len(each)) for each in column("hit")]
    # Its interval is Wald's, which leaves 0 to 1.
    compared = dataclasses.asdict(proportions.z(*hits))
    yield (
        "z of two shares",
        {key: compared[key] for key in ("control", "treatment", "difference", "relative", "p_value")},
    )


def _theirs(
    python: str, data: Mapping[str, np.ndarray], own: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """What the peers say; the z test of statsmodels has counts of its own.

    Its score interval is left out: its cubic has a count of successes where Miettinen and Nurminen have one of units.
    """
    x, n, y, m = COUNTS
    found = proportions.z(arms.of_counts(x, n), arms.of_counts(y, m))
    np.savez(OUT / "data.npz", **data)
    (OUT / "asked.json").write_text(json.dumps({"counts": COUNTS}))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    script = str(Path(__file__).with_name("peer_estimates.py"))
    subprocess.run([python, script, str(OUT)], check=True, env=environment)
    estimates: dict[str, dict[str, float]] = json.loads((OUT / "estimates.json").read_text())
    estimates["statsmodels: p-value of counts"] = estimates.pop("statsmodels: z of two shares")
    own["p-value of counts"] = {"p_value": float(found.p_value)}
    return estimates
