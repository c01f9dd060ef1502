"""Reports of statistics, schemas and anomalies."""

import time
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.contract.artifacts import ExampleAnomalies, ExampleStatistics, Schema
from components.contract.errors import DataError
from components.reports.artifacts import renderers
from components.reports.data import anomalies, schema, statistics
from components.reports.markup import visible
from components.reports.page import Section, render
from components.reports.ran import Ran
from tests.components.reports.parsed import HOSTILE, Page, require_safe

Statistics = statistics_pb2.DatasetFeatureStatisticsList


def _page(section: Section) -> Page:
    return require_safe(render("Report", [section]))


def _statistics(rows: int, *features: str) -> Statistics:
    text = f"datasets {{ num_examples: {rows} {' '.join(f'features {{ {each} }}' for each in features)} }}"
    return text_format.Parse(text, Statistics())


def _fare(count: int, missing: int, mean: float) -> str:
    common = f"common_stats {{ num_non_missing: {count} num_missing: {missing} tot_num_values: {count} }}"
    buckets = "".join(
        f"buckets {{ low_value: {low} high_value: {low + 10} sample_count: {count / 4} }}" for low in (0, 10, 20, 30)
    )
    histograms = " ".join(f"histograms {{ {buckets} type: {kind} }}" for kind in ("STANDARD", "QUANTILES"))
    numbers = f"mean: {mean} std_dev: 9.5 num_zeros: {count // 10} min: -2.5 median: 7.25 max: 1234.5"
    return f'path {{ step: "fare" }} type: FLOAT num_stats {{ {common} {numbers} {histograms} }}'


def _company(name: str = "company", values: tuple[str, ...] = ("Taxi A", "Taxi B"), unique: int = 12) -> str:
    top = "".join(
        f"top_values {{ value: {_quoted(value)} frequency: {60 - index} }}" for index, value in enumerate(values)
    )
    common = "common_stats { num_non_missing: 100 num_missing: 25 tot_num_values: 120 }"
    numbers = f"unique: {unique} avg_length: 6.5"
    return f"path {{ step: {_quoted(name)} }} type: STRING string_stats {{ {common} {numbers} {top} }}"


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\{byte:03o}" for byte in text.encode(errors="replace")) + '"'


def test_a_numeric_feature_is_shown_by_split() -> None:
    page = _page(
        statistics.section({"eval": _statistics(50, _fare(40, 10, 8.0)), "train": _statistics(100, _fare(100, 0, 9.0))})
    )
    assert "1 feature; examples: 100 in train, 50 in eval." in page.text
    table = page.tables["Numeric features (1)"]
    row = table.row("fare float")
    assert row["Split"] == "train eval"
    assert row["Count"] == "100 40"
    assert row["Missing"] == "0 % 20 %"
    assert row["Zeros"] == "10 % 10 %"
    assert row["Mean"] == "9 8"
    assert (row["Std"], row["Min"], row["Median"], row["Max"]) == ("9.5 9.5", "−2.5 −2.5", "7.25 7.25", "1,234 1,234")
    assert "train: 0 · 10 · 20 · 30 · 40" in row["Distribution"]
    assert len([each for each in page.all("path") if "s0 area" in str(each["class"])]) == 1
    assert len([each for each in page.all("path") if "s1 stroke" in str(each["class"])]) == 1


def test_a_string_feature_is_shown_by_split() -> None:
    page = _page(statistics.section({"train": _statistics(125, _company())}))
    row = page.tables["Categorical features (1)"].row("company string")
    assert (row["Count"], row["Missing"], row["Distinct"], row["Mean length"]) == ("100", "20 %", "12", "6.5")
    assert row["Top values"] == "Taxi A 50 % Taxi B 49.2 % and 10 more"


def test_a_feature_without_values_has_no_mean_and_is_named() -> None:
    page = _page(
        statistics.section(
            {"train": _statistics(10, 'path { step: "tract" } num_stats { common_stats { num_missing: 10 } }')}
        )
    )
    row = page.tables["Numeric features (1)"].row("tract int")
    assert (row["Count"], row["Missing"], row["Mean"], row["Max"]) == ("0", "100 %", "–", "–")
    assert "Without any value: tract." in page.text


def test_statistics_without_features_or_rows_are_reported() -> None:
    assert "There are no features" in _page(statistics.section({"train": _statistics(0)})).text
    assert "0 features; examples: none." in _page(statistics.section({})).text
    assert "There are no features" in _page(statistics.section({"train": Statistics()})).text


def test_bytes_and_structs_are_listed_and_nested_names_have_dots() -> None:
    common = "common_stats { num_non_missing: 4 min_num_values: 1 max_num_values: 3 avg_num_values: 1.5 }"
    struct = f'path {{ step: "a" step: "b" }} type: STRUCT struct_stats {{ {common} }}'
    raw = f'path {{ step: "raw" }} type: BYTES bytes_stats {{ {common} unique: 3 avg_num_bytes: 20.5 }}'
    table = _page(statistics.section({"train": _statistics(4, struct, raw)})).tables["Other features (2)"]
    assert table.row("a.b struct")["Values per example"] == "1 to 3, 1.5 on average"
    assert table.row("raw bytes")["Mean bytes"] == "20.5"


