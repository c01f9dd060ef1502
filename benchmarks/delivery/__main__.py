"""python -m benchmarks.delivery: how often canaries are judged rightly, and how soon; see docs/loop/delivery.md."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from datetime import timedelta
from multiprocessing import Pool

import numpy as np

from benchmarks.delivery import real, simulated
from benchmarks.delivery.simulated import Result, World
from taxiway.delivery.settings import Business, Delivery, Guardrails, Step, Weights

_TIME = timedelta(seconds=30)
STEPS = (Step(5, _TIME, 1000), Step(25, _TIME, 4000), Step(50, _TIME, 20_000), Step(100, timedelta(0), 0))
SETTINGS = Delivery(
    Weights(route=("http://127.0.0.1:8602",)),
    steps=STEPS,
    guardrails=Guardrails(business=Business("paid", delay=timedelta(0))),
)
WORLDS = {
    "equal": World(),
    "3 points worse in the business metric": World(worse=0.03),
    "2 % of the requests fail": World(failing=0.02),
    "2 % fail from the 60th second on": World(failing=0.02, since=60),
    "30 % slower": World(slower=1.3),
    "5 % slower, which is allowed": World(slower=1.05),
}
REAL_STEPS = [
    {"weight": 10, "least_time": "10s", "least_requests": 100},
    {"weight": 25, "least_time": "10s", "least_requests": 1500},
    {"weight": 100, "least_time": "0s", "least_requests": 0},
]
REAL = {
    "equal": {},
    "2 % of the requests fail": {"fail": 0.02},
    "30 % slower": {"ms": 26.0},
}
_USUAL = {"ms": 20.0, "sigma": 0.3}


def _one(given: tuple[str, int]) -> Result:
    name, seed = given
    return simulated.rollout(WORLDS[name], SETTINGS, seed)


def _simulated(runs: int, names: list[str]) -> None:
    print(f"simulated traffic, {runs} rollouts of each kind, {WORLDS['equal'].rate:g} requests/s")
    with Pool(2) as pool:
        for name in names:
            began = time.monotonic()
            found = pool.map(_one, [(name, seed) for seed in range(runs)])
            print(f"{name:<40} {_described(found)}  [{time.monotonic() - began:.0f} s]", flush=True)


def _described(found: list[Result]) -> str:
    states = Counter(each.state for each in found)
    back = [each for each in found if each.state == "rolled_back"]
    shares = ", ".join(f"{100 * states[name] / len(found):.1f} % {name}" for name in sorted(states))
    if not back:
        return shares
    reasons = ", ".join(f"{n} {name}" for name, n in Counter(each.guardrail for each in back).most_common())
    seconds, tried, requests = (
        np.quantile([getattr(each, name) for each in back], (0.5, 0.95)) for name in ("seconds", "tried", "requests")
    )
    return (
        f"{shares} ({reasons}); back after median {seconds[0]:.0f} s, 95 % {seconds[1]:.0f} s; challenger's requests "
        f"{tried[0]:,.0f}, {tried[1]:,.0f}; of both {requests[0]:,.0f}, {requests[1]:,.0f}"
    )


def _real(runs: int, rate: float) -> None:
    print(f"real proxy and server, {runs} rollouts of each kind, {rate:g} requests/s")
    for name, bad in REAL.items():
        given = {"steps": REAL_STEPS, "warm_up": "2s"}
        found = [real.rollout(given, _USUAL, {**_USUAL, **bad}, rate) for _ in range(runs)]
        states = ", ".join(f"{n} {state}" for state, n in Counter(each.state for each in found).most_common())
        seconds = " ".join(f"{each.seconds:.1f}" for each in found)
        after = max(each.after_verdict for each in found)
        requests = " ".join(f"{each.requests}" for each in found)
        print(f"{name:<40} {states}; after {seconds} s; {after:.2f} s after the verdict at most; {requests} requests")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200, help="simulated rollouts of each kind")
    parser.add_argument("--real", type=int, default=5, help="real rollouts of each kind")
    parser.add_argument("--rate", type=float, default=300, help="requests a second of the real ones")
    parser.add_argument("--kinds", default="", help="only kinds that begin so")
    options = parser.parse_args()
    _simulated(options.runs, [name for name in WORLDS if name.startswith(options.kinds)])
    if options.real:
        _real(options.real, options.rate)


if __name__ == "__main__":
    main()
