"""The influences on every metric of an evaluation: by formula, else by leaving out a part of the requests at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.monitoring.quality import terms
from components.monitoring.quality.evaluate import Evaluated, slice_text, sliced
from components.monitoring.quality.spread import Spread, spread

_PARTS = 20
_MOST_ROWS = 50_000
"""Rows that the parts are left out of; the variance of more rows follows from it."""
_CLOSE = {"rank": 2e-3}
"""How far a formula may be from the evaluator's value: TFMA's AUC has 10,000 thresholds, and labels are float32."""


Spreads = dict[str, dict[str, Spread]]
"""By slice and metric."""


@dataclass(frozen=True)
class _Slice:
    rows: NDArray[np.int64]
    units: NDArray[np.int64]
    places: NDArray[np.int64]


def influences(found: Evaluated) -> Spreads:
    """The influences on the metrics of every slice, where the metric is defined."""
    classes = metric_classes(found.config)
    slices = dict(_slices(found))
    spreads: Spreads = {name: {} for name in slices}
    for metric, key in found.keys.items():
        if key.name in classes and not key.name.endswith("example_count"):
            _add(spreads, found, metric, *classes[key.name], slices)
    lacking = set(_lacking(found, spreads))
    if lacking:
        for name, others in _left_out(found, {found.keys[metric].name for metric in lacking}).items():
            spreads[name] = {**others, **spreads[name]}
    return spreads


def metric_classes(config: Any) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """The class and the settings of a metric by its name."""
    from tensorflow_model_analysis.metrics import metric_specs

    found = {}
    for spec in config.metrics_specs:
        for metric in spec.metrics:
            made = metric_specs.metric_instance(metric)
            settings = json.loads(metric.config or "{}")
            name = settings.get("name") or getattr(made, "name", None) or made.get_config().get("name")
            found[str(name)] = (metric.class_name, settings)
    return found


def _slices(found: Evaluated) -> Iterator[tuple[str, _Slice]]:
    """The rows of every slice, and their requests."""
    offsets = np.cumsum([0, *(each.batch.num_rows for each in found.rows)])
    rows = np.concatenate([m.rows + start for m, start in zip(found.members, offsets[:-1], strict=True)])
    numbers = np.concatenate([m.slices for m in found.members])
    for name, number in found.slices.items():
        own = rows[numbers == number]
        units, places = np.unique(found.requests[own], return_inverse=True)
        yield name, _Slice(own, units.astype(np.int64), places)


def _add(
    spreads: Spreads,
    found: Evaluated,
    metric: str,
    class_name: str,
    settings: Mapping[str, Any],
    slices: Mapping[str, _Slice],
) -> None:
    """Adds the influences by formula, where the formula gives what the evaluator gave."""
    key = found.keys[metric]
    if getattr(key, "aggregation_type", None) is not None:
        return
    label, prediction, weight = _columns(found, key)
    for name, own in slices.items():
        value = found.values.get(name, {}).get(metric)
        made = terms.of(class_name, label[own.rows], prediction[own.rows], settings)
        if value is None or made is None:
            continue
        by_formula = spread(made, weight[own.rows], own.units, own.places)
        if by_formula is not None and agrees(by_formula, value):
            spreads[name][metric] = by_formula


def agrees(by_formula: Spread, value: float) -> bool:
    """Whether a formula gives what the evaluator gave."""
    return abs(by_formula.value - value) <= _CLOSE.get(by_formula.shape, 1e-4 * max(abs(value), 1e-3))


def _columns(found: Evaluated, key: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Labels, predictions and weights as the evaluator takes them from the rows."""
    from components.evaluator.columns import Source

    source = Source(found.config, key.model_name, key.output_name, key.sub_key, bool(key.example_weighted))
    parts = [source.columns(rows) for rows in found.rows]
    label, prediction, weight = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("label", "prediction", "weight")
    )
    return label, prediction, weight[:, 0]


