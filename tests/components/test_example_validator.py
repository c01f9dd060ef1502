"""Anomalies, drift, skew and custom validations are detected, recorded as by TFX, and stop the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.utils.anomalies_util import load_anomalies_binary
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.contract.artifacts import ExampleAnomalies, ExampleStatistics, Schema
from components.contract.errors import DataError, UserError
from components.statistics_gen.compute import statistics

SCHEMA = """
    default_environment: "TRAINING"
    default_environment: "SERVING"
    feature {
        name: "payment" type: BYTES domain: "payments" presence { min_fraction: 1 min_count: 1 }
        shape { dim { size: 1 } }
        drift_comparator { infinity_norm { threshold: 0.1 } }
    }
    feature {
        name: "fare" type: FLOAT float_domain { min: 0 max: 100 } presence { min_count: 1 }
        skew_comparator { jensen_shannon_divergence { threshold: 0.05 } }
    }
    feature { name: "tips" type: FLOAT presence { min_count: 1 } not_in_environment: "SERVING" }
    string_domain { name: "payments" value: "Cash" value: "Card" }
"""


def rows(payments: str = "Cash Card", fare: float = 10.0, tips: bool = True) -> pa.RecordBatch:
    """A hundred rows for each word of `payments`; fares count up from `fare`."""
    words = [word.encode() for word in payments.split() for _ in range(100)]
    columns = {
        "payment": pa.array([[word] for word in words], pa.large_list(pa.large_binary())),
        "fare": pa.array([[fare + number % 10] for number in range(len(words))], pa.large_list(pa.float32())),
    }
    if tips:
        columns["tips"] = pa.array([[1.0]] * len(words), pa.large_list(pa.float32()))
    return pa.RecordBatch.from_pydict(columns)


class Given:
    """Writes the stage's inputs into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def statistics(self, name: str, **splits: pa.RecordBatch) -> ExampleStatistics:
        for split, batch in splits.items():
            path = self.folder / name / f"Split-{split}"
            path.mkdir(parents=True)
            found = statistics([batch], tfdv.StatsOptions())
            (path / "FeatureStats.pb").write_bytes(found.SerializeToString())
        return ExampleStatistics(self.folder / name, {"split_names": json.dumps(list(splits))})

    def schema(self, text: str = SCHEMA) -> Schema:
        (self.folder / "schema").mkdir()
        (self.folder / "schema" / "schema.pbtxt").write_text(text)
        return Schema(self.folder / "schema")

    def custom(self, text: str) -> str:
        (self.folder / "custom.pbtxt").write_text(text)
        return str(self.folder / "custom.pbtxt")


@pytest.fixture
def given(tmp_path: Path) -> Given:
    return Given(tmp_path)


@pytest.fixture
def validate(run_stage: Any, given: Given) -> Any:
    """`validate(splits or statistics, inputs={...}, **parameters)`: the anomalies artifact."""

    def run(current: ExampleStatistics, inputs: dict[str, Any] | None = None, **parameters: Any) -> ExampleAnomalies:
        schema = {"schema": (inputs or {}).get("schema") or given.schema()}
        made: ExampleAnomalies = run_stage(
            "example_validator", {"statistics": current, **(inputs or {}), **schema}, parameters
        )["anomalies"]
        return made

    return run


def anomalies_of(artifact: ExampleAnomalies, split: str) -> anomalies_pb2.Anomalies:
    return load_anomalies_binary(str(artifact.path / f"Split-{split}" / "SchemaDiff.pb"))


def test_data_without_anomalies_are_blessed(given: Given, validate: Any, capsys: Any) -> None:
    current = given.statistics("current", train=rows(), eval=rows())
    current.metadata["span"] = 3
    artifact = validate(current)
    assert json.loads(artifact.metadata["split_names"]) == ["train", "eval"]
    assert (artifact.metadata["blessed"], artifact.metadata["span"]) == ({"train": 1, "eval": 1}, 3)
    assert not anomalies_of(artifact, "train").anomaly_info
    assert "no anomalies\n" in capsys.readouterr().out


