"""A schema as a table: what each feature has to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0.schema_pb2 import Feature, FeatureType
from tensorflow_metadata.proto.v0.schema_pb2 import Schema as Proto

from components.contract.artifacts import Artifact
from components.data.protos import read_schema
from components.reports.figures import counted, number, percent
from components.reports.markup import Content, join, tag
from components.reports.page import Section
from components.reports.parts import code, fold, paragraph, stack
from components.reports.tables import Cell, Column, table

_VALUES = 12
_COMPARATORS = {"drift_comparator": "drift", "skew_comparator": "skew"}


_COLUMNS = ("Feature", "Type", "Presence", "Values per example", "Domain", "Limits")


def of_artifact(schema: Artifact, before: Artifact | None = None) -> Section:
    """The section about a Schema artifact, and what differs from that of an earlier run."""
    return section(read_schema(schema), before=read_schema(before) if before else None)


def section(schema: Proto, id_: str = "schema", title: str = "Schema", before: Proto | None = None) -> Section:
    """The section about a schema, and what differs from an earlier one."""
    rows = _rows(schema)
    columns: list[str | Column] = [*_COLUMNS]
    changed = [] if before is None else list(_changes(_rows(before), rows))
    if not any(row[-1] for row in rows):
        rows, columns = [row[:-1] for row in rows], columns[:-1]
    environments = f" Environments: {', '.join(schema.default_environment)}." if schema.default_environment else ""
    whole = table(f"Features of the schema ({number(len(rows))})", columns, rows)
    since = f" {counted(len(changed), 'change')} since the last run." if before is not None else ""
    shown = table("What changed since the last run", ["Feature", "What", "Before", "Now"], changed) if changed else None
    body = stack(shown, whole, *_beyond(schema))
    return Section(id_, title, body, f"{counted(len(rows), 'feature')}.{since}{environments}")


def _rows(schema: Proto) -> list[list[Content]]:
    domains = {domain.name: domain.value for domain in schema.string_domain}
    return [_row(name, feature, domains) for name, feature in _features(schema.feature)]


def _changes(before: Sequence[Sequence[Content]], now: Sequence[Sequence[Content]]) -> Iterator[list[Content]]:
    """What differs of each feature: one that is new or gone, or the cells of its row."""
    then, there = ({str(name): cells for name, *cells in rows} for rows in (before, now))
    for name in dict.fromkeys([*then, *there]):
        if name not in there:
            yield [name, "the feature", "there", Cell("gone", kind="changed")]
        elif name not in then:
            yield [name, "the feature", "missing", Cell("new", kind="changed")]
        else:
            pairs = zip(_COLUMNS[1:], then[name], there[name], strict=True)
            yield from ([name, what.lower(), old, Cell(new, kind="changed")] for what, old, new in pairs if old != new)


def _features(features: Iterable[Feature], prefix: str = "") -> Iterator[tuple[str, Feature]]:
    for feature in features:
        yield prefix + feature.name, feature
        yield from _features(feature.struct_domain.feature, f"{prefix}{feature.name}.")


def _row(name: str, feature: Feature, domains: Mapping[str, Iterable[str]]) -> list[Content]:
    return [
        name,
        FeatureType.Name(feature.type).removeprefix("TYPE_").lower().replace("unknown", "any"),
        _presence(feature),
        _count(feature),
        _domain(feature, domains),
        _limits(feature),
    ]


def _presence(feature: Feature) -> str:
    presence = feature.presence
    if not feature.HasField("presence") or not (presence.min_fraction or presence.min_count):
        return "optional"
    if presence.min_fraction == 1:
        return "required"
    least = [
        f"in at least {percent(presence.min_fraction)} of the examples" if presence.min_fraction else "",
        f"in at least {number(presence.min_count)}" if presence.min_count > 1 else "",
    ]
    return " and ".join(filter(None, least)) or "optional"


def _count(feature: Feature) -> str:
    if feature.HasField("shape"):
        return " × ".join(str(dim.size) for dim in feature.shape.dim) or "1"
    if feature.HasField("value_count"):
        return _between(feature.value_count.min or None, feature.value_count.max or None)
    return "any"


def _between(low: Any, high: Any) -> str:
    if low is not None and low == high:
        return number(low)
    if low is None or high is None:
        return (
            f"at least {number(low)}"
            if high is None and low is not None
            else f"at most {number(high)}"
            if high
            else "any"
        )
    return f"{number(low)} to {number(high)}"


def _domain(feature: Feature, domains: Mapping[str, Iterable[str]]) -> Content:
    kind = feature.WhichOneof("domain_info")
    if kind is None or kind == "struct_domain":
        return None
    if kind in ("domain", "string_domain"):
        return _values(list(domains.get(feature.domain, ()) if kind == "domain" else feature.string_domain.value))
    detail = getattr(feature, kind)
    if kind in ("int_domain", "float_domain"):
        low, high = (getattr(detail, end) if detail.HasField(end) else None for end in ("min", "max"))
        return "categories" if kind == "int_domain" and detail.is_categorical and low is None else _between(low, high)
    return kind.removesuffix("_domain").replace("_", " ")


def _values(values: list[str]) -> Content:
    shown = join([code(value) for value in values[:_VALUES]], ", ")
    if len(values) <= _VALUES:
        return shown
    rest = join([code(value) for value in values[_VALUES:]], ", ")
    return stack(shown, fold(f"and {number(len(values) - _VALUES)} more", rest))


def _limits(feature: Feature) -> Content:
    found = [
        f"{name}: {measure} at most {number(limit)}"
        for name, measure, limit in _thresholds(feature)
        if limit is not None
    ]
    unlike = [f"not in {name}" for name in feature.not_in_environment]
    only = [f"only in {name}" for name in feature.in_environment]
    share = feature.distribution_constraints
    inside = (
        [f"in the domain: {percent(share.min_domain_mass)}"]
        if share.HasField("min_domain_mass") and share.min_domain_mass < 1
        else []
    )
    lines = [*found, *inside, *only, *unlike, *(["deprecated"] if feature.deprecated else [])]
    return tag("div", *(tag("span", line) for line in lines), class_="lines") if lines else None


def _thresholds(feature: Feature) -> Iterator[tuple[str, str, float | None]]:
    for field, name in _COMPARATORS.items():
        for measure, limit in getattr(feature, field).ListFields():
            yield name, measure.name.replace("_", " "), limit.threshold if limit.HasField("threshold") else None


def _beyond(schema: Proto) -> list[Content]:
    """What the table has no column for, as it is written."""
    rest = Proto()
    rest.CopyFrom(schema)
    for field in ("feature", "string_domain", "default_environment"):
        rest.ClearField(field)
    if not rest.ListFields():
        return []
    written = tag("pre", text_format.MessageToString(rest), tabindex="0")
    return [paragraph("The schema says more than features:", quiet=True), fold("Show it", written)]
