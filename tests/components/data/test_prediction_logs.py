"""The request logs of a model server are Examples: their statistics equal those of the same rows in Parquet."""

import gzip
import itertools
import json
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import yaml
from google.protobuf import text_format
from kfp import compiler, dsl
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_serving.apis import input_pb2
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

import taxiway
from components.contract.artifacts import Examples, Schema
from components.contract.errors import DataError, UserError
from components.data import examples as examples_module
from components.data import tfrecord
from components.data.examples import (
    PARQUET,
    PREDICTION_LOG,
    TF_EXAMPLE,
    SplitWriter,
    describe,
    encode_tf_examples,
    payload_format,
    pieces,
    read_batches,
    read_piece,
    row_count,
    to_tfxio_form,
    written_format,
)
from components.trainer.data_accessor import data_accessor
from components.transform.raw_examples import RawExamples
from taxiway.dsl import ExampleValidator, StatisticsGen
from taxiway.runs.progress import Observer
from tests.components.equal_statistics import assert_equal

METADATA = {"payload_format": "FORMAT_PREDICTION_LOG", "split_names": '["serving"]'}
FILE = "prediction_log-20261121T070102-1234-{:05d}.tfrecord"


def example(**features: Any) -> tf.train.Example:
    message = tf.train.Example()
    for name, values in features.items():
        kind = {int: "int64_list", float: "float_list", bytes: "bytes_list"}[type(values[0])]
        getattr(message.features.feature[name], kind).value.extend(values)
    return message


def predict(**inputs: Any) -> PredictionLog:
    log = PredictionLog()
    log.log_metadata.model_spec.name = "taxi"
    log.predict_log.request.model_spec.name = "taxi"
    for name, value in inputs.items():
        log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    # Responses are not rows.
    log.predict_log.response.outputs["y"].CopyFrom(tf.make_tensor_proto([[0.25]]))
    return log


def fill(given: input_pb2.Input, serialized: Iterable[bytes], context: tf.train.Example | None = None) -> None:
    listed = given.example_list if context is None else given.example_list_with_context
    if context is not None:
        given.example_list_with_context.context.CopyFrom(context)
    listed.examples.extend(map(tf.train.Example.FromString, serialized))


def classify(*examples: tf.train.Example, context: tf.train.Example | None = None) -> PredictionLog:
    log = PredictionLog()
    log.classify_log.request.model_spec.name = "taxi"
    fill(log.classify_log.request.input, [one.SerializeToString() for one in examples], context)
    return log


def _log_of(form: str, serialized: list[bytes]) -> PredictionLog:
    """The same examples, sent by each kind of request."""
    if form in ("flat", "column"):
        return predict(examples=np.array(serialized, object).reshape((-1,) if form == "flat" else (-1, 1)))
    log = PredictionLog()
    request = getattr(log, form).request
    spec = request.tasks.add().model_spec if form == "multi_inference_log" else request.model_spec
    spec.name = "taxi"
    fill(request.input, serialized)
    return log


def write(folder: Path, *files: Iterable[PredictionLog | bytes], split: str = "serving") -> Examples:
    (folder / f"Split-{split}").mkdir(parents=True)
    for number, records in enumerate(files):
        with (folder / f"Split-{split}" / FILE.format(number)).open("wb") as file:
            tfrecord.write_records(file, [r if isinstance(r, bytes) else r.SerializeToString() for r in records])
    return Examples(folder, dict(METADATA))


def rows_of(examples: Examples, **options: Any) -> list[dict[str, Any]]:
    return [row for batch in read_batches(examples, "serving", **options) for row in batch.to_pylist()]


def refused(examples: Examples, **options: Any) -> str:
    """The error's text, with the file name instead of the path."""
    with pytest.raises(DataError) as error:
        rows_of(examples, **options)
    return re.sub(r"\S*/prediction_log-[\d-]*T[\d-]*-0000(\d)\.tfrecord", r"file \1", str(error.value))


@pytest.fixture(scope="module")
def taxi(taxi_csv: Path) -> pa.RecordBatch:
    batch: pa.RecordBatch = pyarrow.csv.read_csv(taxi_csv).combine_chunks().to_batches()[0]
    # A column without values has no type in Parquet, and a different null type in tf.Examples.
    return to_tfxio_form(batch.slice(0, 3_000).drop_columns(["pickup_census_tract"]))