def test_an_anomaly_stops_the_run_and_names_feature_reason_and_value(
    given: Given, validate: Any, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        validate(given.statistics("current", train=rows(), eval=rows("Cash Prcard", fare=95)))
    assert str(error.value) == (
        "2 anomalies in the data:\n"
        "  eval: fare: Out-of-range values: Unexpectedly high value: 104>100(upto six significant digits)\n"
        "  eval: payment: Unexpected string values: Examples contain values missing from the schema: Prcard (~50%).\n"
        "  fix: correct the data, or widen the schema; with fail_on_anomalies=False the run continues and records them"
    )
    assert not (tmp_path / "example_validator" / "anomalies").exists()


def test_anomalies_are_recorded_as_tfx_does(given: Given, validate: Any, capsys: Any) -> None:
    current = given.statistics("current", train=rows(), eval=rows("Prcard"), test=rows(tips=False))
    artifact = validate(current, fail_on_anomalies=False)
    assert artifact.metadata["blessed"] == {"train": 1, "eval": 0, "test": 0}
    assert list(anomalies_of(artifact, "eval").anomaly_info) == ["payment"]
    assert "test: tips: Column dropped: Column is completely missing" in capsys.readouterr().out
    theirs = _by_tfx(current, given.folder)
    for split in ("train", "eval", "test"):
        assert anomalies_of(artifact, split) == load_anomalies_binary(str(theirs / f"Split-{split}" / "SchemaDiff.pb"))


def _by_tfx(current: ExampleStatistics, folder: Path) -> Path:
    from tfx.components.example_validator.executor import Executor
    from tfx.types import standard_artifacts

    source, schema, target = (
        standard_artifacts.ExampleStatistics(),
        standard_artifacts.Schema(),
        standard_artifacts.ExampleAnomalies(),
    )
    source.uri, source.split_names = str(current.path), current.metadata["split_names"]
    source.set_string_custom_property("tfx_version", "1.21.0")
    schema.uri, target.uri = str(folder / "schema"), str(folder / "by_tfx")
    Executor().Do({"statistics": [source], "schema": [schema]}, {"anomalies": [target]}, {})
    return folder / "by_tfx"


def test_only_the_selected_splits_are_validated(given: Given, validate: Any) -> None:
    current = given.statistics("current", train=rows(), eval=rows("Prcard"))
    assert validate(current, splits=["train"]).metadata["blessed"] == {"train": 1}


def test_a_split_without_rows_is_an_anomaly(given: Given, validate: Any) -> None:
    with pytest.raises(UserError, match=r"1 anomaly in the data:\n  train: there are no rows\n"):
        validate(given.statistics("current", train=rows("")))


@pytest.mark.parametrize("environment", ["TRAINING", "SERVING"])
def test_features_are_checked_by_environment(given: Given, validate: Any, environment: str) -> None:
    artifact = validate(
        given.statistics("current", train=rows(tips=False)), environment=environment, fail_on_anomalies=False
    )
    assert list(anomalies_of(artifact, "train").anomaly_info) == (["tips"] if environment == "TRAINING" else [])


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (SCHEMA, "the schema has no environment 'SERVE'\n  fix: it has TRAINING, SERVING"),
        ('feature { name: "fare" }', "'SERVE'\n  fix: add `default_environment` to the schema; it has none"),
    ],
)
def test_an_unknown_environment_is_refused(given: Given, validate: Any, schema: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        validate(given.statistics("c", train=rows()), {"schema": given.schema(schema)}, environment="SERVE")
    assert message in str(error.value)


def test_drift_from_earlier_statistics_is_detected(given: Given, validate: Any, capsys: Any) -> None:
    inputs = {"previous_statistics": given.statistics("previous", train=rows("Cash Cash Cash Card"))}
    current = given.statistics("current", train=rows("Cash Card"))
    with pytest.raises(UserError) as error:
        validate(current, inputs)
    assert (
        "train: payment: High Linfty distance between current and previous: The Linfty distance between current and "
        "previous is 0.25 (up to six significant digits), above the threshold 0.1. The feature value with maximum "
        "difference is: "
    ) in str(error.value)
    output = capsys.readouterr().out
    assert "train: payment: drift L_INFTY 0.25, threshold 0.1\n" in output
    assert "skew of fare is not checked: there are no serving_statistics\n" in output


def test_skew_against_serving_data_is_detected(given: Given, validate: Any, capsys: Any) -> None:
    inputs = {"serving_statistics": given.statistics("serving", requests=rows(fare=55))}
    with pytest.raises(UserError) as error:
        validate(given.statistics("current", train=rows(), eval=rows(fare=55)), inputs)
    assert str(error.value).startswith("1 anomaly in the data:\n  train: fare: High approximate Jensen-Shannon diverge")
    assert "above the threshold 0.05" in str(error.value)
    assert "drift of payment is not checked: there are no previous_statistics\n" in capsys.readouterr().out


def test_missing_comparisons_are_reported(given: Given, validate: Any, capsys: Any) -> None:
    inputs = {
        "schema": given.schema(SCHEMA.replace("drift_comparator", "skew_comparator")),
        "previous_statistics": given.statistics("previous", train=rows()),
    }
    validate(given.statistics("current", train=rows()), inputs)
    message = (
        "previous_statistics are not compared feature by feature: no feature in the schema has a drift_comparator\n"
    )
    assert message in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "present_splits", "message"),
    [
        (
            "previous_statistics",
            ["train"],
            "validate only the splits that they have (train), or give statistics with 'eval'",
        ),
        ("serving_statistics", ["a", "b"], "give statistics with 'train' or with a single split (these have a, b)"),
    ],
)
def test_splits_that_cannot_be_compared_are_refused(
    given: Given, validate: Any, name: str, present_splits: list[str], message: str, tmp_path: Path
) -> None:
    inputs = {name: given.statistics("others", **{split: rows() for split in present_splits})}
    with pytest.raises(UserError) as error:
        validate(given.statistics("current", train=rows(), eval=rows()), inputs)
    assert f"{name} ({tmp_path / 'others'}) have no split " in str(error.value)
    assert message in str(error.value)


