"""What a TransformGraph holds: the features before and after, and the vocabularies."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.contract.errors import DataError
from components.data.protos import SCHEMA_FILE, STATISTICS_FILE, parse_text
from components.data.tfrecord import read_records

_BEFORE, _AFTER = "pre_transform_feature_stats", "post_transform_feature_stats"
_TRUSTED = 20  # terms of a vocabulary that tell which feature it was made from
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Feature:
    """A feature before or after the transform.

    Attributes:
        name: Its name.
        type: `integer`, `float` or `string`.
        domain: The values that it may have, if the schema says.
        statistics: Figures by name: `missing` and `zeros` as shares, `mean`, `deviation`, `minimum`, `maximum`,
            `distinct`; empty without statistics.
    """

    name: str
    type: str
    domain: str
    statistics: dict[str, float]


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary.

    Attributes:
        name: Its name, or its file's.
        size: The number of its terms.
        first: Its first terms.
        feature: The feature that it was made from, if that can be told.
        coverage: The share of that feature's values that it has.
    """

    name: str
    size: int
    first: list[str]
    feature: str = ""
    coverage: float | None = None


@dataclass(frozen=True)
class TransformGraph:
    """The features before and after, and the vocabularies."""

    before: list[Feature]
    after: list[Feature]
    vocabularies: list[Vocabulary]


def read(folder: Path) -> TransformGraph:
    """A TransformGraph's folder.

    Raises:
        DataError: A schema is missing or damaged, or a file of statistics is damaged.
    """
    before, after = _statistics(folder / _BEFORE), _statistics(folder / _AFTER)
    return TransformGraph(
        before=_features(folder / "metadata", before),
        after=_features(folder / "transformed_metadata", after),
        vocabularies=list(_vocabularies(folder, before)),
    )


def _statistics(folder: Path) -> dict[str, Any]:
    """The statistics of each feature; empty if they were not computed."""
    file = folder / STATISTICS_FILE
    if not file.exists():
        return {}
    try:
        found = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
    except DecodeError as error:
        raise DataError(f"{file} is damaged: {error}", fix="run transform again") from error
    return {_name(each): each for dataset in found.datasets[:1] for each in dataset.features}


def _name(each: Any) -> str:
    return str(each.name or ".".join(each.path.step))


def _features(folder: Path, statistics: Mapping[str, Any]) -> list[Feature]:
    schema = parse_text(folder / SCHEMA_FILE, schema_pb2.Schema())
    return [
        Feature(each.name, _TYPES.get(each.type, "?"), _domain(each), _figures(statistics.get(each.name)))
        for each in schema.feature
    ]


_TYPES = {schema_pb2.INT: "integer", schema_pb2.FLOAT: "float", schema_pb2.BYTES: "string", schema_pb2.STRUCT: "struct"}


def _domain(feature: Any) -> str:
    kind = feature.WhichOneof("domain_info")
    if kind in ("int_domain", "float_domain"):
        domain = getattr(feature, kind)
        return f"{domain.min:g} to {domain.max:g}" if domain.max > domain.min else ""
    if kind == "string_domain" and feature.string_domain.value:
        return f"{len(feature.string_domain.value)} values"
    return str(feature.domain) if kind == "domain" else ""


def _figures(each: Any) -> dict[str, float]:
    if each is None:
        return {}
    kind = each.WhichOneof("stats")
    found = getattr(each, kind) if kind else None
    if found is None or not hasattr(found, "common_stats"):
        return {}
    common = found.common_stats
    rows = common.num_non_missing + common.num_missing
    figures = {"missing": common.num_missing / rows} if rows else {}
    if kind == "num_stats":
        figures |= {"mean": found.mean, "deviation": found.std_dev, "minimum": found.min, "maximum": found.max}
        figures |= {"zeros": found.num_zeros / common.tot_num_values} if common.tot_num_values else {}
    elif kind == "string_stats":
        figures |= {"distinct": float(found.unique)}
    return figures


def _vocabularies(folder: Path, before: Mapping[str, Any]) -> Iterator[Vocabulary]:
    assets = folder / "transform_fn" / "assets"
    names = _asset_names(folder / "transformed_metadata" / "asset_map")
    for file in sorted(path for path in assets.glob("*") if path.is_file()) if assets.is_dir() else []:
        terms = _terms(file)
        feature, coverage = _source(terms, before)
        first = [term.decode("utf-8", "backslashreplace") for term in terms[:_MOST_SHOWN]]
        yield Vocabulary(names.get(file.name, file.name), len(terms), first, feature, coverage)


def _asset_names(file: Path) -> dict[str, str]:
    """TFT's names of the assets, by their files."""
    try:
        found = json.loads(file.read_text("utf-8"))
        return {str(name): str(key) for key, name in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _terms(file: Path) -> list[bytes]:
    """A vocabulary's terms: lines, or records of a TFRecord file."""
    if ".tfrecord" in file.name:
        return list(read_records(file))
    opened = gzip.open if file.name.endswith(".gz") else open
    with opened(file, "rb") as lines:
        return [line.rstrip(b"\r\n") for line in lines]


def _source(terms: list[bytes], before: Mapping[str, Any]) -> tuple[str, float | None]:
    """The only feature whose values begin as a vocabulary does, and the share of its values in the vocabulary.

    TFT does not record where a vocabulary comes from; its terms are ordered by how often they occur.
    """
    known = set(terms)
    found = []
    for name, each in before.items():
        counts = {bucket.label.encode(): bucket.sample_count for bucket in each.string_stats.rank_histogram.buckets}
        total = each.string_stats.common_stats.tot_num_values
        if counts and total and known and set(terms[:_TRUSTED]) <= counts.keys():
            found.append((name, sum(count for label, count in counts.items() if label in known) / total))
    return found[0] if len(found) == 1 else ("", None)
