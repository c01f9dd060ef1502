"""Rollouts in simulated time: the proxy's own router splits, and the rollout's own code gathers, tests and decides.

Latencies, failures and outcomes are drawn. A busy second makes both versions slower and fail more often, latencies have
heavy tails, and the share of good outcomes changes with the hour.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from components.experiments.canary.mixes import averaged
from taxiway.delivery.advance import Evidence
from taxiway.delivery.evidence import witness
from taxiway.delivery.evidence.counts import Counts, Second
from taxiway.delivery.rollout import PROMOTED, Rollout, begun
from taxiway.delivery.run import Places, run
from taxiway.delivery.settings import Delivery
from taxiway.routing import settings as route_settings
from taxiway.routing.access_log import BUCKETS, AccessLog
from taxiway.routing.router import Router

START = datetime(2026, 11, 28, 8, tzinfo=UTC)
LONGEST = timedelta(hours=1)
STRATUM = 10
_EDGES = np.concatenate([[0.0], BUCKETS, [np.inf]])


@dataclass(frozen=True)
class World:
    """What the challenger does to its requests.

    Attributes:
        rate: Requests per second.
        slower: The factor of its latencies.
        failing: The share of its requests that fail beside the usual ones.
        worse: How many points fewer of its requests have a good outcome, as a share.
        usual: The share of requests that fail anyway.
        good: The share of requests with a good outcome.
        since: The second in which the challenger turns bad.
    """

    rate: float = 400
    slower: float = 1.0
    failing: float = 0.0
    worse: float = 0.0
    usual: float = 0.002
    good: float = 0.3
    since: int = 0


@dataclass(frozen=True)
class Result:
    """How a rollout ended.

    Attributes:
        state: `promoted`, `rolled_back`, or `inconclusive` if it paused or went on too long.
        guardrail: Which one failed.
        seconds: How long it took.
        requests: The requests of both versions.
        tried: Those of the challenger.
    """

    state: str
    guardrail: str
    seconds: float
    requests: int
    tried: int


class _Quiet(AccessLog):
    def say(self, **facts: Any) -> None:
        """Logs nothing."""


class Traffic:
    """A second of traffic for each look."""

    def __init__(self, world: World, settings: Delivery, seed: int) -> None:
        targets = {"stable": {"backend": "b", "label": "stable"}, "canary": {"backend": "b", "label": "canary"}}
        given = {"backends": {"b": {"grpc": "127.0.0.1:1"}}, "models": {"taxi": {"targets": targets}}}
        given["models"]["taxi"]["targets"]["stable"]["weight"] = 100
        self.router = Router(route_settings.parse(given, "the benchmark"), _Quiet({"taxi"}))
        self.router._random.seed(seed)
        self.world, self.settings, self.source = world, settings, np.random.default_rng(seed)
        self.second, self.requests, self.tried = 0, 0, 0
        self._outcomes: list[list[Any]] = [[], []]

    # Places

    def read(self) -> float | None:
        """The share of the canary."""
        return self.router.weights()["taxi"]["canary"]

    def write(self, share: float) -> None:
        """Sets the share of the canary."""
        self.router.set_weights({"taxi": {"stable": 100 - share, "canary": share}})

    def require(self, champion: int, challenger: int | None) -> None:
        """Both answer."""

    def look(self, rollout: Rollout, now: datetime) -> tuple[Mapping[str, Any], Evidence]:
        """The evidence with another second."""
        known = witness.of_json(rollout.gathered)
        if known.step != rollout.step:
            known = replace(known, step=rollout.step, requests=0, last="")
        if rollout.since:
            known = witness.with_seconds(known, [self._drawn()], rollout, now, self.settings)
            known = self._judged(known, now)
        last = now if known.last else None
        return asdict(known), Evidence(witness.readings(known, self.settings, rollout), known.requests, last)

    def _judged(self, known: Any, now: datetime) -> Any:
        if self.second % STRATUM:
            return known
        champion, challenger = (np.concatenate(each) if each else np.zeros(0) for each in self._outcomes)
        self._outcomes = [[], []]
        return replace(known, business=averaged(known.business, champion, challenger), judged=now.isoformat())

    def _drawn(self) -> Second:
        world, source = self.world, self.source
        arrived = int(source.poisson(world.rate))
        tried = sum(self.router.split("taxi", lambda key: None).target == "canary" for _ in range(arrived))
        self.second, self.requests, self.tried = self.second + 1, self.requests + arrived, self.tried + tried
        busy = float(np.exp(source.normal(0, 0.3))) * (8 if source.random() < 0.02 else 1)
        bad = self.second > world.since
        return Second(
            self._counts(arrived - tried, busy, 0, World()),
            self._counts(tried, busy, 1, world if bad else World()),
        )

    def _counts(self, n: int, busy: float, arm: int, world: World) -> Counts:
        source = self.source
        took = 0.004 * busy * world.slower * np.exp(source.normal(0, 0.5, n)) * np.where(source.random(n) < 0.01, 20, 1)
        failed = int((source.random(n) < min(0.5, self.world.usual * busy) + world.failing).sum())
        good = self.world.good + 0.05 * np.sin(self.second / 100) - world.worse
        self._outcomes[arm].append((source.random(n) < good).astype(float))
        return Counts(n - failed, failed, np.histogram(took, _EDGES)[0].tolist(), float(took.sum()))


def rollout(world: World, settings: Delivery, seed: int) -> Result:
    """One rollout, to its end, or until it takes too long."""
    traffic, clock = Traffic(world, settings, seed), [START]
    latest = [begun("taxi", 1, 2, START)]

    class _Over(Exception):  # noqa: N818
        pass

    def wait(seconds: float) -> None:
        clock[0] += timedelta(seconds=seconds)
        if clock[0] - START > LONGEST:
            raise _Over

    with contextlib.suppress(_Over):
        run(latest[0], settings, Places(traffic, traffic), latest.append, clock=lambda: clock[0], wait=wait)
    end = latest[-1]
    failed = next((each.guardrail for each in end.readings if each.verdict == "failure"), "")
    state = end.state if end.is_over and (failed or end.state == PROMOTED) else "inconclusive"
    return Result(state, failed, (clock[0] - START).total_seconds(), traffic.requests, traffic.tried)