CUSTOM = """
feature_validations {
  feature_path { step: "fare" }
  validations {
    sql_expression: "feature.num_stats.mean BETWEEN 10 AND 20 AND feature.type <> 'x'"
    severity: ERROR
    description: "fares have moved"
  }
  validations {
    sql_expression: "feature.num_stats.num_zeros / feature.num_stats.common_stats.num_non_missing < 0.5"
    severity: WARNING
    description: "too many zeros"
  }
  validations {
    sql_expression: "feature.num_stats.max < 0"
    severity: ERROR
    description: "for serving only"
    in_environment: "SERVING"
  }
}
"""


def test_custom_validations_are_checked(given: Given, validate: Any, tmp_path: Path) -> None:
    current = given.statistics("current", train=rows(), eval=rows(fare=30))
    with pytest.raises(UserError) as error:
        validate(current, custom_validations=given.custom(CUSTOM))
    assert (
        "1 anomaly in the data:\n  eval: fare: fares have moved: feature.num_stats.mean BETWEEN 10 AND 20 AND "
        "feature.type <> 'x' does not hold for all rows\n"
    ) in str(error.value)


def test_custom_validations_are_checked_by_environment(given: Given, validate: Any) -> None:
    artifact = validate(
        given.statistics("current", train=rows(tips=False)),
        custom_validations=given.custom(CUSTOM),
        environment="SERVING",
        fail_on_anomalies=False,
    )
    (info,) = anomalies_of(artifact, "train").anomaly_info.values()
    assert (list(info.path.step), info.severity, info.short_description) == (["fare"], 2, "for serving only")
    assert info.reason[0].type == anomalies_pb2.AnomalyInfo.CUSTOM_VALIDATION


