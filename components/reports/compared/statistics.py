"""The statistics of several data side by side: which features moved, and every feature's distribution in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList
from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics as Stats

from components.contract.artifacts import Artifact, split_names
from components.data.protos import read_statistics
from components.reports.data import statistics
from components.reports.data.statistics import Feature, features_of
from components.reports.figures import counted, number, percent
from components.reports.markup import Content
from components.reports.page import Section
from components.reports.parts import heading, notice, stack
from components.reports.tables import Cell, Column, table

TITLE = "Data compared"
_FAR = 0.15
"""A larger distance is marked. Statistics have deciles, which tell distances to a tenth."""


def section(named: Sequence[tuple[str, Artifact]]) -> Section | None:
    """Equal data are named once; if all are equal, that is all that there is to say."""
    distinct: dict[str, tuple[str, Artifact]] = {}
    for name, artifact in named:
        digest = str(artifact.metadata.get("digest") or artifact.uri)
        known = distinct.get(digest)
        distinct[digest] = (f"{known[0]}, {name}" if known else name, artifact)
    if len(distinct) < 2:
        equal = notice("The statistics are the same: equal data, read in the same way.", "good")
        return Section("data-compared", TITLE, equal) if len(named) > 1 else None
    return between(list(distinct.values()))


def between(named: Sequence[tuple[str, Artifact]]) -> Section:
    """Statistics that differ: first those of the same split beside each other."""
    names = list(dict.fromkeys(split for _, each in named for split in split_names(each)))
    found = {
        f"{name} · {split}": read_statistics(each, split)
        for split in names
        for name, each in named
        if split in split_names(each)
    }
    shown = statistics.section(found)
    split = max(names, key=lambda each: _rows(found, each))
    compared = [found[key] for name, _ in named if (key := f"{name} · {split}") in found]
    words, moved = _moved(compared[0], compared[-1], split)
    body = stack(moved, heading("Distributions"), shown.body)
    return Section("data-compared", TITLE, body, f"{words} {shown.summary}")


def _rows(found: Mapping[str, DatasetFeatureStatisticsList], split: str) -> float:
    whole = [each for key, each in found.items() if key.endswith(f" · {split}")]
    return float(sum(each.datasets[0].num_examples for each in whole if each.datasets))


def _moved(one: DatasetFeatureStatisticsList, other: DatasetFeatureStatisticsList, split: str) -> tuple[str, Markup]:
    """The features in the order of their distance, and what that says in words."""
    features = features_of({"one": one, "other": other}).values()
    rows = sorted(((_distance(each), each) for each in features), key=lambda pair: -(pair[0] or 0))
    far = [each.name for distance, each in rows if distance is not None and distance > _FAR]
    columns = [
        Column("Feature"),
        Column("Distance", is_number=True, hint="0 for equal, 1 for as far as can be"),
        *(
            Column(name, is_number=True)
            for name in ("Missing, first", "Missing, last", "Middle, first", "Middle, last")
        ),
    ]
    listed = table(f"What moved in {split}", columns, [_row(distance, each) for distance, each in rows])
    words = f"{counted(len(far), 'feature')} moved by more than {number(_FAR)}: {', '.join(far[:5])}." if far else ""
    return words or f"No feature of {split} moved by more than {number(_FAR)}.", listed


def _row(distance: float | None, feature: Feature) -> list[Cell | Content]:
    is_far = distance is not None and distance > _FAR
    shown = Cell(number(distance), sort=-1.0 if distance is None else distance, kind="warn" if is_far else "")
    sides = [feature.by_split.get(name) for name in ("one", "other")]
    missing = [percent(statistics.missing_share(each)) if each else "no such feature" for each in sides]
    return [feature.name, shown, *missing, *(_middle(each) for each in sides)]


def _middle(stats: Stats | None) -> Content:
    """The median, or the most frequent value."""
    if stats is None or not stats.WhichOneof("stats"):
        return None
    if stats.HasField("num_stats"):
        return stats.num_stats.median
    values = stats.string_stats.top_values
    return values[0].value if values else None


def _distance(feature: Feature) -> float | None:
    """The largest difference between the two shares of a value, or between the two distribution functions."""
    if len(feature.by_split) < 2:
        return 1.0
    one, other = feature.by_split.values()
    if one.HasField("num_stats") and other.HasField("num_stats"):
        return _furthest(list(_steps(one)), list(_steps(other)))
    shares = [_shares(each) for each in (one, other)]
    values = {value for found in shares for value in found}
    return max((abs(shares[0].get(value, 0.0) - shares[1].get(value, 0.0)) for value in values), default=None)


def _shares(stats: Stats) -> dict[str, float]:
    common = stats.string_stats.common_stats
    total = common.tot_num_values or common.num_non_missing
    ranked = [(each.label, each.sample_count) for each in stats.string_stats.rank_histogram.buckets]
    counts = ranked or [(each.value, each.frequency) for each in stats.string_stats.top_values]
    return {value: count / total for value, count in counts} if total else {}


def _steps(stats: Stats) -> Iterator[tuple[float, float]]:
    """The distribution function at the edges of the quantiles' buckets."""
    histogram = next((each for each in stats.num_stats.histograms if each.type == each.QUANTILES), None)
    total = sum(bucket.sample_count for bucket in histogram.buckets) if histogram else 0
    reached = 0.0
    for bucket in histogram.buckets if histogram and total else ():
        reached += bucket.sample_count
        yield bucket.high_value, reached / total


def _furthest(one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> float | None:
    """Kolmogorov and Smirnov's distance, as far as quantiles tell it."""
    if not one or not other:
        return None
    edges = [edge for edge, _ in (*one, *other)]
    return max(abs(_reached(one, edge) - _reached(other, edge)) for edge in edges)


def _reached(steps: Sequence[tuple[float, float]], value: float) -> float:
    """The share of the values up to one, straight between the edges."""
    before = (steps[0][0], 0.0)
    for edge, share in steps:
        if value < edge:
            width = edge - before[0]
            return before[1] + (share - before[1]) * (
                (value - before[0]) / width if width > 0 and value > before[0] else 0
            )
        before = (edge, share)
    return 1.0
