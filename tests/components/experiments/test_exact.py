"""Exact sequences of two shares: they hold at every look, from the first unit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import betabinom, binom

from components.contract.errors import UserError
from components.experiments import arms
from components.experiments.exact import shares
from tests.components.experiments.streams import looks


@pytest.mark.parametrize("chance", [0.01, 0.3, 0.5])
@pytest.mark.parametrize("treated", [0.5, 0.1])
def test_equal_shares_differ_in_at_most_a_twentieth_of_runs(chance: float, treated: float) -> None:
    draw = np.random.default_rng(1)
    values = (draw.random((200, 600)) < chance).astype(float)
    found = shares(*looks(values, draw.random((200, 600)) < treated, is_share=True))
    assert (found.p_value <= 0.05).any(-1).mean() <= 0.05
    assert ((found.low > 0) | (found.high < 0)).any(-1).mean() <= 0.05


def test_a_large_difference_is_found_with_few_units() -> None:
    assert shares(arms.of_counts(2, 20), arms.of_counts(18, 20)).p_value < 1e-3
    found = shares(arms.of_counts(200, 1000), arms.of_counts(300, 1000))
    assert 0 < found.low < 0.1 < found.high < 0.2


def test_the_evidence_is_the_mixture_against_the_likeliest_common_share() -> None:
    found = shares(arms.of_counts(3, 10), arms.of_counts(9, 12))
    mixed = betabinom.logpmf(3, 10, 1, 1) + betabinom.logpmf(9, 12, 1, 1)
    best = minimize_scalar(
        lambda p: -(binom.logpmf(3, 10, p) + binom.logpmf(9, 12, p)), bounds=(0, 1), method="bounded"
    )
    assert np.log(found.evidence) == pytest.approx(mixed + best.fun, abs=1e-6)


@pytest.mark.parametrize(("x", "n", "y", "m"), [(0, 0, 0, 0), (0, 5, 0, 0), (0, 5, 5, 5), (5, 5, 5, 5)])
def test_few_units_have_an_interval(x: int, n: int, y: int, m: int) -> None:
    found = shares(arms.of_counts(x, n), arms.of_counts(y, m))
    assert -1 <= found.low <= found.difference <= found.high <= 1
    if not m:
        assert (found.high, found.p_value) == (1, 1)
        assert (found.low == -1) == (n == 0)


def test_a_level_is_a_share() -> None:
    with pytest.raises(UserError, match="the level must be between 0 and 1"):
        shares(arms.of_counts(1, 2), arms.of_counts(1, 2), 0)
