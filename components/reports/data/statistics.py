"""Statistics of examples: every feature's numbers and its distribution, split by split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from tensorflow_metadata.proto.v0.statistics_pb2 import CommonStatistics, DatasetFeatureStatisticsList
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatistics as Dataset
from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics as Stats

from components.contract.artifacts import Artifact, split_names
from components.data.protos import read_statistics
from components.reports import charts
from components.reports.axes import abbreviated
from components.reports.data import distributions
from components.reports.figures import NOTHING, counted, number, percent
from components.reports.markup import Content, join, tag
from components.reports.page import Section
from components.reports.parts import notice, paragraph, stack
from components.reports.tables import Cell, Column, table

_TYPES = {Stats.INT: "int", Stats.FLOAT: "float", Stats.STRING: "string", Stats.BYTES: "bytes", Stats.STRUCT: "struct"}
_TOP = 6
_WHOLE = ("", "All Examples")
_MUCH = 0.2
"""A larger share of missing values is marked."""


@dataclass(frozen=True)
class Feature:
    """A feature with its statistics in each split that has it."""

    name: str
    by_split: Mapping[str, Stats]

    @property
    def any(self) -> Stats:
        """Its statistics in the first split that has it."""
        return next(iter(self.by_split.values()))


BEFORE = "last run"
"""What a picture calls statistics of an earlier run."""


def of_artifact(statistics: Artifact, before: Artifact | None = None) -> Section:
    """The section about an ExampleStatistics artifact, beside that of an earlier run."""
    return section(by_split(statistics), earlier=by_split(before) if before else {})


def by_split(statistics: Artifact) -> dict[str, DatasetFeatureStatisticsList]:
    """The statistics of each split."""
    return {name: read_statistics(statistics, name) for name in split_names(statistics)}


def section(
    splits: Mapping[str, DatasetFeatureStatisticsList],
    id_: str = "statistics",
    title: str = "Data",
    earlier: Mapping[str, DatasetFeatureStatisticsList] = {},
) -> Section:
    """The section about statistics by split; the largest split comes first.

    Args:
        splits: The statistics.
        id_: The section's anchor.
        title: Its heading.
        earlier: Those of an earlier run. Its largest split that is here as well is laid over the others.
    """
    now, then = _ordered(splits), _ordered(earlier)
    compared = next((name for name in now if name in then), "")
    ordered = {**now, **({f"{compared}, {BEFORE}": then[compared]} if compared else {})}
    features = _features(ordered)
    tables = [_numeric(features, list(ordered)), _texts(features, list(ordered)), _others(features, list(ordered))]
    key = charts.legend([(name, False) for name in ordered])
    empty = [] if features else [notice("There are no features in these statistics.", "warn")]
    slices = max((len(each.datasets) - 1 for each in splits.values()), default=0)
    more = (
        [paragraph(f"The file has {counted(slices, 'slice')} of the data as well.", quiet=True)] if slices > 0 else []
    )
    return Section(id_, title, stack(*empty, key, *filter(None, tables), *more), _summary(ordered, features))


def _ordered(splits: Mapping[str, DatasetFeatureStatisticsList]) -> dict[str, Dataset]:
    found = _wholes(splits)
    return dict(sorted(found.items(), key=lambda item: (-item[1].num_examples, item[0])))


def features_of(splits: Mapping[str, DatasetFeatureStatisticsList]) -> dict[str, Feature]:
    """The features by name; the splits in the given order."""
    wholes = _wholes(splits)
    return {feature.name: feature for feature in _features(wholes)}


def picture(feature: Feature) -> Content:
    """The distributions of a feature laid over each other, or its top values beside each other."""
    kinds = {each.WhichOneof("stats") for each in feature.by_split.values()}
    if kinds == {"num_stats"}:
        return _histogram(feature, list(feature.by_split))
    return _top_values(feature, list(feature.by_split)) if kinds == {"string_stats"} else None


def name_of(feature: Stats) -> str:
    """A feature's name; the steps of a path with dots between them."""
    return ".".join(feature.path.step) if feature.path.step else feature.name


def _wholes(splits: Mapping[str, DatasetFeatureStatisticsList]) -> dict[str, Dataset]:
    return {name: whole for name, each in splits.items() if (whole := _whole(each)) is not None}


def _whole(statistics: DatasetFeatureStatisticsList) -> Dataset | None:
    """The statistics of all rows, not of a slice."""
    sets = list(statistics.datasets)
    return next((each for each in sets if each.name in _WHOLE), sets[0] if sets else None)


def _features(splits: Mapping[str, Dataset]) -> list[Feature]:
    found: dict[str, dict[str, Stats]] = {}
    for split, dataset in splits.items():
        for feature in dataset.features:
            found.setdefault(name_of(feature), {})[split] = feature
    return [Feature(name, by_split) for name, by_split in found.items()]


def _summary(splits: Mapping[str, Dataset], features: Sequence[Feature]) -> str:
    rows = ", ".join(f"{number(dataset.num_examples)} in {name}" for name, dataset in splits.items())
    empty = [
        feature.name for feature in features if all(missing_share(each) == 1 for each in feature.by_split.values())
    ]
    without = f" Without any value: {', '.join(empty[:5])}{' and more' if len(empty) > 5 else ''}." if empty else ""
    return f"{counted(len(features), 'feature')}; examples: {rows or 'none'}.{without}"


