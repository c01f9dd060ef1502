"""Posteriors, the probability to be best and the expected loss, beside closed forms and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats as st
from scipy.special import betaln

from components.contract.errors import DataError, UserError
from components.experiments import arms
from components.experiments.arms import Arm
from components.experiments.bayes import Beta, Gamma, Normal, Posterior, difference, standings

SETS: dict[str, list[Posterior]] = {
    "shares": [Beta(31, 971), Beta(46, 956), Beta(3, 40)],
    "rates": [Gamma(120, 1000), Gamma(150, 1010)],
    "means": [Normal(3.0, 0.1), Normal(3.2, 0.2), Normal(2.0, 3.0), Normal(3.19, 0.001)],
}


def _distribution(posterior: Posterior) -> st.rv_frozen:
    if isinstance(posterior, Beta):
        return st.beta(posterior.a, posterior.b)
    if isinstance(posterior, Gamma):
        return st.gamma(posterior.a, scale=1 / posterior.b)
    assert isinstance(posterior, Normal)
    return st.norm(posterior.mean, posterior.deviation)


@pytest.mark.parametrize("name", list(SETS))
def test_posteriors_are_scipys_distributions(name: str) -> None:
    assert len(SETS[name]) > 1
    for posterior in SETS[name]:
        expected = _distribution(posterior)
        x = expected.ppf([0.001, 0.2, 0.5, 0.99])
        np.testing.assert_allclose(posterior.density(x), expected.pdf(x), rtol=1e-9)
        np.testing.assert_allclose(posterior.below(x), expected.cdf(x), rtol=1e-9)
        np.testing.assert_allclose(posterior.quantile(np.array([0.1, 0.5])), expected.ppf([0.1, 0.5]), rtol=1e-9)
        assert posterior.mean == pytest.approx(expected.mean())


@pytest.mark.parametrize("less", [False, True])
@pytest.mark.parametrize("name", list(SETS))
def test_best_and_loss_are_what_simulation_finds(name: str, less: bool) -> None:
    chance = np.random.default_rng(1)
    drawn = np.stack([_distribution(each).rvs(400_000, random_state=chance) for each in SETS[name]])
    worth = -drawn if less else drawn
    found = standings({str(number): each for number, each in enumerate(SETS[name])}, less_is_better=less)
    best = np.bincount(worth.argmax(0), minlength=len(drawn)) / drawn.shape[1]
    loss = (worth.max(0) - worth).mean(-1)
    assert [each.best for each in found] == pytest.approx(list(best), abs=0.004)
    assert [each.loss for each in found] == pytest.approx(list(loss), rel=0.02, abs=2e-5)
    assert sum(each.best for each in found) == pytest.approx(1)


def test_the_probability_to_be_best_is_exact_for_two_shares() -> None:
    """The sum of Evan Miller, "Formulas for Bayesian A/B testing" (2015)."""
    a, b, c, d = 31, 971, 46, 956
    terms = (betaln(a + i, b + d) - math.log(d + i) - betaln(1 + i, d) - betaln(a, b) for i in range(c))
    expected = sum(math.exp(term) for term in terms)
    found = standings({"control": Beta(a, b), "treatment": Beta(c, d)})
    assert found[1].best == pytest.approx(expected, abs=1e-9)


def test_differences_of_normals_are_normal() -> None:
    found = difference(Normal(1.0, 0.3), Normal(1.5, 0.4), 0.1)
    expected = st.norm(0.5, 0.5)
    assert (found.low, found.high) == pytest.approx(tuple(expected.ppf([0.05, 0.95])), abs=1e-8)
    assert found.above == pytest.approx(expected.sf(0), abs=1e-9)


def test_differences_of_shares_are_what_simulation_finds() -> None:
    chance = np.random.default_rng(2)
    drawn = chance.beta(46, 956, 500_000) - chance.beta(31, 971, 500_000)
    found = difference(Beta(31, 971), Beta(46, 956))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=1e-4)
    assert found.above == pytest.approx((drawn > 0).mean(), abs=0.003)


def test_data_are_added_to_priors() -> None:
    assert Beta(2, 8).after(arms.of_counts(30, 100)) == Beta(32, 78)
    assert Gamma(1, 2).after(5, 10) == Gamma(6, 12)
    flat = Normal().after(arms.of_values([1.0, 2.0, 3.0]))
    assert (flat.mean, flat.deviation) == pytest.approx((2.0, 3**-0.5))
    shrunk = Normal(0.0, 3**-0.5).after(arms.of_values([1.0, 2.0, 3.0]))
    assert shrunk.mean == pytest.approx(1.0)


def test_credible_intervals_hold_for_shares_from_the_prior() -> None:
    chance = np.random.default_rng(3)
    shares = chance.random(2000)
    hits = chance.binomial(50, shares)
    lows, highs = (np.array([Beta().after(arms.of_counts(h, 50)).quantile(p) for h in hits]) for p in (0.025, 0.975))
    assert ((lows < shares) & (shares < highs)).mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Beta(0, 1), "a prior's a is 0"),
        (lambda: Gamma(1, float("nan")), "a prior's b is nan"),
        (lambda: Normal(0, -1), "a prior's deviation is -1"),
        (lambda: Beta().after(arms.of_values([0.5, 3.0])), "other values than 0 and 1"),
        (lambda: Normal().after(arms.of_values([1.0, 1.0])), "have the same value"),
        (lambda: standings({"a": Beta()}), "there are 1 arms to compare"),
        (lambda: standings({"a": Normal(), "b": Normal(1, 1)}), "nothing is known of arm 'a'"),
        (lambda: standings({"a": Beta(), "b": Beta()}, level=2), "the level must be"),
    ],
)
def test_what_cannot_be_believed_is_refused(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make()  # type: ignore[operator]
    assert caught.value.fix


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(DataError, match="events must be 0 or more"):
        Gamma().after(-1, 5)
    with pytest.raises(DataError, match="an arm has 1 units"):
        Normal().after(Arm(1, 2.0, 0.0))
