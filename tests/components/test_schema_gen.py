"""A schema is inferred as by TFX, or a curated one is kept byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2

from components.contract.artifacts import ExampleStatistics, Schema
from components.contract.errors import DataError, UserError
from components.data.examples import to_tfxio_form
from components.statistics_gen.compute import statistics

CURATED = b"""# Kept by hand: comments and order stay.
default_environment: "TRAINING"
default_environment: "SERVING"
feature { name: "tips" type: FLOAT not_in_environment: "SERVING" }

feature { name: "fare" type: FLOAT }
"""


@pytest.fixture(scope="module")
def taxi_statistics(taxi_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> ExampleStatistics:
    table = pyarrow.csv.read_csv(taxi_csv).combine_chunks()
    rows = to_tfxio_form(table.to_batches()[0])
    return statistics_artifact(tmp_path_factory.mktemp("statistics"), {"train": rows[:10_000], "eval": rows[10_000:]})


def statistics_artifact(path: Path, splits: dict[str, pa.RecordBatch]) -> ExampleStatistics:
    for split, rows in splits.items():
        folder = path / f"Split-{split}"
        folder.mkdir(parents=True)
        found = statistics([rows], tfdv.StatsOptions())
        (folder / "FeatureStats.pb").write_bytes(found.SerializeToString())
    return ExampleStatistics(path, {"split_names": json.dumps(list(splits)), "tfx_version": "1.21.0"})


@pytest.mark.parametrize("infer_feature_shape", [True, False])
def test_the_inferred_schema_equals_that_of_tfx(
    taxi_statistics: ExampleStatistics, run_stage: Any, tmp_path: Path, infer_feature_shape: bool
) -> None:
    artifact = run_stage("schema_gen", {"statistics": taxi_statistics}, {"infer_feature_shape": infer_feature_shape})[
        "schema"
    ]
    theirs = _by_tfx(taxi_statistics, tmp_path / "tfx", infer_feature_shape)
    assert (artifact.path / "schema.pbtxt").read_bytes() == theirs.read_bytes()


def _by_tfx(artifact: ExampleStatistics, path: Path, infer_feature_shape: bool) -> Path:
    from tfx.components.schema_gen.executor import Executor
    from tfx.types import standard_artifacts

    source, target = standard_artifacts.ExampleStatistics(), standard_artifacts.Schema()
    source.uri, source.split_names, target.uri = str(artifact.path), artifact.metadata["split_names"], str(path)
    source.set_string_custom_property("tfx_version", artifact.metadata["tfx_version"])
    Executor().Do({"statistics": [source]}, {"schema": [target]}, {"infer_feature_shape": infer_feature_shape})
    return path / "schema.pbtxt"


def test_tfx_reads_the_schema(taxi_statistics: ExampleStatistics, run_stage: Any, capsys: Any) -> None:
    from tfx.utils import io_utils

    artifact = run_stage("schema_gen", {"statistics": taxi_statistics})["schema"]
    assert artifact.type_name == Schema.__name__
    schema = io_utils.SchemaReader().read(str(artifact.path / "schema.pbtxt"))
    assert schema == tfdv.load_schema_text(str(artifact.path / "schema.pbtxt"))
    assert len(schema.feature) == 18
    assert "schema: 18 features, inferred from train, eval\n" in capsys.readouterr().out


def test_all_splits_contribute_to_the_schema(tmp_path: Path, run_stage: Any) -> None:
    artifact = statistics_artifact(
        tmp_path / "s", {"train": _colours(b"red", b"blue"), "eval": _colours(b"red", b"grey")}
    )
    domains = {}
    for splits in (["train"], ["eval", "train"]):
        folder = tmp_path / splits[0]
        made = run_stage("schema_gen", {"statistics": artifact}, {"splits": splits}, folder=folder)["schema"]
        schema = tfdv.load_schema_text(str(made.path / "schema.pbtxt"))
        domains[splits[0]] = sorted(tfdv.get_domain(schema, "colour").value)
    assert domains == {"train": ["blue", "red"], "eval": ["blue", "grey", "red"]}


def _colours(*values: bytes) -> pa.RecordBatch:
    lists = pa.array([[value] for value in values] * 50, pa.large_list(pa.large_binary()))
    return pa.RecordBatch.from_pydict({"colour": lists})


@pytest.mark.parametrize("infer_feature_shape", [True, False])
def test_a_feature_that_one_split_lacks_is_optional(tmp_path: Path, run_stage: Any, infer_feature_shape: bool) -> None:
    rows = {
        "train": pa.record_batch({"rare": pa.array([[1, 2], [3, 4]]), "x": pa.array([[1], [2]])}),
        "eval": pa.record_batch({"rare": pa.array([None, None], pa.list_(pa.int64())), "x": pa.array([[1], [2]])}),
    }
    found = statistics_artifact(tmp_path / "statistics", {name: to_tfxio_form(batch) for name, batch in rows.items()})
    artifact = run_stage("schema_gen", {"statistics": found}, {"infer_feature_shape": infer_feature_shape})["schema"]
    schema = tfdv.load_schema_text(str(artifact.path / "schema.pbtxt"))
    rare = tfdv.get_feature(schema, "rare")
    assert rare.lifecycle_stage != schema_pb2.DEPRECATED
    assert rare.presence.min_count == 0
    assert not rare.presence.HasField("min_fraction")
    assert not rare.HasField("shape")
    assert (rare.value_count.min, rare.value_count.max) == (2, 2)
    for split in rows:
        anomalies = tfdv.validate_statistics(
            tfdv.load_stats_binary(str(found.path / f"Split-{split}/FeatureStats.pb")), schema
        )
        assert not anomalies.anomaly_info


def test_only_the_overall_slice_is_used(tmp_path: Path, run_stage: Any) -> None:
    artifact = statistics_artifact(tmp_path / "s", {"train": _colours(b"red", b"blue")})
    options = tfdv.StatsOptions(
        experimental_slice_functions=[tfdv.experimental_get_feature_value_slicer({"colour": None})]
    )
    sliced = statistics([_colours(b"red", b"blue")], options)
    assert len(sliced.datasets) == 3
    (artifact.path / "Split-train" / "FeatureStats.pb").write_bytes(sliced.SerializeToString())
    made = run_stage("schema_gen", {"statistics": artifact})["schema"]
    schema = tfdv.load_schema_text(str(made.path / "schema.pbtxt"))
    assert sorted(tfdv.get_domain(schema, "colour").value) == ["blue", "red"]


def test_a_curated_schema_is_kept_byte_for_byte(
    taxi_statistics: ExampleStatistics, run_stage: Any, tmp_path: Path, capsys: Any
) -> None:
    file = tmp_path / "curated.pbtxt"
    file.write_bytes(CURATED)
    artifact = run_stage("schema_gen", {"statistics": taxi_statistics}, {"schema_file": str(file)})["schema"]
    assert (artifact.path / "schema.pbtxt").read_bytes() == CURATED
    assert f"schema: 2 features from {file}, environments: TRAINING, SERVING\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            CURATED.replace(b"type: FLOAT }", b"typ: FLOAT }"),
            'curated.pbtxt, line 6, column 24: Message type "tensorflow',
        ),
        (CURATED.replace(b"}\n\n", b"\n\n"), "curated.pbtxt, line 6, column 1: "),
        (CURATED.replace(b"FLOAT }", b"DOUBLE }"), "curated.pbtxt, line 6, column 30: "),
        (CURATED.replace(b"fare", b"f\xe9re"), "curated.pbtxt, line 6: not UTF-8\n  fix: save the file as UTF-8"),
        (b"", "curated.pbtxt has no features\n  fix: name a schema file with features, or omit schema_file"),
    ],
    ids=["unknown field", "open brace", "unknown value", "not UTF-8", "empty"],
)
def test_an_invalid_curated_schema_is_refused(
    taxi_statistics: ExampleStatistics, run_stage: Any, tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "curated.pbtxt"
    file.write_bytes(content)
    with pytest.raises(DataError) as error:
        run_stage("schema_gen", {"statistics": taxi_statistics}, {"schema_file": str(file)})
    assert message in str(error.value)
    assert not (tmp_path / "schema_gen" / "schema").exists()


def test_a_missing_schema_file_is_refused(taxi_statistics: ExampleStatistics, run_stage: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.pbtxt cannot be read: No such file or directory"):
        run_stage("schema_gen", {"statistics": taxi_statistics}, {"schema_file": str(tmp_path / "none.pbtxt")})


def test_an_unknown_split_is_refused(taxi_statistics: ExampleStatistics, run_stage: Any) -> None:
    with pytest.raises(UserError, match=r"there is no split 'test' in .*\n  fix: it has train, eval"):
        run_stage("schema_gen", {"statistics": taxi_statistics}, {"splits": ["test"]})


def test_damaged_and_empty_statistics_are_refused(tmp_path: Path, run_stage: Any) -> None:
    artifact = statistics_artifact(tmp_path / "s", {"train": _colours(b"red")[:0].drop_columns(["colour"])})
    with pytest.raises(DataError, match=r"the statistics of the split 'train' in .* have no features"):
        run_stage("schema_gen", {"statistics": artifact})
    (artifact.path / "Split-train" / "FeatureStats.pb").write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match=r"FeatureStats.pb has no readable statistics: "):
        run_stage("schema_gen", {"statistics": artifact})
    assert not (tmp_path / "schema_gen" / "schema").exists()
