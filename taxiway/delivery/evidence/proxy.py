"""Errors and latency from the metrics of `taxiway route`, each second."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from urllib3.exceptions import HTTPError

from components.contract.errors import ServiceError
from taxiway.delivery.evidence.counts import BINS, Counts, Second
from taxiway.network import http_client

_SECONDS = 2.0
_LONGEST = 5.0
"""Requests of a longer time were not answered at the same time."""

_SAMPLE = re.compile(r"taxiway_route_(\w+)\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ANSWERED, _LEFT = {"OK", "200"}, {"CANCELLED", "499"}


@dataclass
class Totals:
    """A proxy's counters at a time: of the targets, and of the shadow under the empty name.

    Attributes:
        at: By the monotonic clock.
        answered: Requests without an error.
        failed: Requests with one.
        latencies: Requests by latency: at most so many seconds, in the order of the bounds.
        seconds: The sums of their latencies.
        weights: The targets' weights.
    """

    at: float
    answered: dict[str, float] = field(default_factory=dict)
    failed: dict[str, float] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)


def parsed(text: str, model: str, at: float) -> Totals:
    """A model's counters in the text of the metrics."""
    found = Totals(at)
    for name, labels, value in _samples(text):
        if labels.get("model") == model:
            _add(found, name, labels, value)
    return found


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        if sample := _SAMPLE.fullmatch(line):
            yield sample[1], dict(_LABEL.findall(sample[2])), float(sample[3])


def _add(totals: Totals, name: str, labels: Mapping[str, str], value: float) -> None:
    target = labels.get("target", "")
    match name:
        case "weight":
            totals.weights[target] = value
        case "seconds_bucket":
            totals.latencies.setdefault(target, []).append(value)
        case "seconds_sum":
            totals.seconds[target] = value
        case "shadow_seconds_sum":
            totals.seconds[""] = value
        case "shadow_seconds_bucket":
            totals.latencies.setdefault("", []).append(value)
        case "requests_total" if labels["status"] not in _LEFT:
            kind = totals.answered if labels["status"] in _ANSWERED else totals.failed
            kind[target] = kind.get(target, 0.0) + value
        case "shadow_total" if labels["outcome"] != "dropped":
            kind = totals.failed if labels["outcome"] == "failed" else totals.answered
            kind[""] = kind.get("", 0.0) + value


def between(before: Totals, after: Totals, champion: str, challenger: str) -> Second | None:
    """What happened between two times; None if that cannot be compared.

    Then the weights have changed in between, the proxy has restarted, or it was too long.
    """
    if before.weights != after.weights or not 0 < after.at - before.at <= _LONGEST:
        return None
    parts = [_counts(before, after, target) for target in (champion, challenger, "")]
    if any(each is None for each in parts):
        return None
    return Second(*(each for each in parts if each))


def _counts(before: Totals, after: Totals, target: str) -> Counts | None:
    """A target's requests; None after a restart, when counters begin again."""
    answered = after.answered.get(target, 0.0) - before.answered.get(target, 0.0)
    failed = after.failed.get(target, 0.0) - before.failed.get(target, 0.0)
    none = [0.0] * BINS
    pairs = zip(after.latencies.get(target, none), before.latencies.get(target, none), strict=True)
    below = [new - old for new, old in pairs]
    bins = [round(this - last) for this, last in zip(below, [0.0, *below[:-1]], strict=True)]
    if min(answered, failed, *bins) < 0:
        return None
    seconds = after.seconds.get(target, 0.0) - before.seconds.get(target, 0.0)
    return Counts(round(answered), round(failed), bins, seconds)


class ProxyWitness:
    """Reads the metrics of proxies; each is compared with itself, because its requests were split by its weights."""

    def __init__(self, urls: tuple[str, ...], model: str, champion: str, challenger: str) -> None:
        self._urls, self._model = urls, model
        self._champion, self._challenger = champion, challenger
        self._pool = http_client.pool(seconds=_SECONDS)
        self._last = dict[str, Totals]()

    def seconds(self) -> list[Second]:
        """What has happened since the last call, by proxy.

        Raises:
            ServiceError: A proxy does not answer.
        """
        found = list[Second]()
        for url in self._urls:
            now = parsed(self._text(url), self._model, time.monotonic())
            last = self._last.get(url)
            self._last[url] = now
            if last and (second := between(last, now, self._champion, self._challenger)):
                found.append(second)
        return found

    def _text(self, url: str) -> str:
        fix = "start the proxy, or give its admin API in weights.route"
        try:
            answer = self._pool.request("GET", f"{url}/metrics", redirect=False)
        except (HTTPError, OSError) as error:
            raise ServiceError(f"the proxy's admin API at {url} does not answer", fix=fix) from error
        if answer.status != 200:
            raise ServiceError(f"{url}/metrics answers {answer.status}", fix=fix)
        return str(answer.data.decode(errors="replace"))
