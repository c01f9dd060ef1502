"""The picture of a numeric feature: its histograms laid over each other, and its quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics as Stats
from tensorflow_metadata.proto.v0.statistics_pb2 import Histogram

from components.reports import charts
from components.reports.charts import Distribution
from components.reports.figures import number
from components.reports.markup import tag
from components.reports.parts import stack

_CROWDED = 0.8
"""If a bucket has a larger share, the histogram says little, and the quantiles are drawn instead."""


def picture(name: str, by_split: Mapping[str, Stats | None]) -> Markup:
    """The distribution in each split; a split without the feature keeps its colour free."""
    found = {split: _histogram(stats, Histogram.STANDARD) for split, stats in by_split.items()}
    crowded = any(_is_crowded(each) for each in found.values())
    quantiles = {split: _histogram(stats, Histogram.QUANTILES) for split, stats in by_split.items()}
    use_quantiles = crowded and any(quantiles.values())
    if use_quantiles:
        found = {split: buckets[:-1] if len(buckets) > 2 else buckets for split, buckets in quantiles.items()}
    if not any(found.values()):
        return Markup()
    limited = ", without the highest tenth" if use_quantiles else ""
    drawn = charts.histogram(
        [Distribution(split, buckets) for split, buckets in found.items()], title=f"Distribution of {name}{limited}"
    )
    remark = tag("span", "without the highest tenth", class_="quiet") if use_quantiles else None
    return stack(drawn, remark, _fold(quantiles))


def _histogram(stats: Stats | None, kind: int) -> list[tuple[float, float, float]]:
    known = stats.num_stats.histograms if stats is not None else ()
    wanted = next((each for each in known if each.type == kind), None)
    return [(bucket.low_value, bucket.high_value, bucket.sample_count) for bucket in wanted.buckets] if wanted else []


def _is_crowded(buckets: Sequence[tuple[float, float, float]]) -> bool:
    total = sum(count for _, _, count in buckets)
    return len(buckets) > 1 and max(count for _, _, count in buckets) > _CROWDED * total > 0


def _fold(quantiles: Mapping[str, Sequence[tuple[float, float, float]]]) -> Markup | None:
    lines = [
        tag("span", f"{split}: ", " · ".join(number(edge) for edge in [buckets[0][0], *(each[1] for each in buckets)]))
        for split, buckets in quantiles.items()
        if buckets
    ]
    if not lines:
        return None
    count = max(len(buckets) for buckets in quantiles.values())
    return tag("details", tag("summary", f"{count}-quantiles"), tag("div", *lines, class_="lines wrapped"))