def _numeric(features: Sequence[Feature], splits: Sequence[str]) -> Markup | None:
    columns: list[tuple[str, Callable[[Stats], Content]]] = [
        ("Count", lambda each: number(each.num_stats.common_stats.num_non_missing)),
        ("Missing", _missing),
        ("Zeros", lambda each: percent(_ratio(each.num_stats.num_zeros, each.num_stats.common_stats.tot_num_values))),
        ("Mean", lambda each: each.num_stats.mean),
        ("Std", lambda each: each.num_stats.std_dev),
        ("Min", lambda each: each.num_stats.min),
        ("Median", lambda each: each.num_stats.median),
        ("Max", lambda each: each.num_stats.max),
    ]
    chosen = [feature for feature in features if feature.any.HasField("num_stats")]
    return _table("Numeric features", chosen, splits, ("Distribution", _histogram), columns)


def _texts(features: Sequence[Feature], splits: Sequence[str]) -> Markup | None:
    columns: list[tuple[str, Callable[[Stats], Content]]] = [
        ("Count", lambda each: number(each.string_stats.common_stats.num_non_missing)),
        ("Missing", _missing),
        ("Distinct", lambda each: number(each.string_stats.unique)),
        ("Mean length", lambda each: number(each.string_stats.avg_length)),
    ]
    chosen = [feature for feature in features if feature.any.HasField("string_stats")]
    return _table("Categorical features", chosen, splits, ("Top values", _top_values), columns)


def _others(features: Sequence[Feature], splits: Sequence[str]) -> Markup | None:
    columns: list[tuple[str, Callable[[Stats], Content]]] = [
        ("Count", lambda each: number(_common(each).num_non_missing)),
        ("Missing", _missing),
        ("Distinct", lambda each: number(each.bytes_stats.unique) if each.HasField("bytes_stats") else None),
        ("Mean bytes", lambda each: number(each.bytes_stats.avg_num_bytes) if each.HasField("bytes_stats") else None),
    ]
    known = ("num_stats", "string_stats")
    chosen = [feature for feature in features if feature.any.WhichOneof("stats") not in known]
    return _table("Other features", chosen, splits, ("Values per example", _value_counts), columns)


def _table(
    caption: str,
    features: Sequence[Feature],
    splits: Sequence[str],
    picture: tuple[str, Callable[[Feature, Sequence[str]], Content]],
    columns: Sequence[tuple[str, Callable[[Stats], Content]]],
) -> Markup | None:
    if not features:
        return None
    heads = [Column("Feature"), Column(picture[0]), Column("Split")]
    rows = [
        [
            Cell(
                join([feature.name, tag("span", _TYPES.get(feature.any.type, "?"), class_="quiet")], " "), feature.name
            ),
            picture[1](feature, splits),
            Cell(_lines(_key(name, splits) for name in feature.by_split), sort=""),
            *(_by_split(feature, value, name) for name, value in columns),
        ]
        for feature in features
    ]
    heads += [Column(name, is_number=True) for name, _ in columns]
    return table(f"{caption} ({number(len(features))})", heads, rows)


def _by_split(feature: Feature, value: Callable[[Stats], Content], column: str) -> Cell:
    """A figure of each split, below each other; sorted by the first. Without values, there are only counts."""
    shown = [
        value(each) if column in ("Count", "Missing") or _common(each).num_non_missing else NOTHING
        for each in feature.by_split.values()
    ]
    lines = (abbreviated(each) if isinstance(each, float) else each for each in shown)
    return Cell(_lines(lines), sort=repr(shown[0]) if isinstance(shown[0], float) else _sort_key(shown[0]))


def _sort_key(shown: Content) -> str:
    plain = Markup(shown).striptags() if isinstance(shown, Markup) else str(shown or "")
    return (
        plain.replace(",", "").replace("−", "-").replace("<", "").replace(">", "").removesuffix(" %").replace("–", "")
    )


def _lines(parts: Iterable[Content]) -> Markup:
    return tag("div", *(tag("span", part) for part in parts), class_="lines")


def _key(split: str, splits: Sequence[str]) -> Markup:
    color = splits.index(split) % charts.COLOURS
    return tag("span", tag("span", class_=f"key s{color}"), split)


def _missing(stats: Stats) -> Content:
    share = missing_share(stats)
    kind = "bad" if share == 1 else "warn" if share > _MUCH else None
    return tag("span", percent(share), class_=kind) if kind else percent(share)


def missing_share(stats: Stats) -> float:
    """The share of the examples that lack the feature."""
    common = _common(stats)
    return _ratio(common.num_missing, common.num_missing + common.num_non_missing) or 0.0


def _common(stats: Stats) -> CommonStatistics:
    kind = stats.WhichOneof("stats")
    return getattr(stats, kind).common_stats if kind else CommonStatistics()


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _histogram(feature: Feature, splits: Sequence[str]) -> Content:
    return distributions.picture(feature.name, {name: feature.by_split.get(name) for name in splits})


def _value_counts(feature: Feature, splits: Sequence[str]) -> Content:
    common = _common(feature.any)
    least, most, mean = common.min_num_values, common.max_num_values, common.avg_num_values
    return f"{number(least)} to {number(most)}, {number(mean)} on average"


def _top_values(feature: Feature, splits: Sequence[str]) -> Content:
    by_split = {name: stats.string_stats for name, stats in feature.by_split.items()}
    totals = {
        name: stats.common_stats.tot_num_values or stats.common_stats.num_non_missing
        for name, stats in by_split.items()
    }
    counts = {name: {top.value: top.frequency for top in stats.top_values} for name, stats in by_split.items()}
    leading = list(dict.fromkeys(value for found in counts.values() for value in list(found)[:_TOP]))[:_TOP]
    rows = [(value, [_ratio(counts[name].get(value, 0), totals[name]) for name in by_split]) for value in leading]
    distinct = max(stats.unique for stats in by_split.values())
    rest = f"and {number(distinct - len(rows))} more" if distinct > len(rows) else None
    return charts.shares(rows, list(by_split), title=f"Top values of {feature.name}", note=rest)
