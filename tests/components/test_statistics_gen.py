"""The statistics equal those of TFDV on Beam, on real and on difficult data, and TFX's tools read them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import json_format, text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.contract.artifacts import Examples, Schema
from components.contract.errors import DataError, UserError
from components.data.examples import SplitWriter, as_lists, describe, to_tfxio_form
from components.statistics_gen import beam, compute
from components.statistics_gen.options import stats_options
from components.statistics_gen.top_values import TopValuesGenerator
from tests.components.equal_statistics import AS_DECLARED, EPSILON, assert_equal, assert_leaves, features, flat

CATEGORICAL = text_format.Parse(
    """
    feature { name: "strings" type: BYTES int_domain {} }
    feature { name: "integers" type: INT int_domain { is_categorical: true } }
    feature { name: "blobs" type: BYTES image_domain {} }
    feature { name: "city" type: BYTES string_domain { value: "Oslo" } }
    sparse_feature { name: "sparse" index_feature { name: "integers" } value_feature { name: "weight" } }
    weighted_feature {
        name: "weighted" feature { step: "integers" } weight_feature { step: "weight" }
    }
    """,
    schema_pb2.Schema(),
)


@pytest.fixture(scope="module")
def taxi(taxi_csv: Path) -> list[pa.RecordBatch]:
    table = pyarrow.csv.read_csv(taxi_csv).combine_chunks()
    return [to_tfxio_form(batch) for batch in table.to_batches(max_chunksize=4_000)]


@pytest.fixture(scope="module")
def awkward() -> list[pa.RecordBatch]:
    """Missing values, empty and long lists, NaN, bytes that are not UTF-8, and columns that some batches lack."""
    random = np.random.default_rng(7)
    return [_awkward_batch(random, number) for number in range(6)]


def _awkward_batch(random: np.random.Generator, number: int) -> pa.RecordBatch:
    rows = 1_500
    lengths = random.integers(-1, 4, rows)  # -1 is a missing feature
    sizes = lengths.clip(0)
    columns = {
        "integers": _lists([random.integers(-3, 9, n) for n in sizes], lengths, pa.int64()),
        "floats": _lists([_floats(random, n) for n in sizes[::-1]], lengths[::-1], pa.float32()),
        "strings": _lists([[b"%d" % v for v in random.integers(0, 40_000, n)] for n in sizes], lengths, pa.binary()),
        "blobs": _lists([[random.bytes(6) for _ in range(n)] for n in sizes], lengths, pa.binary()),
        "city": _lists([[random.choice([b"\xc3\x89vry", b"Oslo", b""])] for _ in range(rows)], None, pa.binary()),
        "weight": _lists([[w] for w in random.random(rows)], None, pa.float32()),
        "nothing": pa.nulls(rows),
    }
    if number % 3 == 0:
        columns["seldom"] = _lists([[n] for n in range(rows)], None, pa.int64())
    return pa.RecordBatch.from_pydict(columns)


def _floats(random: np.random.Generator, size: int) -> np.ndarray:
    values = random.normal(size=size).astype(np.float32)
    values[values > 2.5] = np.nan
    return values


def _lists(values: list[Any], lengths: np.ndarray | None, kind: pa.DataType) -> pa.Array:
    kind = pa.large_binary() if kind == pa.binary() else kind
    missing = [False] * len(values) if lengths is None else lengths < 0
    rows = [None if gone else list(value) for value, gone in zip(values, missing, strict=True)]
    return pa.array(rows, pa.large_list(kind))


def both(
    batches: list[pa.RecordBatch], options: dict[str, Any], schema: schema_pb2.Schema | None = None
) -> tuple[statistics_pb2.DatasetFeatureStatisticsList, statistics_pb2.DatasetFeatureStatisticsList]:
    parsed = stats_options(options, schema)
    assert compute.beam_reason(parsed) == ""
    return compute.statistics(batches, parsed), beam.statistics(batches, stats_options(options, schema))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_feature": "trip_start_month", "num_top_values": 3, "num_rank_histogram_buckets": 5},
        {"slicing_columns": ["payment_type"], "feature_allowlist": ["payment_type", "company", "fare"]},
        {"sample_rate": 1.0, "num_histogram_buckets": 7, "enable_semantic_domain_stats": True},
        # Sketches are exact up to 1,024 values; above, they depend on the batches.
        {"use_sketch_based_topk_uniques": True, "feature_allowlist": ["company", "fare"]},
    ],
    ids=["plain", "weighted", "sliced", "semantic", "sketches"],
)
def test_statistics_of_taxi_trips_equal_those_of_beam(taxi: list[pa.RecordBatch], options: dict[str, Any]) -> None:
    assert_equal(*both(taxi, options))


def test_statistics_with_a_schema_equal_those_of_beam(taxi: list[pa.RecordBatch]) -> None:
    schema = tfdv.infer_schema(compute.statistics(taxi, tfdv.StatsOptions()))
    tfdv.get_feature(schema, "trip_start_hour").int_domain.is_categorical = True
    ours, theirs = both(taxi, {}, schema)
    assert_equal(ours, theirs)
    assert features(ours.datasets[0])["trip_start_hour"].string_stats.unique == 24


WEIGHTED = {"weight_feature": "weight", "frequency_threshold": 2, "weighted_frequency_threshold": 0.5}
CROSSED = {"slicing_specs": [{"feature_keys": ["integers"], "feature_values": {"city": "Oslo"}}]}


@pytest.mark.parametrize(
    ("options", "schema"),
    [
        ({}, None),
        ({}, CATEGORICAL),
        (WEIGHTED, CATEGORICAL),
        ({"slicing_columns": ["city"], **WEIGHTED}, None),
        ({"slicing_config": CROSSED}, None),
        ({"add_default_generators": False, "enable_semantic_domain_stats": True}, None),
    ],
    ids=["plain", "schema", "weighted", "slices weighted", "slices crossed", "semantic only"],
)
def test_statistics_of_difficult_data_equal_those_of_beam(
    awkward: list[pa.RecordBatch], options: dict[str, Any], schema: schema_pb2.Schema | None
) -> None:
    assert_equal(*both(awkward, options, schema))


def test_infinite_values_are_counted_exactly() -> None:
    """TFDV's mean of infinite values is infinite or NaN, depending on the batches; everything else is equal."""
    values = pa.array([[math.inf], [1.0], [-math.inf], [math.nan], [0.0]] * 40, pa.large_list(pa.float32()))
    (dataset,) = compute.statistics([pa.RecordBatch.from_pydict({"x": values})], tfdv.StatsOptions()).datasets
    stats = dataset.features[0].num_stats
    assert (stats.min, stats.max, stats.num_zeros, stats.histograms[0].num_nan) == (-math.inf, math.inf, 40, 40)


