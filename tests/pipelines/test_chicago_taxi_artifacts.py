"""The artifacts of the taxi pipeline, read with TFX's, TFDV's, TFT's and TFMA's own loaders."""

from __future__ import annotations

import csv
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.data.examples import to_tfxio_form
from taxiway.storage.home import Home
from tests.pipelines.conftest import Taxi

TRIPS = 15_002
SPLITS = ("train", "eval")

Stored = dict[str, Any]
Tables = dict[tuple[str, str], pa.Table]


@pytest.fixture(scope="module")
def tfx() -> SimpleNamespace:
    """TFX's readers; their import takes seconds."""
    from tfx.components.pusher import executor as pusher
    from tfx.components.util import tfxio_utils
    from tfx.orchestration import metadata
    from tfx.orchestration.portable.mlmd import execution_lib
    from tfx.types import artifact_utils
    from tfx.utils import io_utils, path_utils

    return SimpleNamespace(
        pusher=pusher.Executor(),
        tfxio_utils=tfxio_utils,
        metadata=metadata,
        execution_lib=execution_lib,
        artifact_utils=artifact_utils,
        io_utils=io_utils,
        path_utils=path_utils,
    )


@pytest.fixture(scope="module")
def stored(taxi: Taxi, tfx: SimpleNamespace) -> Stored:
    """The artifacts of the run as TFX's own classes, from ML Metadata, by `<task>.<output>`."""
    config = tfx.metadata.sqlite_metadata_connection_config(Home(taxi.project.home).lineage)
    found: Stored = {}
    with tfx.metadata.Metadata(config) as handle:
        run = handle.store.get_context_by_type_and_name("pipeline_run", taxi.run.record["run"])
        for execution in handle.store.get_executions_by_context(run.id):
            assert tfx.execution_lib.is_execution_successful(execution)
            task = execution.name.rpartition("/")[2]
            outputs = tfx.execution_lib.get_output_artifacts(handle, execution.id)
            found |= {f"{task}.{name}": artifact for name, (artifact,) in outputs.items()}
    return found