@pytest.fixture(scope="module")
def logs(taxi: pa.RecordBatch, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Request logs with the taxi trips: requests with 1 to 40 trips, every kind of call, three files."""
    serialized = iter(encode_tf_examples(taxi))
    sizes = random.Random(3)
    forms = itertools.cycle(["flat", "column", "classify_log", "regress_log", "multi_inference_log"])
    requests = []
    while sent_rows := list(itertools.islice(serialized, sizes.randint(1, 40))):
        requests.append(_log_of(next(forms), sent_rows))
    third = len(requests) // 3
    return write(tmp_path_factory.mktemp("logs"), requests[:third], requests[third : 2 * third], requests[2 * third :])


@pytest.fixture(scope="module")
def parquet(taxi: pa.RecordBatch, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return in_parquet(tmp_path_factory.mktemp("parquet"), taxi)


def in_parquet(folder: Path, batch: pa.RecordBatch) -> Examples:
    artifact = Examples(folder)
    with SplitWriter(artifact, "serving") as writer:
        writer.write(batch)
    describe(artifact, ["serving"], PARQUET)
    return artifact


def statistics(run_stage: Any, folder: Path, examples: Examples, **parameters: Any) -> Any:
    artifact = run_stage("statistics_gen", {"examples": examples}, parameters, folder)["statistics"]
    assert json.loads(artifact.metadata["split_names"]) == ["serving"]
    return tfdv.load_stats_binary(str(artifact.path / "Split-serving" / "FeatureStats.pb"))


@pytest.mark.parametrize("engine", ["direct", "beam"])
def test_statistics_equal_those_of_the_rows(
    logs: Examples, parquet: Examples, run_stage: Any, tmp_path: Path, engine: str
) -> None:
    ours = statistics(run_stage, tmp_path / "logs", logs, engine=engine)
    expected = statistics(run_stage, tmp_path / "parquet", parquet)
    assert ours.datasets[0].num_examples == 3_000
    assert len(ours.datasets[0].features) == 17
    assert_equal(ours, expected)


@pytest.mark.parametrize("engine", ["direct", "beam"])
def test_statistics_of_named_tensors(run_stage: Any, tmp_path: Path, engine: str) -> None:
    generator = np.random.default_rng(5)
    fares = generator.normal(20, 5, (900, 3)).astype(np.float32)
    hours, names = generator.integers(0, 24, 900), generator.choice(["Oslo", "Évry", ""], 900).astype(object)
    sent = write(
        tmp_path / "sent",
        (predict(fares=fares[n : n + 9], hour=hours[n : n + 9], city=names[n : n + 9]) for n in range(0, 900, 9)),
    )
    columns = {
        "fares": pa.array(fares.tolist(), pa.large_list(pa.float32())),
        "hour": pa.array([[h] for h in hours.tolist()], pa.large_list(pa.int64())),
        "city": pa.array([[n.encode()] for n in names], pa.large_list(pa.large_binary())),
    }
    same = in_parquet(tmp_path / "same", pa.RecordBatch.from_pydict(columns))
    assert_equal(
        statistics(run_stage, tmp_path / "logs", sent, engine=engine),
        statistics(run_stage, tmp_path / "parquet", same),
    )


@pytest.mark.parametrize("engine", ["direct", "beam"])
def test_logs_without_requests(run_stage: Any, tmp_path: Path, engine: str) -> None:
    ours = statistics(run_stage, tmp_path / "stage", write(tmp_path / "logs", []), engine=engine)
    assert [(d.num_examples, len(d.features)) for d in ours.datasets] == [(0, 0)]


def test_every_type_of_tensor_is_a_feature(tmp_path: Path) -> None:
    sent = predict(
        i=np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], np.int8),
        u=np.array([2**63 - 1, 0], np.uint64),
        b=[True, False],
        d=np.array([0.5, 1e300]),
        h=np.array([[0.5], [1.5]], np.float16),
        s=[["a", "é"], ["", "b"]],
        none=np.zeros((2, 0), np.float32),
        limit=3,
    )
    sent.predict_log.request.inputs["bf"].CopyFrom(tf.make_tensor_proto([0.5, 2.0], tf.bfloat16))
    assert rows_of(write(tmp_path, [sent])) == [
        {
            **{"i": [1, 2, 3, 4], "u": [2**63 - 1], "b": [1], "d": [0.5], "h": [0.5], "bf": [0.5]},
            **{"s": [b"a", "é".encode()], "none": [], "limit": [3]},
        },
        {
            **{"i": [5, 6, 7, 8], "u": [0], "b": [0], "d": [np.inf], "h": [1.5], "bf": [2.0]},
            **{"s": [b"", b"b"], "none": [], "limit": [3]},
        },
    ]


def test_a_string_tensor_without_tf_examples_is_a_feature(tmp_path: Path) -> None:
    strings = [b"hi", b"\nhello", b"\xff\xd8\xff an image", b"\n\x80"]
    sent = write(tmp_path, [predict(text=strings), predict(text=[[b"\n"], [b""]])])
    assert rows_of(sent) == [{"text": [text]} for text in [*strings, b"\n", b""]]


def test_scalars_are_one_row_and_empty_tensors_are_no_rows(tmp_path: Path) -> None:
    sent = write(tmp_path, [predict(x=1.5, y=2), predict(x=np.zeros((0, 3)), y=np.zeros(0)), predict()])
    assert rows_of(sent) == [{"x": [1.5], "y": [2]}]


def test_an_example_without_features_is_a_row(tmp_path: Path) -> None:
    sent = write(tmp_path, [predict(examples=[b"", example(x=[1]).SerializeToString()])])
    assert rows_of(sent) == [{"x": None}, {"x": [1]}]


@pytest.mark.parametrize("schema", [None, 'feature { name: "x" type: INT } feature { name: "city" type: BYTES }'])
def test_the_context_applies_to_examples_that_do_not_override_it(tmp_path: Path, schema: str | None) -> None:
    context = example(city=[b"Oslo"])
    sent = write(tmp_path, [classify(example(x=[1]), example(x=[2], city=[b"Bergen"]), context=context)])
    assert rows_of(sent, schema=serialized_schema(schema) if schema else None) == [
        {"x": [1], "city": [b"Oslo"]},
        {"x": [2], "city": [b"Bergen"]},
    ]


def serialized_schema(text: str) -> bytes:
    return bytes(text_format.Parse(text, schema_pb2.Schema()).SerializeToString())


def test_session_runs_are_skipped_and_streams_are_read(tmp_path: Path) -> None:
    session, stream = PredictionLog(), PredictionLog()
    session.session_run_log.request.model_spec.name = "taxi"
    session.session_run_log.request.feed.add().name = "x:0"
    for value in (1, 2):
        stream.predict_streamed_log.request.append(predict(x=[value]).predict_log.request)
    sent = write(tmp_path, [session, stream])
    assert rows_of(sent) == [{"x": [1]}, {"x": [2]}]
    assert payload_format(Examples(sent.path)) == PREDICTION_LOG


def test_rows_may_lack_features(tmp_path: Path) -> None:
    empty = tf.train.Example()
    empty.features.feature["x"].SetInParent()
    sent = write(tmp_path, [classify(example(x=[1])), classify(example(y=[2.0]))], [classify(empty)])
    assert rows_of(sent, batch_rows=1) == [{"x": [1]}, {"y": [2.0]}, {"x": None}]


def test_columns_batches_and_counts(logs: Examples) -> None:
    batches = list(read_batches(logs, "serving", columns=["fare", "unknown"], batch_rows=700))
    assert [batch.num_rows for batch in batches] == [700, 700, 700, 700, 200]
    assert {tuple(batch.schema.names) for batch in batches} == {("fare",)}
    assert row_count(logs, "serving") == 3_000
    counts = [sum(batch.num_rows for batch in read_piece(piece)) for piece in pieces(logs, "serving")]
    assert (len(counts), sum(counts)) == (3, 3_000)


def test_batches_of_long_rows_have_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples_module, "BATCH_BYTES", 30_000)
    sent = write(tmp_path, [predict(image=[bytes([n]) * 10_000 for n in range(20)])])
    batches = list(read_batches(sent, "serving"))
    assert max(batch.num_rows for batch in batches) == 3
    assert sum(batch.num_rows for batch in batches) == 20


def test_rows_are_streamed(tmp_path: Path) -> None:
    reading = read_batches(write(tmp_path, [predict(x=[1, 2]), b"\xff"]), "serving", batch_rows=2)
    assert next(reading).num_rows == 2
    with pytest.raises(DataError):
        next(reading)


@pytest.mark.parametrize("log", [predict(x=[1]), classify(example(x=[1])), _log_of("multi_inference_log", [b""])])
def test_logs_are_recognized_by_their_first_record(tmp_path: Path, log: PredictionLog) -> None:
    assert payload_format(Examples(write(tmp_path, [], [log, b"\xff"]).path)) == PREDICTION_LOG


def test_other_records_are_not_logs(tmp_path: Path) -> None:
    sequence = tf.train.SequenceExample(context=example(x=[1]).features)
    sequence.feature_lists.feature_list["hi"].feature.add().int64_list.value.append(1)
    PredictionLog.FromString(sequence.SerializeToString())  # happens to parse
    others = [b"", example(x=[1] * 500).SerializeToString(), b"\xff\xff", sequence.SerializeToString()]
    formats = [payload_format(Examples(write(tmp_path / str(n), [o]).path)) for n, o in enumerate(others)]
    assert formats == [TF_EXAMPLE] * 4


def test_logs_are_neither_written_nor_trained_on(tmp_path: Path, logs: Examples, parquet: Examples) -> None:
    assert [written_format(artifact) for artifact in (logs, parquet)] == [PARQUET, PARQUET]
    with pytest.raises(UserError, match="the trainer does not read prediction_log examples\n  fix: pass them through"):
        data_accessor(payload_format(logs))


def test_transform_reads_them_as_tensors(logs: Examples, parquet: Examples) -> None:
    schema = schema_pb2.Schema()
    for name, kind in {"fare": "FLOAT", "company": "BYTES", "trip_start_hour": "INT"}.items():
        schema.feature.add(name=name, type=schema_pb2.FeatureType.Value(kind))
    found, expected = (list(RawExamples(e, schema).tensor_batches(["serving"])) for e in (logs, parquet))
    assert [set(each.tensors) for each in expected] == [{"fare", "company", "trip_start_hour"}]
    for mine, theirs in zip(found, expected, strict=True):
        for name, tensor in theirs.tensors.items():
            np.testing.assert_array_equal(mine.tensors[name].values, tensor.values)
            np.testing.assert_array_equal(mine.tensors[name].indices, tensor.indices)


def changed(log: PredictionLog, **fields: Any) -> PredictionLog:
    for tensor in log.predict_log.request.inputs.values():
        tensor.MergeFrom(type(tensor)(**fields))
    return log


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b"\xff\xff", "is not a PredictionLog"),
        (example(x=[1]).SerializeToString(), "is not the PredictionLog of a request"),
        (b"", "is not the PredictionLog of a request"),
        (predict(x=[1, 2], y=[1.0]), "the inputs have different numbers of rows: 'x' 2, 'y' 1"),
        (predict(x=[1j]), "the input 'x' is complex128, which a tf.Example cannot hold"),
        (predict(x=np.array([2**64 - 1], np.uint64)), "the input 'x': Value out of range: 18446744073709551615"),
        (changed(predict(x=[1, 2]), tensor_content=b"123"), 'Input "x": '),
        (changed(predict(x=[1, 2]), dtype=5000), 'Input "x": '),
        (predict(examples=[b"\n\x03abc"]), "the request's example is not a tf.Example"),
    ],
)
def test_a_wrong_record_is_named(tmp_path: Path, record: PredictionLog | bytes, message: str) -> None:
    good = predict(x=[1])
    assert refused(write(tmp_path, [good], [good, record, good])).startswith(f"file 1, record 2: {message}")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    sent = write(tmp_path, [predict(x=[1]), predict(x=[2])])
    (file,) = sent.path.glob("*/*")
    file.write_bytes(file.read_bytes()[:-3])
    assert refused(sent).startswith("file 0 is damaged at record 2: ")


ONE, HALF = example(x=[1]), example(x=[0.5])


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ([[classify(ONE, HALF)]], "file 0, record 1"),
        ([[classify(ONE), predict(x=[3]), predict(x=[3.0])]], "file 0, record 3"),
        ([[classify(ONE)], [classify(ONE), classify(ONE, HALF)]], "file 1, record 2"),
    ],
)
@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_a_feature_that_changes_its_type_is_named(
    tmp_path: Path, files: list[list[PredictionLog]], where: str, batch_rows: int
) -> None:
    assert refused(write(tmp_path, *files), batch_rows=batch_rows) == (
        f"{where}: the feature 'x' is FLOAT, but INT in earlier records\n"
        "  fix: send every feature with a single type, and remove the logs of requests that did not"
    )


def test_a_feature_of_another_type_than_the_schema_s_is_named(tmp_path: Path) -> None:
    schema = serialized_schema('feature { name: "x" type: INT } feature { name: "y" type: BYTES }')
    sent = write(tmp_path, [classify(example(z=[1])), classify(example(z=[0.5], y=[b""])), classify(HALF)])
    message = refused(sent, schema=schema)
    assert message.startswith("file 0, record 3: the feature 'x' is FLOAT, but INT in the schema")


@pytest.mark.parametrize(
    ("engine", "message"),
    [("direct", "record 1: the feature 'x' is FLOAT, but INT in earlier records"), ("beam", "on Beam failed: .*x")],
)
def test_a_type_that_changes_stops_the_statistics(tmp_path: Path, run_stage: Any, engine: str, message: str) -> None:
    sent = write(tmp_path / "logs", [predict(x=[1] * 10_000)], [predict(x=[1.0])])
    with pytest.raises(DataError, match=message):
        statistics(run_stage, tmp_path / "stage", sent, engine=engine)
    assert not (tmp_path / "stage" / "statistics").exists()


def test_a_split_without_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*/Split-serving\n  fix: put the files of the split"):
        list(read_batches(Examples(tmp_path, dict(METADATA)), "serving"))


def test_compressed_logs_are_read(tmp_path: Path) -> None:
    sent = write(tmp_path, [predict(x=[1])])
    (file,) = sent.path.glob("*/*")
    file.write_bytes(gzip.compress(file.read_bytes()))
    assert rows_of(sent) == [{"x": [1]}]


SCHEMA = """
    default_environment: "TRAINING"
    default_environment: "SERVING"
    feature { name: "fare" type: FLOAT presence { min_fraction: 1 min_count: 1 } }
    feature { name: "tips" type: FLOAT presence { min_count: 1 } not_in_environment: "SERVING" }
"""


@dsl.pipeline(name="watched")
def watched(logs: str, schema: str, environment: str = "SERVING"):  # type: ignore[no-untyped-def]
    imported = dsl.importer(
        artifact_uri=logs,
        artifact_class=dsl.Dataset,
        metadata={"payload_format": "FORMAT_PREDICTION_LOG", "split_names": '["serving"]'},
    )
    expected = dsl.importer(artifact_uri=schema, artifact_class=dsl.Artifact)
    computed = StatisticsGen(examples=imported.output)
    ExampleValidator(
        statistics=computed.outputs["statistics"],
        schema=expected.output,
        environment=environment,
    )


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(SCHEMA)
    sent = write(tmp_path / "logs", [predict(fare=np.array([[2.5], [7.0]], np.float32))])
    return {"logs": str(sent.path), "schema": str(tmp_path / "schema")}


@pytest.mark.slow
def test_a_pipeline_imports_logs_and_validates_them_for_serving(arguments: dict[str, str], tmp_path: Path) -> None:
    run = taxiway.run(watched, home=tmp_path / "home", observer=Observer(), **arguments)
    (made,) = tfdv.load_stats_binary(
        str(run.artifacts["statistics"].path / "Split-serving" / "FeatureStats.pb")
    ).datasets
    assert (made.num_examples, [f.path.step[0] for f in made.features]) == (2, ["fare"])
    assert run.artifacts["anomalies"].metadata["blessed"] == {"serving": 1}


def test_a_training_only_column_is_an_anomaly_in_the_training_environment(
    arguments: dict[str, str], tmp_path: Path, run_stage: Any
) -> None:
    sent, schema = Examples(Path(arguments["logs"]), dict(METADATA)), Schema(Path(arguments["schema"]))
    computed = run_stage("statistics_gen", {"examples": sent})["statistics"]
    with pytest.raises(UserError, match="serving: tips: Column dropped"):
        run_stage("example_validator", {"statistics": computed, "schema": schema}, {"environment": "TRAINING"})


def test_the_compiled_pipeline_names_the_imported_type(tmp_path: Path) -> None:
    compiler.Compiler().compile(watched, str(tmp_path / "watched.yaml"))
    spec, _platform = yaml.safe_load_all((tmp_path / "watched.yaml").read_text())
    assert spec["deploymentSpec"]["executors"]["exec-importer"]["importer"]["metadata"] == METADATA
