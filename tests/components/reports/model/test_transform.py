"""The section on a transform: features before and after, and vocabularies with their coverage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.contract.artifacts import TransformGraph
from components.reports.model import transform
from components.reports.readers import transform_graphs
from tests.components.reports.model.pages import HOSTILE, TURNED, cells, require_harmless, text

BEFORE = """
feature { name: "fare" type: FLOAT }
feature { name: "company" type: BYTES }
feature { name: "payment" type: BYTES string_domain { value: "Cash" value: "Card" } }
"""
AFTER = """
feature { name: "fare_xf" type: FLOAT }
feature { name: "company_xf" type: INT int_domain { min: 0 max: 56 is_categorical: true } }
"""


def transform_graph(folder: Path, **assets: str) -> TransformGraph:
    """A TransformGraph of 100 rows, with vocabularies by file."""
    for name, schema in {"metadata": BEFORE, "transformed_metadata": AFTER}.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "schema.pbtxt").write_text(schema)
    (folder / "transform_fn/assets").mkdir(parents=True)
    for name, content in assets.items():
        (folder / "transform_fn/assets" / name).write_bytes(content.encode())
    (folder / "transformed_metadata/asset_map").write_text(
        json.dumps({f"vocabulary of {name}": name for name in assets})
    )
    write_statistics(folder)
    return TransformGraph(folder, {"analysis": "direct"})


def write_statistics(folder: Path, *labels: str) -> None:
    counts = dict(zip(labels or ("Flash", "Blue", "Taxi 7"), (50, 30, 10), strict=False))
    statistics = statistics_pb2.DatasetFeatureStatisticsList()
    dataset = statistics.datasets.add(num_examples=100)
    dataset.features.add(path={"step": ["company"]}, string_stats=string_stats(counts, 100))
    dataset.features.add(path={"step": ["payment"]}, string_stats=string_stats({"Cash": 60, "Card": 40}, 100))
    fare = {"mean": 12.5, "std_dev": 2.0, "min": 1.0, "max": 90.0, "num_zeros": 5}
    common = {"num_non_missing": 80, "num_missing": 20, "tot_num_values": 80}
    dataset.features.add(path={"step": ["fare"]}, name="fare", num_stats={**fare, "common_stats": common})
    (folder / "pre_transform_feature_stats").mkdir(exist_ok=True)
    (folder / "pre_transform_feature_stats/FeatureStats.pb").write_bytes(statistics.SerializeToString())


def string_stats(counts: dict[str, int], values: int) -> Any:
    stats = statistics_pb2.StringStatistics(unique=len(counts))
    stats.common_stats.num_non_missing = stats.common_stats.tot_num_values = values
    for label, count in counts.items():
        stats.rank_histogram.buckets.add(label=label, sample_count=count)
    return stats


def test_features_are_shown_before_and_after_with_the_analysis(tmp_path: Path) -> None:
    section = transform.section(transform_graph(tmp_path, companies="Flash\nBlue\n"))

    assert section.summary == "3 features became 2, with one vocabulary. The data was analyzed directly, without Beam."
    assert cells(section, "fare") == ["float", "–", "20 %", "6.2 %", "12.5", "2", "1", "90", "–"]
    assert cells(section, "payment")[:2] == ["string", "2 values"]
    assert cells(section, "company_xf") == ["integer", "0 to 56"]
    assert "Not used" not in text(section)


def test_features_that_are_not_used_are_named(tmp_path: Path) -> None:
    graph = transform_graph(tmp_path)
    (graph.path / "metadata/schema.pbtxt").write_text(BEFORE + 'feature { name: "tolls" type: FLOAT }')

    assert "Not used by the preprocessing_fn, and so not counted: tolls." in text(transform.section(graph))


def test_a_vocabulary_is_shown_with_its_feature_and_coverage(tmp_path: Path) -> None:
    graph = transform_graph(tmp_path, companies="Flash\nBlue\n", payments="Cash\nCard\n", others="What\nelse\n")

    section = transform.section(graph)

    assert cells(section, "vocabulary of companies") == ["2", "company", "80 %", "Flash, Blue"]
    assert cells(section, "vocabulary of payments") == ["2", "payment", "100 %", "Cash, Card"]
    assert cells(section, "vocabulary of others") == ["2", "–", "–", "What, else"]


def test_an_ambiguous_vocabulary_has_no_source_feature(tmp_path: Path) -> None:
    graph = transform_graph(tmp_path, payments="Cash\nCard\n")
    write_statistics(graph.path, "Cash", "Card", "Free")

    assert cells(transform.section(graph), "vocabulary of payments")[1:3] == ["–", "–"]


def test_statistics_are_optional(tmp_path: Path) -> None:
    graph = transform_graph(tmp_path)
    (graph.path / "pre_transform_feature_stats/FeatureStats.pb").unlink()
    graph.metadata["analysis"] = "unknown"

    section = transform.section(graph)

    assert section.summary == "3 features became 2."
    assert cells(section, "fare") == ["float", "–"]


@pytest.mark.parametrize(
    "file",
    ["metadata/schema.pbtxt", "transformed_metadata/schema.pbtxt", "pre_transform_feature_stats/FeatureStats.pb"],
)
def test_a_damaged_file_is_reported_in_a_sentence(tmp_path: Path, file: str) -> None:
    graph = transform_graph(tmp_path)
    (graph.path / file).write_bytes(b"\0\1damaged")

    section = transform.section(graph)

    assert section.summary == "What the transform makes cannot be read."
    assert file in text(section)


def test_missing_files_are_reported_in_a_sentence(tmp_path: Path) -> None:
    section = transform.section(TransformGraph(tmp_path / "gone"))

    assert "The features cannot be shown: " in text(section)


def test_untrusted_names_are_escaped(tmp_path: Path) -> None:
    graph = transform_graph(tmp_path, **{"a'b": f"{HOSTILE}\n{TURNED}\n"})
    schema = schema_pb2.Schema()
    for name in (HOSTILE, TURNED, "__proto__"):
        schema.feature.add(name=name, type=schema_pb2.BYTES)
    (graph.path / "metadata/schema.pbtxt").write_text(text_format.MessageToString(schema))

    section = transform.section(graph)

    require_harmless(section)
    assert cells(section, HOSTILE)[0] == "string"


def test_vocabularies_in_tfrecords_are_read(tmp_path: Path) -> None:
    graph = transform_graph(tmp_path)
    from components.data.tfrecord import write_records

    with (graph.path / "transform_fn/assets/v.tfrecord").open("wb") as file:
        write_records(file, [b"Flash", b"Blue"])

    vocabularies = transform_graphs.read(graph.path).vocabularies
    assert [(each.size, each.first, each.feature) for each in vocabularies] == [(2, ["Flash", "Blue"], "company")]
