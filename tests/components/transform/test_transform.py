"""The stage on the real trips with both engines; its settings; its errors on bad input."""

from __future__ import annotations

import collections
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.contract.artifacts import Artifact, Examples, Schema, TransformGraph
from components.contract.errors import UserError
from components.data.examples import SplitWriter, describe, read_batches, to_tfxio_form
from components.statistics_gen.compute import statistics
from tests.components.equal_statistics import assert_equal
from tests.conftest import StageRun, run_stage_in

TAXI_MODULE = "tfx.examples.chicago_taxi_pipeline.taxi_utils_native_keras"
ROWS = {"train": 30, "eval": 12}
SCHEMA = """
feature { name: "x" type: FLOAT presence { min_fraction: 1 } shape {} }
feature { name: "word" type: BYTES }
"""
PLAIN = """
import tensorflow_transform as tft

def preprocessing_fn(inputs):
    return {"x_scaled": tft.scale_to_0_1(inputs["x"]), "word_id": tft.compute_and_apply_vocabulary(inputs["word"])}
"""

Inputs = dict[str, Artifact]


@pytest.fixture(scope="module")
def taxi(taxi_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("taxi")
    table = pa_csv.read_csv(taxi_csv)
    batches = {"train": table.slice(0, 10_000), "eval": table.slice(10_000)}
    examples = written(folder / "examples", {split: to_batch(rows) for split, rows in batches.items()})
    computed = statistics(read_batches(examples, "train"), tfdv.StatsOptions())
    return {"examples": examples, "schema": schema_artifact(folder / "schema", tfdv.infer_schema(computed))}


@pytest.fixture(scope="module")
def taxi_direct(taxi: Inputs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The stage's outputs with the direct engine."""
    return _transformed(taxi, tmp_path_factory.mktemp("transform"), "direct")


@pytest.fixture(scope="module")
def taxi_runs(
    taxi: Inputs, taxi_direct: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """The stage's outputs by engine."""
    return {"direct": taxi_direct, "beam": _transformed(taxi, tmp_path_factory.mktemp("transform"), "beam")}


def _transformed(taxi: Inputs, folder: Path, engine: str) -> dict[str, Any]:
    return run_stage_in("transform", folder / engine, taxi, {"module": TAXI_MODULE, "engine": engine})


@pytest.fixture
def small(tmp_path: Path) -> Inputs:
    examples = written(tmp_path / "examples", {split: small_batch(rows) for split, rows in ROWS.items()})
    return {"examples": examples, "schema": schema_artifact(tmp_path / "schema", SCHEMA)}


def small_batch(rows: int) -> pa.RecordBatch:
    x = [float(row) for row in range(rows)]
    words = [None if row % 5 == 4 else [f"w{row % 3}".encode()] for row in range(rows)]
    return pa.RecordBatch.from_pydict(
        {"x": pa.array([[v] for v in x], pa.large_list(pa.float32())), "word": pa.array(words, LIST_OF_BYTES)}
    )


LIST_OF_BYTES = pa.large_list(pa.large_binary())


def to_batch(table: pa.Table) -> pa.RecordBatch:
    fields = [field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in table.schema]
    return to_tfxio_form(table.cast(pa.schema(fields)).combine_chunks().to_batches()[0])


def written(path: Path, splits: Mapping[str, pa.RecordBatch], payload_format: str = "parquet") -> Examples:
    examples = Examples(path)
    for split, batch in splits.items():
        with SplitWriter(examples, split, payload_format) as writer:
            writer.write(batch)
    describe(examples, list(splits), payload_format)
    return examples


def schema_artifact(path: Path, schema: str | schema_pb2.Schema) -> Schema:
    path.mkdir(parents=True, exist_ok=True)
    text = schema if isinstance(schema, str) else text_format.MessageToString(schema)
    (path / "schema.pbtxt").write_text(text)
    return Schema(path)


def module(folder: Path, source: str) -> str:
    path = folder / "user_module.py"
    path.write_text(source)
    return str(path)


def graph_files(graph: Artifact) -> dict[str, bytes]:
    """The content of a TransformGraph."""
    files = (path for path in sorted(graph.path.rglob("*")) if path.is_file() and path.name != "provenance.json")
    return {str(path.relative_to(graph.path)): path.read_bytes() for path in files}


def is_equal_on_both_engines(name: str) -> bool:
    """Whether a file of a TransformGraph contains no constants or estimates, which may differ slightly."""
    return Path(name).name not in ("saved_model.pb", "fingerprint.pb", "FeatureStats.pb")


def rows(examples: Artifact, split: str) -> pa.Table:
    return pa.Table.from_batches(read_batches(examples, split))


def in_order(table: pa.Table) -> pa.Table:
    """The rows of single values, sorted, because workers write them in any order."""
    flat = pa.table({name: table[name].combine_chunks().flatten() for name in sorted(table.column_names)})
    return flat.sort_by([(name, "ascending") for name in flat.column_names])


@pytest.mark.slow
def test_direct_transform_writes_the_same_as_beam(taxi_runs: dict[str, dict[str, Any]]) -> None:
    ours, theirs = (graph_files(taxi_runs[engine]["transform_graph"]) for engine in ("direct", "beam"))
    assert ours.keys() == theirs.keys()
    for name in filter(is_equal_on_both_engines, ours):
        assert ours[name] == theirs[name], name
    for split in ("train", "eval"):
        direct, beam = (in_order(rows(taxi_runs[way]["transformed_examples"], split)) for way in ("direct", "beam"))
        assert direct.equals(beam)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pre_transform_feature_stats", "post_transform_feature_stats"])
def test_the_statistics_equal_those_of_tfdv_on_beam(taxi_runs: dict[str, dict[str, Any]], name: str) -> None:
    files = [taxi_runs[way]["transform_graph"].path / name / "FeatureStats.pb" for way in ("direct", "beam")]
    assert_equal(*(tfdv.load_stats_binary(str(file)) for file in files))


def test_the_graph_has_the_layout_of_tfx(taxi_direct: dict[str, Any]) -> None:
    assert set(graph_files(taxi_direct["transform_graph"])) == {
        "metadata/schema.pbtxt",
        "post_transform_feature_stats/FeatureStats.pb",
        "post_transform_feature_stats/SchemaDiff.pb",
        "post_transform_feature_stats/schema.pbtxt",
        "pre_transform_feature_stats/FeatureStats.pb",
        "pre_transform_feature_stats/schema.pbtxt",
        "transform_fn/assets/vocab_compute_and_apply_vocabulary_1_vocabulary",
        "transform_fn/assets/vocab_compute_and_apply_vocabulary_vocabulary",
        "transform_fn/fingerprint.pb",
        "transform_fn/saved_model.pb",
        "transform_fn/variables/variables.data-00000-of-00001",
        "transform_fn/variables/variables.index",
        "transformed_metadata/asset_map",
        "transformed_metadata/schema.pbtxt",
    }


def test_tft_loads_the_graph_and_agrees_on_the_rows(taxi: Inputs, taxi_direct: dict[str, Any]) -> None:
    output = tft.TFTransformOutput(str(taxi_direct["transform_graph"].path))
    raw = next(read_batches(taxi["examples"], "eval")).slice(0, 50).to_pylist()
    spec = output.raw_feature_spec()
    features = {
        name: tf.io.parse_example([example(row, {name: kind}) for row in raw], {name: kind})[name]
        for name, kind in spec.items()
    }
    expected = output.transform_features_layer()(features)
    transformed = rows(taxi_direct["transformed_examples"], "eval").slice(0, 50)
    assert set(transformed.column_names) == set(expected) == set(output.transformed_feature_spec())
    for name in transformed.column_names:
        np.testing.assert_allclose(
            transformed[name].combine_chunks().flatten().to_numpy(), expected[name].numpy().ravel()
        )
    assert output.vocabulary_size_by_name("vocab_compute_and_apply_vocabulary_vocabulary") > 1


def example(row: Mapping[str, Any], spec: Mapping[str, Any]) -> bytes:
    ((name, kind),) = spec.items()
    value = row[name] or []
    features = {
        tf.int64: lambda: tf.train.Feature(int64_list=tf.train.Int64List(value=value)),
        tf.float32: lambda: tf.train.Feature(float_list=tf.train.FloatList(value=value)),
        tf.string: lambda: tf.train.Feature(bytes_list=tf.train.BytesList(value=value)),
    }
    return tf.train.Example(features=tf.train.Features(feature={name: features[kind.dtype]()})).SerializeToString()


def test_statistics_cover_the_analyzed_and_all_transformed_rows(taxi_direct: dict[str, Any]) -> None:
    graph = taxi_direct["transform_graph"].path
    before = read_statistics(graph / "pre_transform_feature_stats/FeatureStats.pb")
    after = read_statistics(graph / "post_transform_feature_stats/FeatureStats.pb")
    assert before.datasets[0].num_examples == 10_000
    assert after.datasets[0].num_examples == 15_002
    assert "fare_xf" in {feature.path.step[0] for feature in after.datasets[0].features}
    anomalies = anomalies_pb2.Anomalies.FromString((graph / "post_transform_feature_stats/SchemaDiff.pb").read_bytes())
    assert not anomalies.anomaly_info


def read_statistics(path: Path) -> statistics_pb2.DatasetFeatureStatisticsList:
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())


def test_direct_transform_does_not_import_beam(small: Inputs, tmp_path: Path) -> None:
    program = """
import sys
from components.contract.artifacts import Examples, Schema, TransformGraph
from components.transform.stage import transform
examples, schema, graph, transformed, module = sys.argv[1:]
transform(
    Examples(examples), Schema(schema), TransformGraph(graph), Examples(transformed), module, disable_statistics=True
)
sys.exit("apache_beam" in sys.modules)
"""
    paths = [small["examples"].path, small["schema"].path, tmp_path / "graph", tmp_path / "transformed"]
    command = [sys.executable, "-c", program, *map(str, paths), module(tmp_path, PLAIN)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[3], capture_output=True)


@pytest.mark.slow
def test_tfx_writes_the_same(taxi: Inputs, taxi_runs: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    tfx_graph, tfx_rows = transformed_by_tfx(taxi, tmp_path)
    graph = taxi_runs["direct"]["transform_graph"]
    mine, other = graph_files(graph), graph_files(tfx_graph)
    for name in filter(is_equal_on_both_engines, mine):
        if "_feature_stats/" not in name:
            assert mine[name] == other[name], name
    assert set(mine) == set(other)
    for kind in ("pre", "post"):
        name = f"{kind}_transform_feature_stats/FeatureStats.pb"
        assert_equal_statistics(read_statistics(graph.path / name), read_statistics(tfx_graph.path / name))
    assert mine["pre_transform_feature_stats/schema.pbtxt"] == other["pre_transform_feature_stats/schema.pbtxt"]
    for split in ("train", "eval"):
        ours, theirs = (rows(examples, split) for examples in (taxi_runs["direct"]["transformed_examples"], tfx_rows))
        for name in theirs.column_names:
            np.testing.assert_allclose(sorted_values(ours, name), sorted_values(theirs, name), rtol=1e-5, atol=1e-6)


def transformed_by_tfx(taxi: Inputs, folder: Path) -> tuple[Artifact, Artifact]:
    """Calls the executor of TFX's Transform component on the same rows as tf.Examples."""
    import apache_beam as beam
    from tfx.components.transform import executor, labels
    from tfx.examples.chicago_taxi_pipeline import taxi_utils_native_keras
    from tfx.proto import example_gen_pb2

    batches = {split: next(read_batches(taxi["examples"], split, batch_rows=20_000)) for split in ("train", "eval")}
    raw = written(folder / "raw", batches, "tf_example")
    executor.TransformProcessor().Transform(
        {
            labels.DISABLE_STATISTICS_LABEL: False,
            labels.SCHEMA_PATH_LABEL: str(taxi["schema"].path / "schema.pbtxt"),
            labels.EXAMPLES_DATA_FORMAT_LABEL: example_gen_pb2.FORMAT_TF_EXAMPLE,
            labels.ANALYZE_DATA_PATHS_LABEL: [str(raw.path / "Split-train/*")],
            labels.ANALYZE_PATHS_FILE_FORMATS_LABEL: [labels.FORMAT_TFRECORD],
            labels.TRANSFORM_DATA_PATHS_LABEL: [str(raw.path / f"Split-{split}/*") for split in batches],
            labels.TRANSFORM_PATHS_FILE_FORMATS_LABEL: [labels.FORMAT_TFRECORD] * 2,
            labels.PREPROCESSING_FN: taxi_utils_native_keras.preprocessing_fn,
            labels.MAKE_BEAM_PIPELINE_FN: beam.Pipeline,
            labels.FORCE_TF_COMPAT_V1_LABEL: False,
        },
        {
            labels.TRANSFORM_METADATA_OUTPUT_PATH_LABEL: str(folder / "graph"),
            labels.TRANSFORM_MATERIALIZE_OUTPUT_PATHS_LABEL: [
                str(folder / f"transformed/Split-{split}/transformed_examples") for split in batches
            ],
            labels.TEMP_OUTPUT_LABEL: str(folder / "temporary"),
        },
    )
    return TransformGraph(folder / "graph"), Examples(folder / "transformed")


def assert_equal_statistics(
    ours: statistics_pb2.DatasetFeatureStatisticsList, theirs: statistics_pb2.DatasetFeatureStatisticsList
) -> None:
    mine, other = by_feature(ours), by_feature(theirs)
    assert mine.keys() == other.keys()
    for name, (common, numbers) in mine.items():
        assert common == other[name][0], name
        np.testing.assert_allclose(numbers, other[name][1], rtol=1e-5, err_msg=name)


def by_feature(found: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, tuple[Any, list[float]]]:
    """Each feature's type and counts, and its numbers or the number of its distinct strings."""
    features = {feature.path.step[0]: feature for feature in found.datasets[0].features}
    return {name: (counts(feature), numbers(feature)) for name, feature in features.items()}


def counts(feature: statistics_pb2.FeatureNameStatistics) -> tuple[Any, ...]:
    kind = feature.WhichOneof("stats")
    common = getattr(feature, kind).common_stats
    return feature.type, kind, common.num_non_missing, common.num_missing, common.tot_num_values


def numbers(feature: statistics_pb2.FeatureNameStatistics) -> list[float]:
    if feature.HasField("num_stats"):
        of = feature.num_stats
        return [of.mean, of.std_dev, of.num_zeros, of.min, of.max]
    return [feature.string_stats.unique, feature.string_stats.avg_length]


def sorted_values(table: pa.Table, name: str) -> np.ndarray:
    return np.sort(table[name].combine_chunks().flatten().to_numpy())


def test_settings_are_applied(run_stage: StageRun, small: Inputs, tmp_path: Path) -> None:
    outputs = run_stage(
        "transform",
        small,
        {
            "module": module(tmp_path, PLAIN),
            "analyze_splits": ["eval"],
            "transform_splits": ["train"],
            "payload_format": "tf_example",
            "disable_statistics": True,
        },
    )
    examples, graph = outputs["transformed_examples"], outputs["transform_graph"]
    assert [folder.name for folder in examples.path.glob("Split-*")] == ["Split-train"]
    assert [file.name for file in examples.path.glob("Split-train/*")] == ["data_tfrecord-00000-of-00001.gz"]
    assert not list(graph.path.glob("*_feature_stats"))
    # 11 is the maximum in eval; train has values up to 29.
    assert rows(examples, "train")["x_scaled"].to_pylist()[-1] == [pytest.approx(29 / 11)]


def test_the_output_has_the_payload_format_of_the_input(run_stage: StageRun, small: Inputs, tmp_path: Path) -> None:
    batches = {split: small_batch(count) for split, count in ROWS.items()}
    inputs = small | {"examples": written(tmp_path / "tf_examples", batches, "tf_example")}
    from_records = run_stage("transform", inputs, {"module": module(tmp_path, PLAIN)}, tmp_path / "records")
    from_columns = run_stage("transform", small, {"module": module(tmp_path, PLAIN)}, tmp_path / "columns")
    assert from_records["transformed_examples"].metadata["payload_format"] == "FORMAT_TF_EXAMPLE"
    assert from_columns["transformed_examples"].metadata["payload_format"] == "FORMAT_PARQUET"
    assert graph_files(from_records["transform_graph"]) == graph_files(from_columns["transform_graph"])
    for split in ROWS:
        ours, theirs = (rows(run["transformed_examples"], split) for run in (from_records, from_columns))
        assert ours.select(theirs.column_names).equals(theirs)


def test_custom_config_is_passed_to_a_function_that_accepts_it(
    run_stage: StageRun, small: Inputs, tmp_path: Path
) -> None:
    source = """
def preprocessing_fn(inputs, custom_config):
    return {"shifted": inputs["x"] + custom_config["shift"]}
"""
    parameters = {"module": module(tmp_path, source), "custom_config": {"shift": 100}}
    outputs = run_stage("transform", small, parameters)
    assert rows(outputs["transformed_examples"], "train")["shifted"].to_pylist()[:2] == [[100.0], [101.0]]


def test_stats_options_updater_fn_is_called(run_stage: StageRun, small: Inputs, tmp_path: Path) -> None:
    source = (
        PLAIN
        + """
def stats_options_updater_fn(stats_type, options):
    options.feature_allowlist = ["x"] if stats_type.name == "PRE_TRANSFORM" else ["word_id"]
    return options
"""
    )
    graph = run_stage("transform", small, {"module": module(tmp_path, source)})["transform_graph"].path
    for name, feature in (("pre", "x"), ("post", "word_id")):
        written_statistics = read_statistics(graph / f"{name}_transform_feature_stats/FeatureStats.pb")
        assert [f.path.step[0] for f in written_statistics.datasets[0].features] == [feature]


def test_a_ragged_tensor_of_two_dimensions_can_be_an_output(run_stage: StageRun, small: Inputs, tmp_path: Path) -> None:
    source = """
import tensorflow as tf

def preprocessing_fn(inputs):
    words = tf.RaggedTensor.from_sparse(inputs["word"])
    return {"letters": tf.strings.unicode_split(words, "UTF-8")}
"""
    outputs = run_stage("transform", small, {"module": module(tmp_path, source)})
    transformed = rows(outputs["transformed_examples"], "train").slice(0, 5)
    assert transformed["letters$ragged_values"].to_pylist()[1] == [b"w", b"1"]
    assert transformed["letters$row_lengths_1"].to_pylist() == [[2], [2], [2], [2], []]


def test_analyzers_that_need_beam_use_beam_and_report_it(
    run_stage: StageRun, small: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """
import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft

class Largest(beam.PTransform):
    def expand(self, batches):
        return batches | beam.Map(lambda batch: batch[0].max()) | beam.CombineGlobally(max)

def preprocessing_fn(inputs):
    largest, = tft.experimental.ptransform_analyzer([inputs["x"]], Largest(), [tf.float32], [[]])
    return {"share": inputs["x"] / largest}
"""
    outputs = run_stage("transform", small, {"module": module(tmp_path, source)})
    assert rows(outputs["transformed_examples"], "train")["share"].to_pylist()[-1] == [1.0]
    message = "transform: analyzed by TFT on Beam, because PTransform[ptransform] is not evaluated directly"
    assert message in capsys.readouterr().out


def test_the_log_says_that_beam_was_not_used(
    run_stage: StageRun, small: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage("transform", small, {"module": module(tmp_path, PLAIN)})
    assert "transform: analyzed directly, without Beam" in capsys.readouterr().out


def test_a_vocabulary_may_have_many_distinct_strings(run_stage: StageRun, small: Inputs, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    count = 260_000
    words = [f"word {number}".encode() for number in rng.integers(0, 230_000, count)]
    offsets = pa.array(np.arange(count + 1))
    batch = pa.RecordBatch.from_pydict(
        {
            "x": pa.LargeListArray.from_arrays(offsets, pa.array(np.zeros(count), pa.float32())),
            "word": pa.LargeListArray.from_arrays(offsets, pa.array(words, pa.large_binary())),
        }
    )
    inputs = small | {"examples": written(tmp_path / "many", {"train": batch})}
    outputs = run_stage("transform", inputs, {"module": module(tmp_path, PLAIN), "disable_statistics": True})
    (vocabulary,) = (outputs["transform_graph"].path / "transform_fn/assets").iterdir()
    counts = collections.Counter(words)
    expected = sorted(counts, key=lambda word: (counts[word], word), reverse=True)
    assert len(expected) > 150_000
    assert vocabulary.read_bytes().splitlines() == expected


BAD_MODULES = {
    "preprocessing_fn is missing": (
        "def preprocess(inputs):\n    return inputs\n",
        "user_module.py defines no preprocessing_fn",
        "(it has preprocess)",
    ),
    "the module fails": ("import json\njson.loads('{')\n", 'user_module.py", line 2, in <module>', "JSONDecodeError"),
    "the function fails": (
        "def preprocessing_fn(inputs):\n    x = inputs['x']\n    return {'y': x / inputs['distance']}\n",
        'user_module.py", line 3, in preprocessing_fn',
        "user_module.py raised KeyError: 'distance'",
    ),
    "no dictionary": ("def preprocessing_fn(inputs):\n    return inputs['x']\n", "returned", "return a dictionary"),
    "an empty dictionary": ("def preprocessing_fn(inputs):\n    return {}\n", "an empty dictionary", "return a dict"),
    "an output of another type": (
        "import tensorflow as tf\n\ndef preprocessing_fn(inputs):\n    return {'y': tf.cast(inputs['x'], tf.int32)}\n",
        "preprocessing_fn returns int32 as 'y'",
        "return int64, float32 or string",
    ),
    "an output of no fixed shape": (
        "import tensorflow as tf\n\ndef preprocessing_fn(inputs):\n"
        "    return {'y': tf.sparse.to_dense(inputs['word'])}\n",
        "Feature y",
        "all dimensions must have known size",
    ),
    "an analyzer in a branch": (
        "import tensorflow as tf\nimport tensorflow_transform as tft\n\ndef preprocessing_fn(inputs):\n"
        "    x = inputs['x']\n    return {'y': tf.cond(x[0] > 1, lambda: x - tft.mean(x), lambda: x)}\n",
        "preprocessing_fn: The tensor_or_op Tensor(",
        "call analyzers outside of tf.cond",
    ),
    "an operation fails on the rows": (
        "import tensorflow as tf\n\ndef preprocessing_fn(inputs):\n"
        "    return {'n': tf.strings.to_number(tf.sparse.to_dense(inputs['word'])[:, 0])}\n",
        "preprocessing_fn fails on rows 1 to 30 of split 'train'",
        "StringToNumberOp could not correctly convert string: w0",
    ),
}


@pytest.mark.parametrize("source", BAD_MODULES)
def test_an_invalid_module_is_refused(run_stage: StageRun, small: Inputs, tmp_path: Path, source: str) -> None:
    text, *message = BAD_MODULES[source]
    with pytest.raises(UserError) as error:
        run_stage("transform", small, {"module": module(tmp_path, text)})
    for part in message:
        assert part in str(error.value)
    assert_nothing_is_left(tmp_path)


def test_a_short_traceback_ends_in_the_users_line(run_stage: StageRun, small: Inputs, tmp_path: Path) -> None:
    source = """
import tensorflow as tf

def preprocessing_fn(inputs):
    return {"joined": together(inputs["x"], inputs["word"])}

def together(x, word):
    return tf.concat([x, word], axis=0)
"""
    with pytest.raises(UserError) as error:
        run_stage("transform", small, {"module": module(tmp_path, source)})
    lines = str(error.value).splitlines()
    assert lines[-1].strip() == "return tf.concat([x, word], axis=0)"
    assert lines[-2].endswith("line 8, in together")
    assert "site-packages" not in str(error.value)


BAD_SETTINGS = {
    "unknown split": ({"analyze_splits": ["test"]}, "there is no split 'test'", "it has train, eval"),
    "no split to analyse": ({"analyze_splits": []}, "analyze_splits is empty", "name the splits"),
    "unknown format": ({"payload_format": "avro"}, "there is no payload_format 'avro'", "parquet, tf_example"),
}


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_an_invalid_setting_is_refused(run_stage: StageRun, small: Inputs, tmp_path: Path, setting: str) -> None:
    parameters, *message = BAD_SETTINGS[setting]
    with pytest.raises(UserError) as error:
        run_stage("transform", small, {"module": module(tmp_path, PLAIN), **parameters})
    for part in message:
        assert part in str(error.value)


BAD_SCHEMAS = {
    "a shape that rows do not have": (
        SCHEMA.replace('"word" type: BYTES', '"word" type: BYTES presence { min_fraction: 1 } shape {}'),
        "row 5 of ",
        "'word' has 0 values, the schema says 1",
    ),
    "another type": (
        SCHEMA.replace("FLOAT", "INT"),
        "the column 'x' in ",
        "is FLOAT, the schema says INT",
    ),
    "no schema": ("feature {\n  name 3\n}", "schema.pbtxt is not a schema", "2:"),
    "a sparse feature without its values": (
        SCHEMA + "sparse_feature { name: 's' index_feature { name: 'i' } value_feature { name: 'v' } }",
        "the schema does not describe tensors",
        "",
    ),
}


@pytest.mark.parametrize("engine", ["direct", "beam"])
@pytest.mark.parametrize("schema", BAD_SCHEMAS)
def test_a_schema_that_does_not_fit_the_data_is_refused(
    run_stage: StageRun, small: Inputs, tmp_path: Path, schema: str, engine: str
) -> None:
    text, *message = BAD_SCHEMAS[schema]
    inputs = small | {"schema": schema_artifact(tmp_path / "bad", text)}
    with pytest.raises(UserError) as error:
        run_stage("transform", inputs, {"module": module(tmp_path, PLAIN), "engine": engine})
    for part in message:
        assert part in str(error.value)
    assert_nothing_is_left(tmp_path)


def assert_nothing_is_left(folder: Path) -> None:
    outputs = folder / "transform"
    assert [path.name for path in outputs.iterdir()] == [] if outputs.exists() else True