def test_quantiles_are_within_tfdvs_error(taxi: list[pa.RecordBatch]) -> None:
    ours = features(compute.statistics(taxi, tfdv.StatsOptions()).datasets[0])
    for column in ("fare", "trip_miles", "trip_start_timestamp"):
        values = np.sort(np.concatenate([batch.column(column).flatten().to_numpy() for batch in taxi]))
        stats = ours[column].num_stats
        quantiles = next(h for h in stats.histograms if h.type == statistics_pb2.Histogram.QUANTILES)
        _assert_rank(values, stats.median, 0.5)
        for number, bucket in enumerate(quantiles.buckets):
            _assert_rank(values, bucket.high_value, (number + 1) / len(quantiles.buckets))


def _assert_rank(values: np.ndarray, value: float, rank: float) -> None:
    low, high = (np.searchsorted(values, np.float32(value), side) / len(values) for side in ("left", "right"))
    assert low - EPSILON <= rank <= high + EPSILON


def test_statistics_do_not_depend_on_the_batch_size(
    awkward: list[pa.RecordBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compute.statistics(awkward, tfdv.StatsOptions())
    monkeypatch.setattr(compute, "_ROWS", 1)
    monkeypatch.setattr("components.statistics_gen.top_values._FEW", 10)
    single = [batch.slice(start, 100) for batch in awkward for start in range(0, batch.num_rows, 100)]
    assert_equal(compute.statistics(iter(single), tfdv.StatsOptions()), whole)


def test_top_values_are_merged_over_batches(awkward: list[pa.RecordBatch]) -> None:
    generator = TopValuesGenerator(stats_options(WEIGHTED, CATEGORICAL))
    parts = [generator.add_input(generator.create_accumulator(), batch) for batch in awkward]
    whole = generator.create_accumulator()
    for batch in awkward:
        whole = generator.add_input(whole, batch)
    merged = generator.extract_output(generator.merge_accumulators(parts))
    expected = generator.extract_output(whole)
    assert [feature.path for feature in merged.features] == [feature.path for feature in expected.features]
    for feature, other in zip(merged.features, expected.features, strict=True):
        assert_leaves(*(flat(json_format.MessageToDict(f, **AS_DECLARED)) for f in (feature, other)))


def test_a_sample_has_the_same_rows_each_time(taxi: list[pa.RecordBatch]) -> None:
    first, second = (compute.statistics(taxi, stats_options({"sample_rate": 0.3})) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    rows = sum(batch.num_rows for batch in taxi)
    assert first.datasets[0].num_examples == pytest.approx(0.3 * rows, abs=4 * math.sqrt(0.21 * rows))


def test_no_rows_give_empty_statistics() -> None:
    (dataset,) = compute.statistics([], tfdv.StatsOptions()).datasets
    assert (dataset.num_examples, len(dataset.features), dataset.name) == (0, 0, "")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"label_feature": "city"}, "the generator LiftStatsGenerator"),
        ({"experimental_num_feature_partitions": 2}, "experimental_num_feature_partitions"),
        ({"experimental_result_partitions": 3}, "experimental_result_partitions"),
    ],
)
def test_settings_that_need_beam_use_beam(
    awkward: list[pa.RecordBatch], options: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    computed = compute.statistics(awkward[:2], stats_options(options, CATEGORICAL))
    assert capsys.readouterr().out == f"statistics: {reason} needs Beam, so TFDV runs on Beam\n"
    direct = compute.statistics(awkward[:2], stats_options({}, CATEGORICAL))
    assert len(computed.datasets) == 1
    assert computed.datasets[0].num_examples == direct.datasets[0].num_examples == 3_000
    assert features(computed.datasets[0]).keys() == features(direct.datasets[0]).keys()


@pytest.fixture
def examples(tmp_path: Path, taxi: list[pa.RecordBatch]) -> Examples:
    return _examples(tmp_path / "examples", {"train": taxi[:3], "eval": taxi[3:]})


def _examples(path: Path, splits: dict[str, list[pa.RecordBatch]], payload_format: str = "parquet") -> Examples:
    artifact = Examples(path)
    for split, batches in splits.items():
        with SplitWriter(artifact, split, payload_format) as writer:
            for batch in batches:
                writer.write(batch)
    describe(artifact, list(splits), payload_format)
    return artifact


def test_tfx_reads_the_artifact(
    examples: Examples, run_stage: Any, capsys: pytest.CaptureFixture[str], taxi: list[pa.RecordBatch]
) -> None:
    from tfx.components.statistics_gen import stats_artifact_utils
    from tfx.types import artifact_utils, standard_artifacts

    examples.metadata["span"] = 7
    artifact = run_stage("statistics_gen", {"examples": examples})["statistics"]
    assert json.loads(artifact.metadata["split_names"]) == ["train", "eval"]
    assert artifact.metadata["span"] == 7
    theirs = standard_artifacts.ExampleStatistics()
    theirs.uri, theirs.split_names = str(artifact.path), artifact_utils.encode_split_names(["train", "eval"])
    theirs.set_string_custom_property("tfx_version", artifact.metadata["tfx_version"])
    for split, rows in (("train", 12_000), ("eval", 3_002)):
        read = stats_artifact_utils.load_statistics(theirs, split).proto()
        assert read == tfdv.load_stats_binary(str(artifact.path / f"Split-{split}" / "FeatureStats.pb"))
        assert [(d.name, d.num_examples, len(d.features)) for d in read.datasets] == [("", rows, 18)]
    assert "statistics of train: 12,000 rows, 18 features, " in capsys.readouterr().out


def test_both_payload_formats_give_the_same_statistics(
    tmp_path: Path, awkward: list[pa.RecordBatch], run_stage: Any
) -> None:
    batches = [batch.drop_columns(["nothing"]) for batch in awkward if "seldom" not in batch.schema.names]
    made = [
        run_stage(
            "statistics_gen",
            {"examples": _examples(tmp_path / form, {"all": batches}, form)},
            folder=tmp_path / f"s{form}",
        )["statistics"]
        for form in ("parquet", "tf_example")
    ]
    parquet, records = (tfdv.load_stats_binary(str(a.path / "Split-all/FeatureStats.pb")) for a in made)
    assert_equal(parquet, records)


def test_options_and_schema_are_passed_to_tfdv(tmp_path: Path, examples: Examples, run_stage: Any) -> None:
    schema = Schema(tmp_path / "schema")
    schema.path.mkdir()
    (schema.path / "schema.pbtxt").write_text(
        'feature { name: "trip_start_hour" type: INT int_domain { is_categorical: true } }'
    )
    options = {
        "num_top_values": 2.0,
        "feature_allowlist": ["trip_start_hour", "company"],
        "weight_feature": "trip_start_hour",
    }
    made = run_stage(
        "statistics_gen", {"examples": examples, "schema": schema}, {"options": options, "splits": ["eval"]}
    )["statistics"]
    assert sorted(path.name for path in made.path.glob("Split-*")) == ["Split-eval"]
    (dataset,) = tfdv.load_stats_binary(str(made.path / "Split-eval/FeatureStats.pb")).datasets
    hour = features(dataset)["trip_start_hour"].string_stats
    assert len(dataset.features) == 2
    assert len(hour.top_values) == len(hour.weighted_string_stats.top_values) == 2


@pytest.mark.slow
@pytest.mark.parametrize("payload_format", ["parquet", "tf_example"])
def test_both_engines_give_the_same_statistics(
    tmp_path: Path, taxi: list[pa.RecordBatch], run_stage: Any, payload_format: str
) -> None:
    examples = _examples(tmp_path / "examples", {"train": taxi[:2], "eval": taxi[2:]}, payload_format)
    options = {"slicing_columns": ["payment_type"], "weight_feature": "trip_start_hour"}
    by_engine = {
        engine: run_stage(
            "statistics_gen", {"examples": examples}, {"options": options, "engine": engine}, tmp_path / engine
        )["statistics"]
        for engine in ("direct", "beam")
    }
    for split in ("train", "eval"):
        found = [tfdv.load_stats_binary(str(by_engine[e].path / f"Split-{split}/FeatureStats.pb")) for e in by_engine]
        assert_equal(*found)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"engine": "spark"}, 'engine \'spark\' is unknown\n  fix: write engine="direct" or engine="beam"'),
        ({"beam_pipeline_args": ["--runner=FlinkRunner"]}, "are given, but the engine is 'direct'"),
        (
            {"engine": "beam", "beam_pipeline_args": ["--direct_num_worker=2"]},
            "Beam has no option --direct_num_worker\n  fix: did you mean --direct_num_workers?",
        ),
        (
            {"engine": "beam", "options": {"weight_feature": "trip_mile"}},
            "name 'trip_mile', which is not a column\n  fix: did you mean 'trip_miles'?",
        ),
    ],
)
def test_invalid_engines_are_refused(
    examples: Examples, run_stage: Any, tmp_path: Path, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as error:
        run_stage("statistics_gen", {"examples": examples}, parameters)
    assert message in str(error.value)
    assert not (tmp_path / "statistics_gen" / "statistics").exists()


def test_many_distinct_values_equal_those_of_beam() -> None:
    random = np.random.default_rng(7)
    names = np.array([f"company {number}".encode() for number in range(20_000)], object)
    batches = [
        pa.RecordBatch.from_pydict(
            {
                "company": as_lists(pa.array(names[random.integers(0, len(names), 10_000)])),
                "fare": as_lists(pa.array(random.gamma(2, 8, 10_000))),
            }
        )
        for _ in range(5)
    ]
    assert_equal(*both(batches, {}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_top_value": 3}, "there is no statistics option 'num_top_value'\n  fix: did you mean 'num_top_values'?"),
        ({"num_top_values": "3"}, "the statistics option 'num_top_values' takes int, not '3'"),
        ({"num_top_values": 2.5}, "the statistics option 'num_top_values' takes int, not 2.5"),
        ({"num_top_values": True}, "the statistics option 'num_top_values' takes int, not True"),
        ({"sample_rate": 2}, "TFDV refuses the statistics options: Invalid sample_rate 2.0"),
        ({"feature_allowlist": [1]}, "the statistics option 'feature_allowlist' takes names, not 1"),
        ({"schema": {}}, "give the schema as the stage's input `schema`"),
        ({"slicing_sqls": []}, "TFDV 1.21 does not slice by SQL; use slicing_columns or slicing_config"),
        ({"slicing_config": {"slicing_spec": []}}, "the statistics option 'slicing_config' is wrong: "),
        ({"slicing_config": {"slicing_specs": [{"slice_keys_sql": "x"}]}}, "'slice_keys_sql' cannot be given here"),
        ({"weight_feature": "trip_mile"}, "name 'trip_mile', which is not a column\n  fix: did you mean 'trip_miles'?"),
        (
            {"feature_allowlist": ["fares", "company"]},
            "name 'fares', which is not a column\n  fix: did you mean 'fare'?",
        ),
        ({"slicing_columns": ["companie"]}, "name 'companie', which is not a column\n  fix: did you mean 'company'?"),
        (
            {"slicing_columns": ["company"], "feature_allowlist": ["fare"]},
            "use the column 'company', which feature_allowlist leaves out\n  fix: add 'company' to feature_allowlist",
        ),
    ],
)
def test_invalid_options_are_refused(
    examples: Examples, run_stage: Any, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as error:
        run_stage("statistics_gen", {"examples": examples}, {"options": options})
    assert message in str(error.value)
    assert not (tmp_path / "statistics_gen" / "statistics").exists()


def test_an_unknown_split_is_refused(examples: Examples, run_stage: Any) -> None:
    with pytest.raises(UserError, match=r"there is no split 'test' in .*\n  fix: it has train, eval"):
        run_stage("statistics_gen", {"examples": examples}, {"splits": ["test"]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_feature": "company"}, 'TFDV refuses the weights: Weight column "company" must be of numeric type'),
        (
            {"weight_feature": "trip_seconds"},
            'TFDV refuses the weights: Weight column "trip_seconds" must have exactly one',
        ),
    ],
)
def test_invalid_weights_are_refused(
    tmp_path: Path, taxi: list[pa.RecordBatch], run_stage: Any, options: dict[str, Any], message: str
) -> None:
    examples = _examples(tmp_path / "examples", {"train": [_full(batch) for batch in taxi]})
    with pytest.raises(DataError) as error:
        run_stage("statistics_gen", {"examples": examples}, {"options": options})
    assert message in str(error.value)
    assert not (tmp_path / "statistics_gen" / "statistics").exists()


def test_weights_that_are_all_zero_are_refused(taxi: list[pa.RecordBatch]) -> None:
    message = (
        r"a numeric feature has values only in rows of weight 0\n  fix: name another weight, or exclude such features"
    )
    with pytest.raises(DataError, match=message):
        compute.statistics(taxi, stats_options({"weight_feature": "trip_miles"}))


def _full(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Gives every row a company."""
    names = pa.array([[b"x"]] * batch.num_rows, pa.large_list(pa.large_binary()))
    return batch.set_column(batch.schema.names.index("company"), "company", names)


def test_a_type_that_changes_is_refused(taxi: list[pa.RecordBatch], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "_ROWS", 1)
    other = pa.RecordBatch.from_pydict({"fare": pa.array([[b"free"]], pa.large_list(pa.large_binary()))})
    with pytest.raises(DataError, match=r"TFDV refuses the data: Cannot determine the type of feature fare"):
        compute.statistics([taxi[0], other], tfdv.StatsOptions())


def test_slices_by_bytes_that_are_not_utf_8_are_refused(awkward: list[pa.RecordBatch]) -> None:
    with pytest.raises(
        DataError, match=r"TFDV cannot slice the data: .*must be valid UTF-8(.|\n)*fix: slice by columns"
    ):
        compute.statistics(awkward, stats_options({"slicing_columns": ["blobs"]}))


def test_features_without_a_usable_value_equal_those_of_beam() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "nan": pa.array([[math.nan]] * 3, pa.large_list(pa.float32())),
            "empty": pa.array([[], [], None], pa.large_list(pa.int64())),
        }
    )
    assert_equal(*both([batch], {}))


def test_memory_does_not_grow_with_rows(taxi: list[pa.RecordBatch]) -> None:
    def peak(times: int) -> int:
        pool = pa.default_memory_pool()
        base, highest = pool.bytes_allocated(), 0

        def counted() -> Any:
            nonlocal highest
            for _ in range(times):
                for batch in taxi:
                    highest = max(highest, pool.bytes_allocated() - base)
                    yield batch

        compute.statistics(counted(), tfdv.StatsOptions())
        return highest

    assert peak(60) < 1.3 * peak(15)