@pytest.fixture(scope="module")
def tables(tfx: SimpleNamespace, stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Raw and transformed rows, read by TFXIO on Beam, by output and split."""
    import apache_beam as beam

    kept = tmp_path_factory.mktemp("rows")
    selected = [
        (output, split) for output in ("example-gen.examples", "transform.transformed_examples") for split in SPLITS
    ]
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        for output, split in selected:
            folder = kept / output / split
            folder.mkdir(parents=True)
            source = tfxio(tfx, stored[output], split, _schema(tfx, stored, output)).BeamSource()
            _ = pipeline | f"read {folder}" >> source | f"keep {folder}" >> beam.Map(_keep, folder)
    return {(output, split): _kept(kept / output / split) for output, split in selected}


def _keep(batch: pa.RecordBatch, folder: Path) -> None:
    with pa.OSFile(str(folder / uuid.uuid4().hex), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write(batch)


def _kept(folder: Path) -> pa.Table:
    return pa.concat_tables(pa.ipc.open_file(file).read_all() for file in folder.iterdir())


def tfxio(tfx: SimpleNamespace, examples: Any, split: str, schema: Any) -> Any:
    """The rows of a split, read by TFX."""
    (folder,) = tfx.artifact_utils.get_split_uris([examples], split)
    make = tfx.tfxio_utils.get_tfxio_factory_from_artifact([examples], ["test"], schema)
    return make([f"{folder}/*"])


def _schema(tfx: SimpleNamespace, stored: Stored, output: str) -> Any:
    if output == "example-gen.examples":
        return tfx.io_utils.SchemaReader().read(f"{stored['schema-gen.schema'].uri}/schema.pbtxt")
    import tensorflow_transform as tft

    return tft.TFTransformOutput(stored["transform.transform_graph"].uri).transformed_metadata.schema


def test_every_artifact_is_in_ml_metadata_with_its_tfx_type(stored: Stored) -> None:
    assert {name: artifact.type_name for name, artifact in stored.items()} == {
        "example-gen.examples": "Examples",
        "statistics-gen.statistics": "ExampleStatistics",
        "schema-gen.schema": "Schema",
        "example-validator.anomalies": "ExampleAnomalies",
        "transform.transform_graph": "TransformGraph",
        "transform.transformed_examples": "Examples",
        "trainer.model": "Model",
        "trainer.model_run": "ModelRun",
        "baseline.model": "Model",
        "evaluator.evaluation": "ModelEvaluation",
        "evaluator.blessing": "ModelBlessing",
        "infra-validator.blessing": "InfraBlessing",
        "pusher.pushed_model": "PushedModel",
    }


def test_tfx_reads_the_examples(tables: Tables, taxi_csv: Path) -> None:
    with taxi_csv.open() as file:
        trips = list(csv.DictReader(file))
    raw = {split: tables["example-gen.examples", split] for split in SPLITS}
    assert sum(table.num_rows for table in raw.values()) == TRIPS
    assert raw["train"].num_rows == pytest.approx(TRIPS * 2 / 3, rel=0.02)
    assert set(raw["train"].column_names) == set(trips[0])
    fares = [fare for table in raw.values() for (fare,) in table["fare"].to_pylist()]
    assert sorted(fares) == pytest.approx(sorted(float(trip["fare"]) for trip in trips))


def test_tfx_reads_the_transformed_examples(tables: Tables) -> None:
    for split in SPLITS:
        transformed = tables["transform.transformed_examples", split]
        assert transformed.num_rows == tables["example-gen.examples", split].num_rows
        assert {value for (value,) in transformed["tips_xf"].to_pylist()} == {0, 1}


def test_tfdv_reads_statistics_schema_and_anomalies(stored: Stored, tables: Tables) -> None:
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.utils.anomalies_util import load_anomalies_binary

    schema = tfdv.load_schema_text(f"{stored['schema-gen.schema'].uri}/schema.pbtxt")
    for split in SPLITS:
        raw = tables["example-gen.examples", split]
        statistics = tfdv.load_stats_binary(f"{stored['statistics-gen.statistics'].uri}/Split-{split}/FeatureStats.pb")
        assert [dataset.num_examples for dataset in statistics.datasets] == [raw.num_rows]
        assert {feature.name for feature in schema.feature} == set(raw.column_names)
        anomalies = load_anomalies_binary(f"{stored['example-validator.anomalies'].uri}/Split-{split}/SchemaDiff.pb")
        assert not anomalies.anomaly_info
        assert tfdv.validate_statistics(statistics, schema).anomaly_info == anomalies.anomaly_info


@pytest.fixture(scope="module")
def on_beam(tfx: SimpleNamespace, stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The transform graph that TFT on Beam makes from the same rows."""
    import apache_beam as beam
    from tensorflow_transform import beam as tft_beam
    from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata

    from pipelines.chicago_taxi.model import preprocessing_fn

    folder = tmp_path_factory.mktemp("on_beam")
    examples = stored["example-gen.examples"]
    schema = _schema(tfx, stored, "example-gen.examples")
    source = tfxio(tfx, examples, "train", schema)
    with beam.Pipeline(runner="DirectRunner") as pipeline, tft_beam.Context(temp_dir=str(folder / "tmp")):
        rows = pipeline | source.BeamSource(), source.TensorAdapterConfig()
        graph = rows | tft_beam.AnalyzeDataset(preprocessing_fn)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
        _ = DatasetMetadata(schema) | tft_beam.WriteMetadata(str(folder / "graph/metadata"), pipeline)
    return folder / "graph"


def test_the_transform_graph_equals_the_one_of_tft_on_beam(stored: Stored, tables: Tables, on_beam: Path) -> None:
    import tensorflow_transform as tft

    ours, beams = tft.TFTransformOutput(stored["transform.transform_graph"].uri), tft.TFTransformOutput(str(on_beam))
    assert ours.transformed_metadata.schema == beams.transformed_metadata.schema
    assert ours.raw_metadata.schema == beams.raw_metadata.schema
    vocabularies = sorted(path.name for path in (on_beam / "transform_fn/assets").iterdir())
    assert len(vocabularies) == 2
    for name in vocabularies:
        mine, its = (Path(graph.transform_savedmodel_dir, "assets", name) for graph in (ours, beams))
        assert mine.read_bytes() == its.read_bytes()
    for split in SPLITS:
        one, other = (_transformed(graph, tables["example-gen.examples", split]) for graph in (ours, beams))
        assert one.keys() == other.keys()
        for name, values in one.items():
            close = 1e-6 if np.issubdtype(values.dtype, np.floating) else 0
            np.testing.assert_allclose(values, other[name], rtol=close, atol=close, err_msg=name)


def _transformed(graph: Any, rows: pa.Table) -> dict[str, Any]:
    """All rows, transformed by a transform graph."""
    import tensorflow as tf

    raw = tf.io.parse_example(serialized(rows), graph.raw_feature_spec())
    return {name: values.numpy() for name, values in graph.transform_features_layer()(raw).items()}


def serialized(rows: pa.Table) -> Any:
    """Rows as serialized tf.Examples."""
    import tensorflow as tf
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    (batch,) = rows.combine_chunks().to_batches()
    return tf.constant(RecordBatchToExamplesEncoder().encode(batch))


def test_the_transform_graph_gives_the_transformed_examples(stored: Stored) -> None:
    import tensorflow_transform as tft

    graph = tft.TFTransformOutput(stored["transform.transform_graph"].uri)
    # Beam does not keep the order of rows, so both are sorted.
    raw, written = (
        pq.read_table(f"{stored[output].uri}/Split-eval").combine_chunks().to_batches()[0]
        for output in ("example-gen.examples", "transform.transformed_examples")
    )
    transformed = _transformed(graph, pa.table(to_tfxio_form(raw)))
    assert transformed.keys() == set(written.schema.names)
    for name, values in transformed.items():
        column = to_tfxio_form(written)[name].flatten().to_numpy()
        np.testing.assert_allclose(column, np.ravel(values), rtol=1e-6, err_msg=name)


def test_tfx_finds_the_model_and_tensorflow_serves_it(
    taxi: Taxi, tfx: SimpleNamespace, stored: Stored, tables: Tables
) -> None:
    import tensorflow as tf

    model = tf.saved_model.load(tfx.path_utils.serving_model_path(stored["trainer.model"].uri))
    pushed = tf.saved_model.load(str(taxi.pushed))
    trips = serialized(tables["example-gen.examples", "eval"].slice(0, 200))
    predicted = pushed.signatures["serving_default"](trips)["probability"].numpy()
    np.testing.assert_array_equal(predicted, model.signatures["serving_default"](trips)["probability"].numpy())
    assert predicted.shape == (200, 1)
    assert ((predicted >= 0) & (predicted <= 1)).all()
    assert predicted.std() > 0.1


def test_tensorboard_reads_the_model_run(stored: Stored) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(f"{stored['trainer.model_run'].uri}/validation").Reload()
    assert "epoch_loss" in events.Tags()["tensors"]


def test_tfma_reads_the_evaluation(taxi: Taxi, stored: Stored, tables: Tables) -> None:
    import tensorflow_model_analysis as tfma

    folder = stored["evaluator.evaluation"].uri
    evaluation = tfma.load_eval_result(folder)
    metrics = evaluation.get_metrics_for_slice(())
    assert metrics["example_count"]["doubleValue"] == tables["example-gen.examples", "eval"].num_rows
    assert metrics["auc"]["doubleValue"] > 0.8
    assert {name for (name, _), *_ in (slice_ for slice_, _ in evaluation.slicing_metrics if slice_)} == {
        "trip_start_hour",
        "payment_type",
    }
    validation = tfma.load_validation_result(folder)
    assert validation.validation_ok
    assert not validation.missing_thresholds


def test_tfxs_pusher_would_push_the_blessed_model(tfx: SimpleNamespace, stored: Stored) -> None:
    blessings = {
        "model_blessing": [stored["evaluator.blessing"]],
        "infra_blessing": [stored["infra-validator.blessing"]],
    }
    assert tfx.pusher.CheckBlessing(blessings)
    assert Path(tfx.pusher.GetModelPath({"model": [stored["trainer.model"]]}), "saved_model.pb").is_file()
    stamped = tfx.pusher.GetModelPath(blessings)
    assert Path(stamped, "saved_model.pb").is_file()
    assert Path(tfx.path_utils.warmup_file_path(stamped)).is_file()


def test_tensorflow_reads_the_warm_up_requests_of_the_pushed_model(taxi: Taxi, tfx: SimpleNamespace) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    records = tf.data.TFRecordDataset(tfx.path_utils.warmup_file_path(str(taxi.pushed))).as_numpy_iterator()
    requests = [PredictionLog.FromString(record).predict_log.request for record in records]
    # Examples one by one, and all in one request.
    signatures = ["predict_columns", "serving_default", "transform_features"]
    assert [request.model_spec.signature_name for request in requests] == [s for s in signatures for _ in range(21)]
    loaded = tf.saved_model.load(str(taxi.pushed)).signatures
    for request in requests:
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        assert loaded[request.model_spec.signature_name](**inputs)


def test_the_pushed_version_is_as_tf_serving_expects_it(taxi: Taxi, stored: Stored) -> None:
    pushed = stored["pusher.pushed_model"]
    assert taxi.project.folder / pushed.get_string_custom_property("pushed_destination") == taxi.pushed
    assert pushed.get_string_custom_property("pushed_version") == taxi.pushed.name
    assert pushed.get_int_custom_property("pushed") == 1
    # TF Serving loads every folder with a number as its name.
    assert str(int(taxi.pushed.name)) == taxi.pushed.name
    assert [entry.name for entry in taxi.pushed.parent.iterdir() if entry.is_dir()] == [taxi.pushed.name]
    assert (taxi.pushed / "saved_model.pb").is_file()
    assert (taxi.pushed / "variables/variables.index").is_file()