def _lacking(found: Evaluated, spreads: Spreads) -> Iterator[str]:
    """The metrics without influences in the largest slice: smaller ones may have too few rows for a formula."""
    name = max(found.counts, key=lambda each: found.counts[each], default="")
    for metric, value in found.values.get(name, {}).items():
        if value is not None and not is_count(metric) and metric not in spreads.get(name, {}):
            yield metric


def only(config: Any, names: set[str]) -> Any:
    """The config with only some of its metrics."""
    kept = {class_name for name, (class_name, _) in metric_classes(config).items() if name in names}
    changed = type(config)()
    changed.CopyFrom(config)
    for spec in changed.metrics_specs:
        metrics = [metric for metric in spec.metrics if metric.class_name in kept]
        del spec.metrics[:]
        spec.metrics.extend(metrics)
    return changed if kept else config


def is_count(metric: str) -> bool:
    """Whether a metric counts rows, which has no interval."""
    return metric.rpartition("/")[2] in ("example_count", "weighted_example_count")


class _Parts:
    """A slicer whose slices are the evaluator's without one part of the requests each."""

    def __init__(self, inner: Any, requests: NDArray[Any], share: float) -> None:
        self._inner = inner
        self._requests = requests
        self._kept = np.random.default_rng(0).random(len(requests)) < share
        self._start = 0
        self._numbers: dict[int, int] = {}

    @property
    def keys(self) -> list[Any]:
        """The keys of those that have rows, by number."""
        return [(*self._inner.keys[each // _PARTS], ("part", each % _PARTS)) for each in self._numbers]

    def members(self, rows: Any) -> Any:
        from components.evaluator.slices import Members

        # Where metrics are evaluated one by one, the batches come again.
        self._start %= len(self._requests)
        own = self._inner.members(rows)
        kept = self._kept[self._start : self._start + rows.batch.num_rows][own.rows]
        in_rows, in_slices = own.rows[kept], own.slices[kept]
        part = self._requests[self._start : self._start + rows.batch.num_rows][in_rows] % _PARTS
        self._start += rows.batch.num_rows
        others = (part[:, None] + np.arange(1, _PARTS)) % _PARTS
        found, places = np.unique((in_slices[:, None] * _PARTS + others).ravel(), return_inverse=True)
        numbers = [self._numbers.setdefault(each, len(self._numbers)) for each in found.tolist()]
        return Members(np.repeat(in_rows, _PARTS - 1), np.array(numbers, np.int64)[places])


def _left_out(found: Evaluated, names: set[str]) -> Spreads:
    """The influences of parts of the requests: what a metric is without each of them (the jackknife)."""
    from components.evaluator.direct import metric_name
    from components.evaluator.slices import Slicer

    share = min(_MOST_ROWS / max(len(found.requests), 1), 1.0)
    slicer = _Parts(Slicer(found.config.slicing_specs), found.requests, share)
    values: dict[str, dict[str, list[float]]] = {}
    for key, metrics in _defined(sliced(only(found.config, names), found.rows, slicer)):
        own = values.setdefault(slice_text(key[:-1]), {})
        for metric, number in metrics.items():
            own.setdefault(metric_name(metric), []).append(number)
    return {
        name: {
            metric: _jackknifed(numbers, found.values[name][metric] or 0.0, share)
            for metric, numbers in metrics.items()
            if len(numbers) == _PARTS and found.values.get(name, {}).get(metric) is not None and not is_count(metric)
        }
        for name, metrics in values.items()
    }


def _defined(results: Mapping[Any, Mapping[Any, Any]]) -> Iterator[tuple[Any, dict[Any, float]]]:
    """The finite numbers, part by part in their order."""
    for key in sorted(results, key=lambda key: key[-1][1]):
        plain = {m: v for m, v in results[key].items() if np.ndim(v) == 0 and isinstance(v, int | float | np.number)}
        yield key, {metric: float(value) for metric, value in plain.items() if np.isfinite(value)}


def _jackknifed(numbers: list[float], value: float, share: float) -> Spread:
    off = np.asarray(numbers) - np.mean(numbers)
    influence = -off * (_PARTS - 1) / _PARTS * np.sqrt(share)
    return Spread(value, np.arange(_PARTS), influence, "mean", float(_PARTS))
