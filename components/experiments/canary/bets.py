"""Bets against "the challenger is no worse": a test that may be looked at every second, and stopped at any time.

In a second, n of N requests go to the challenger, chosen at random, and E of the N fail, or are slow. If it makes no
difference who answers, the number K of these at the challenger is hypergeometric: whatever E is, however busy the
second, and however requests depend on each other. A bet on odds that are o times as high multiplies its stake by
o^K / E[o^K], which is 1 on average (a likelihood ratio of Fisher's noncentral hypergeometric distribution). By Ville's
inequality, the stakes together reach 1 / level at any time with at most that probability.

Stakes are spread over several odds, because nobody knows how much worse a bad version is, and over times to start,
because it may get worse later: Robbins (1970), Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic statistics and safe
anytime-valid inference" (2023), Shin, Ramdas and Rinaldo, "E-detectors" (2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp
from scipy.stats import beta

from components.experiments.numbers import Array

ODDS = (1.25, 1.6, 2.5, 6.0, 30.0, 300.0)
"""How many times as high the challenger's odds are, by bet."""

EPOCH = 30
"""After so many looks, a further part of the stake is bet."""

_NOTHING = -700.0


@dataclass(frozen=True)
class Bets:
    """Running bets.

    Attributes:
        stakes: The logarithm of what each bet has now: by event, and in each by odds, as one sequence.
        looks: How many looks there were.
    """

    stakes: Sequence[float]
    looks: int = 0

    @property
    def log_evidence(self) -> float:
        """The logarithm of what the stakes have grown to, from 1 together."""
        bet = float(logsumexp(np.asarray(self.stakes))) - float(np.log(len(self.stakes)))
        kept = 1 / (_epochs(self.looks) + 1)
        return float(np.logaddexp(bet, np.log(kept)))


def begun(events: int) -> Bets:
    """Bets on so many kinds of events, such as failures, or latencies above some bounds."""
    return Bets([_NOTHING] * (events * len(ODDS)))


def together(bets: Bets, champion: tuple[int, Array], challenger: tuple[int, Array]) -> Bets:
    """The bets after requests that both answered at the same time.

    Args:
        bets: The bets before.
        champion: The champion's requests, and the number of each event among them, (events,).
        challenger: The challenger's.
    """
    (m, hits), (n, own) = champion, challenger
    if not (n and m):
        return bets
    moments = log_moments(n + m, n, np.asarray(hits) + np.asarray(own))
    return _after(bets, np.asarray(own)[:, None] * np.log(ODDS) - moments)


def against(bets: Bets, rates: Array, challenger: tuple[int, Array]) -> Bets:
    """The bets after requests of the challenger alone, against upper bounds of the champion's rates from before.

    Args:
        bets: The bets before.
        rates: What the rate of each event is at most, (events,); see `upper`.
        challenger: The challenger's requests, and the number of each event among them.
    """
    n, own = challenger
    if not n:
        return bets
    hits = np.asarray(own)[:, None]
    # E[odds^K] of a binomial K.
    return _after(bets, hits * np.log(ODDS) - n * np.log1p(np.asarray(rates)[:, None] * (np.asarray(ODDS) - 1)))


def upper(n: int, hits: Array, level: float) -> Array:
    """Upper bounds of the rates of events; all hold with a probability of 1 - level (Clopper and Pearson)."""
    found = np.asarray(hits, dtype=float)
    bounds = beta.isf(level / max(found.size, 1), found + 1, np.maximum(n - found, 1e-9))
    return np.where(found >= n, 1.0, bounds)


def log_moments(total: int, drawn: int, marked: Array) -> Array:
    """The logarithm of E[odds^K] of hypergeometric numbers K, (events, odds): how many of the drawn are marked.

    Args:
        total: All requests.
        drawn: Those of the challenger.
        marked: How many of all are marked, (events,).
    """
    events = np.asarray(marked, dtype=float)[:, None]
    counts = np.arange(min(float(events.max(initial=0)), drawn) + 1)
    with np.errstate(invalid="ignore"):
        log_shares = _log_choose(events, counts) + _log_choose(total - events, drawn - counts)
    log_shares = log_shares - _log_choose(total, drawn)
    return np.asarray(logsumexp(log_shares[:, None, :] + np.log(ODDS)[:, None] * counts, axis=-1))


def _log_choose(n: Array | float, k: Array | float) -> Array:
    """The logarithm of a binomial coefficient; minus infinity where it is 0."""
    n, k = np.broadcast_arrays(np.asarray(n, dtype=float), np.asarray(k, dtype=float))
    inside = (k >= 0) & (k <= n)
    kept = np.where(inside, k, 0)
    return np.where(inside, gammaln(n + 1) - gammaln(kept + 1) - gammaln(np.maximum(n - kept, 0) + 1), -np.inf)


def _epochs(looks: int) -> int:
    return -(-looks // EPOCH)


def _after(bets: Bets, gains: Array) -> Bets:
    """The bets after a look; at its start, an epoch's part of the stake is added."""
    stakes = np.asarray(bets.stakes)
    if bets.looks % EPOCH == 0:
        epoch = bets.looks // EPOCH + 1
        stakes = np.logaddexp(stakes, -np.log(epoch * (epoch + 1)))
    return Bets(np.maximum(stakes + gains.ravel(), _NOTHING).tolist(), bets.looks + 1)