@pytest.mark.parametrize("name", HOSTILE)
def test_untrusted_names_and_values_are_escaped(name: str) -> None:
    found = Statistics.FromString(_statistics(9, _company(name, (name,))).SerializeToString())
    page = _page(statistics.section({name: found}))
    shown = " ".join(visible(name.encode(errors="replace").decode()).split())
    assert page.tables["Categorical features (1)"].row(f"{shown} string")["Top values"].startswith(shown)


def test_three_hundred_features_render_fast_and_small() -> None:
    numeric = [_fare(1000, 7, 3.25).replace('"fare"', f'"feature_{number:03}"') for number in range(200)]
    string_features = [
        _company(f"text_{number:03}", tuple(f"value number {each} of many" for each in range(20)))
        for number in range(100)
    ]
    splits = {name: _statistics(1000, *numeric, *string_features) for name in ("train", "eval", "test")}
    began = time.process_time()
    html = render("Report", [statistics.section(splits)])
    assert time.process_time() - began < 5
    assert len(html.encode()) < 5_000_000
    assert len(Page(html).tables["Numeric features (200)"].rows) == 200


def test_a_schema_is_a_table() -> None:
    text = """
        feature { name: "fare" type: FLOAT presence { min_fraction: 1 min_count: 1 }
                  shape { dim { size: 1 } } float_domain { min: 0 }
                  drift_comparator { jensen_shannon_divergence { threshold: 0.1 } } }
        feature { name: "kind" type: BYTES domain: "kinds" value_count { min: 1 max: 3 } not_in_environment: "SERVING" }
        feature { name: "month" type: INT int_domain { min: 1 max: 12 } presence { min_fraction: 0.5 } }
        feature { name: "trip" type: STRUCT struct_domain { feature { name: "end" type: INT } } }
        string_domain { name: "kinds" value: "<b>cash</b>" value: "card" }
        default_environment: "TRAINING" default_environment: "SERVING"
        dataset_constraints { min_examples_count: 5 }
    """
    page = _page(schema.section(text_format.Parse(text, schema_pb2.Schema())))
    table = page.tables["Features of the schema (5)"]
    fare, kind, month = table.row("fare"), table.row("kind"), table.row("month")
    assert (fare["Type"], fare["Presence"], fare["Values per example"], fare["Domain"]) == (
        "float",
        "required",
        "1",
        "at least 0",
    )
    assert fare["Limits"] == "drift: jensen shannon divergence at most 0.1"
    assert (kind["Type"], kind["Presence"], kind["Values per example"]) == ("bytes", "optional", "1 to 3")
    assert (kind["Domain"], kind["Limits"]) == ("<b>cash</b>, card", "not in SERVING")
    assert (month["Presence"], month["Domain"]) == ("in at least 50 % of the examples", "1 to 12")
    assert table.row("trip.end")["Type"] == "int"
    assert "Environments: TRAINING, SERVING." in page.text
    assert "min_examples_count: 5" in page.text


def test_anomalies_are_shown_with_feature_reason_and_severity() -> None:
    text = """
        anomaly_info { key: "<i>fare</i>" value { severity: ERROR
            reason { type: FLOAT_TYPE_SMALL_FLOAT short_description: "Too small" description: "value: -3 < 0" }
            reason { type: UNKNOWN_TYPE description: "b" } } }
        anomaly_info { key: "company" value { severity: WARNING short_description: "New values" } }
        drift_skew_info { path { step: "fare" }
                          drift_measurements { type: JENSEN_SHANNON_DIVERGENCE value: 0.25 threshold: 0.1 }
                          skew_measurements { type: L_INFTY value: 0.01 threshold: 0.2 } }
    """
    bad = text_format.Parse(text, anomalies_pb2.Anomalies())
    page = _page(anomalies.section({"train": bad, "eval": anomalies_pb2.Anomalies(data_missing=True)}))
    rows = page.tables["Anomalies (4)"].rows
    assert ["<i>fare</i>", "train", "✗ error", "Too small", "value: -3 < 0"] in rows
    assert ["<i>fare</i>", "train", "✗ error", "unknown type", "b"] in rows
    assert ["company", "train", "! warning", "New values", ""] in rows
    assert ["the whole data set", "eval", "✗ error", "no data", "There are no rows."] in rows
    drift, skew = page.tables["Drift and skew (2)"].rows
    assert drift == ["fare", "train", "drift", "jensen shannon divergence", "0.25", "0.1"]
    assert skew == ["fare", "train", "skew", "l infty", "0.01", "0.2"]
    assert "number bad" in [each.get("class") for each in page.all("td")]
    assert "1 of 2 distances above their threshold." in page.text