def test_a_warning_is_recorded_and_does_not_stop_the_run(given: Given, validate: Any, capsys: Any) -> None:
    custom = CUSTOM.replace("severity: ERROR", "severity: WARNING")
    artifact = validate(given.statistics("current", train=rows(fare=30)), custom_validations=given.custom(custom))
    assert artifact.metadata["blessed"] == {"train": 0}
    assert "train: fare (warning): fares have moved: " in capsys.readouterr().out


PAIR = """
feature_pair_validations {
  feature_test_path { step: "fare" }
  feature_base_path { step: "fare" }
  validations {
    sql_expression: "abs(feature_test.num_stats.mean - feature_base.num_stats.mean) < 5"
    severity: ERROR
    description: "the mean fare has moved"
  }
}
"""


@pytest.mark.parametrize(("fare", "blessed"), [(12, 1), (40, 0)])
def test_custom_validations_may_compare_pairs_of_features(
    given: Given, validate: Any, fare: float, blessed: int
) -> None:
    inputs = {"previous_statistics": given.statistics("previous", train=rows())}
    artifact = validate(
        given.statistics("current", train=rows(fare=fare)),
        inputs,
        custom_validations=given.custom(PAIR),
        fail_on_anomalies=False,
    )
    assert artifact.metadata["blessed"] == {"train": blessed}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CUSTOM.replace("sql_expression", "sql"), "custom.pbtxt, line 5, column 5: Message type"),
        (CUSTOM.replace('step: "fare"', 'step: "fair"'), "name the feature 'fair'\n  fix: did you mean 'fare'?"),
        (
            CUSTOM.replace("stats.mean", "stats.meen"),
            "'meen', which is not a field of NumericStatistics\n  fix: did you mean",
        ),
        (CUSTOM.replace("BETWEEN", "BETWIXT"), "cannot be evaluated: "),
        (CUSTOM.replace("num_stats.max", "string_stats.unique"), "is NULL, not true or false\n  fix: see whether"),
        (CUSTOM.replace("feature.num_stats.max < 0", "feature.num_stats.max"), "is 19.0, not true or false"),
        (CUSTOM.replace("num_stats.max < 0", "num_stats.histograms < 0"), "which is not a single value"),
        (
            CUSTOM.replace("feature.num_stats.max", "feature_base.num_stats.max"),
            "names 'feature_base'\n  fix: use feature",
        ),
        (CUSTOM.replace("feature_path", 'dataset_name: "x" feature_path'), "name the slice 'x'"),
        (PAIR, "feature_pair_validations compare with other statistics, but none were given\n  fix: give previous_"),
    ],
)
def test_invalid_custom_validations_are_refused(
    given: Given, validate: Any, config: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        validate(
            given.statistics("current", train=rows(tips=False)),
            custom_validations=given.custom(config),
            environment="SERVING",
        )
    assert message in str(error.value)
    assert not (tmp_path / "example_validator" / "anomalies").exists()


@pytest.mark.parametrize(
    ("schema", "message"),
    [("feature {", "schema.pbtxt, line 1, column 9: "), ("x: 1", "schema.pbtxt, line 1, column 1: ")],
)
def test_an_invalid_schema_is_refused(given: Given, validate: Any, schema: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        validate(given.statistics("current", train=rows()), {"schema": given.schema(schema)})
    assert message in str(error.value)


def test_damaged_statistics_are_refused(given: Given, validate: Any) -> None:
    current = given.statistics("current", train=rows())
    (current.path / "Split-train" / "FeatureStats.pb").unlink()
    with pytest.raises(DataError, match=r"FeatureStats.pb has no readable statistics: .*\n  fix: run statistics_gen"):
        validate(current)