def test_the_absence_of_anomalies_is_stated() -> None:
    page = _page(anomalies.section({"eval": anomalies_pb2.Anomalies()}))
    assert "No anomalies in eval: the data are as the schema says." in page.text


def test_artifacts_are_read_from_their_folders(tmp_path: Path) -> None:
    made = {kind: tmp_path / kind.__name__ for kind in (ExampleStatistics, Schema, ExampleAnomalies)}
    for folder in (made[ExampleStatistics] / "Split-train", made[ExampleAnomalies] / "Split-train", made[Schema]):
        folder.mkdir(parents=True)
    (made[ExampleStatistics] / "Split-train/FeatureStats.pb").write_bytes(
        _statistics(5, _fare(5, 0, 1)).SerializeToString()
    )
    (made[ExampleAnomalies] / "Split-train/SchemaDiff.pb").write_bytes(b"")
    (made[Schema] / "schema.pbtxt").write_text('feature { name: "fare" type: FLOAT }')
    sections = [dict(renderers())[kind.__name__](kind(path), Ran()) for kind, path in made.items()]
    page = require_safe(render("Report", sections))
    assert set(page.tables) == {"Numeric features (1)", "Features of the schema (1)"}
    (made[ExampleAnomalies] / "Split-train/SchemaDiff.pb").write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match=r"SchemaDiff.pb has no readable anomalies"):
        dict(renderers())["ExampleAnomalies"](ExampleAnomalies(made[ExampleAnomalies]), Ran())


def test_statistics_of_the_last_run_are_laid_over_the_largest_split() -> None:
    now = {"eval": _statistics(5, _fare(5, 0, 2)), "train": _statistics(10, _fare(10, 0, 2))}
    page = _page(statistics.section(now, earlier={"train": _statistics(8, _fare(8, 0, 7))}))
    assert page.tables["Numeric features (1)"].rows[0][2:4] == ["train eval train, last run", "10 5 8"]
    assert "7" in page.tables["Numeric features (1)"].row("fare float")["Mean"]


def test_three_hundred_features_beside_those_of_the_last_run_are_small() -> None:
    numeric = [_fare(1000, 7, 3.25).replace('"fare"', f'"feature_{number:03}"') for number in range(300)]
    splits = {name: _statistics(1000, *numeric) for name in ("train", "eval")}
    html = render("Report", [statistics.section(splits, earlier=splits)])
    assert len(html.encode()) < 5_000_000
    few = {name: _statistics(1000, *numeric[:100]) for name in ("train", "eval")}
    assert len(render("Report", [statistics.section(few, earlier=few)]).encode()) < 2_000_000


def test_what_changed_of_a_schema() -> None:
    then = text_format.Parse('feature { name: "a" type: INT } feature { name: "b" type: INT }', schema_pb2.Schema())
    now = text_format.Parse('feature { name: "a" type: FLOAT } feature { name: "c" type: INT }', schema_pb2.Schema())
    page = _page(schema.section(now, before=then))
    assert page.tables["What changed since the last run"].rows == [
        ["a", "type", "int", "float"],
        ["b", "the feature", "there", "gone"],
        ["c", "the feature", "missing", "new"],
    ]
    assert "3 changes since the last run" in page.text
    assert "What changed since the last run" not in _page(schema.section(now, before=now)).tables


def test_drift_is_shown_as_distributions_laid_over_each_other(tmp_path: Path) -> None:
    inputs = {}
    for port, mean in (("statistics", 2.0), ("previous_statistics", 9.0)):
        split = tmp_path / port / "Split-train"
        split.mkdir(parents=True)
        found = _statistics(10, _fare(10, 0, mean), _company())
        (split / "FeatureStats.pb").write_bytes(found.SerializeToString())
        inputs[port] = ExampleStatistics(tmp_path / port)
    measured = """drift_skew_info { path { step: "fare" }
        drift_measurements { type: JENSEN_SHANNON_DIVERGENCE value: 0.4 threshold: 0.1 } }
        anomaly_info { key: "company" value { severity: ERROR reason { short_description: "new" } } }"""
    (tmp_path / "out/Split-train").mkdir(parents=True)
    file = tmp_path / "out/Split-train/SchemaDiff.pb"
    file.write_bytes(text_format.Parse(measured, anomalies_pb2.Anomalies()).SerializeToString())
    page = _page(anomalies.of_artifact(ExampleAnomalies(tmp_path / "out"), inputs))
    drift = page.tables["Drift and skew (1)"].row("fare")
    assert (drift["Distance"], drift["Threshold"]) == ("0.4", "0.1")
    assert "train: 0 · 10 · 20 · 30 · 40 previous statistics: 0 · 10" in drift["Distributions"]
    assert "the split what it is compared with" in page.text
    assert "Taxi A" in page.tables["Anomalies (1)"].row("company")["Distribution"]
    without = _page(anomalies.of_artifact(ExampleAnomalies(tmp_path / "out")))
    assert "Distributions" not in without.tables["Drift and skew (1)"].row("fare")
