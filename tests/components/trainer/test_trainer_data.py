"""The trainer's data accessor: Parquet yields what TFX's own reader yields for tf.Examples of the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio.dataset_options import RecordBatchesOptions, TensorFlowDatasetOptions

from components.contract.artifacts import Examples
from components.contract.errors import DataError, UserError
from components.data.examples import PARQUET, TF_EXAMPLE, SplitWriter
from components.trainer import parquet_dataset
from components.trainer.data_accessor import data_accessor

ROWS = 23

SCHEMA = text_format.Parse(
    """
    feature { name: "scalar" type: INT shape {} presence { min_fraction: 1 } }
    feature { name: "label" type: INT shape {} presence { min_fraction: 1 } }
    feature { name: "vector" type: FLOAT shape { dim { size: 2 } } presence { min_fraction: 1 } }
    feature { name: "word" type: BYTES shape { dim { size: 1 } } presence { min_fraction: 1 } }
    feature { name: "filled" type: FLOAT }
    feature { name: "sparse_words" type: BYTES }
    feature { name: "ragged" type: INT }
    feature { name: "pairs" type: FLOAT }
    feature { name: "lengths" type: INT }
    feature { name: "parts" type: FLOAT }
    feature { name: "row" type: INT }
    feature { name: "column" type: INT }
    feature { name: "value" type: FLOAT }
    feature { name: "never" type: FLOAT }
    tensor_representation_group { key: "" value {
      tensor_representation { key: "filled" value {
        dense_tensor { column_name: "filled" shape {} default_value { float_value: -1 } } } }
      tensor_representation { key: "ragged" value {
        ragged_tensor { feature_path { step: "ragged" } row_partition_dtype: INT32 } } }
      tensor_representation { key: "pairs" value {
        ragged_tensor { feature_path { step: "pairs" } partition { uniform_row_length: 2 } } } }
      tensor_representation { key: "parts" value {
        ragged_tensor { feature_path { step: "parts" } partition { row_length: "lengths" } } } }
      tensor_representation { key: "matrix" value {
        sparse_tensor { index_column_names: "row" index_column_names: "column" value_column_name: "value"
                        dense_shape { dim { size: 10 } dim { size: 5 } } } } }
    } }
    """,
    schema_pb2.Schema(),
)


def _rows() -> pa.RecordBatch:
    """Rows with features of every shape; null where a row has none."""
    ints, floats, words = (pa.large_list(kind) for kind in (pa.int64(), pa.float32(), pa.large_binary()))
    columns = {
        "scalar": pa.array([[i] for i in range(ROWS)], ints),
        "label": pa.array([[i % 2] for i in range(ROWS)], ints),
        "vector": pa.array([[i, i / 2] for i in range(ROWS)], floats),
        "word": pa.array([[b"w%d" % i] for i in range(ROWS)], words),
        "filled": pa.array([[i] if i % 2 else None for i in range(ROWS)], floats),
        "sparse_words": pa.array([[b"s%d" % i] * (i % 3) or None for i in range(ROWS)], words),
        "ragged": pa.array([list(range(i % 4)) or None for i in range(ROWS)], ints),
        "pairs": pa.array([[i, 1] * (i % 3) or None for i in range(ROWS)], floats),
        "lengths": pa.array([[2, i % 3] for i in range(ROWS)], ints),
        "parts": pa.array([list(range(2 + i % 3)) for i in range(ROWS)], floats),
        "row": pa.array([[7, 2][: i % 3] or None for i in range(ROWS)], ints),
        "column": pa.array([[0, 4][: i % 3] or None for i in range(ROWS)], ints),
        "value": pa.array([[0.5, 0.25][: i % 3] or None for i in range(ROWS)], floats),
        "never": pa.nulls(ROWS, floats),
    }
    return pa.RecordBatch.from_pydict(columns)


def _write(folder: Path, payload_format: str, *batches: pa.RecordBatch) -> str:
    examples = Examples(folder / payload_format)
    with SplitWriter(examples, "train", payload_format) as writer:
        for batch in batches:
            writer.write(batch)
    return str(examples.path / "Split-train" / "*")


@pytest.fixture(scope="module")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("rows")
    rows = _rows()
    groups = [rows.slice(0, 10), rows.slice(10, 1), rows.slice(11)]
    return {name: _write(folder, name, *groups) for name in (PARQUET, TF_EXAMPLE)}


@pytest.fixture(params=["in memory", "streamed"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "streamed":
        monkeypatch.setattr(parquet_dataset, "RESIDENT_BYTES", 0)
    return str(request.param)


def _dataset(patterns: dict[str, str], payload_format: str, **options: Any) -> tf.data.Dataset:
    factory = data_accessor(payload_format).tf_dataset_factory
    return factory([patterns[payload_format]], TensorFlowDatasetOptions(**options), SCHEMA)


def _scalars(dataset: tf.data.Dataset) -> list[list[int]]:
    return [batch["scalar"].numpy().tolist() for batch in dataset]


def _assert_same(ours: Any, theirs: Any) -> None:
    tf.nest.assert_same_structure(ours, theirs, expand_composites=True)
    flat = [tf.nest.flatten(structure, expand_composites=True) for structure in (ours, theirs)]
    for one, other in zip(*flat, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.usefixtures("where")
@pytest.mark.parametrize(
    "options",
    [
        {"num_epochs": 1},
        {"num_epochs": 1, "label_key": "label"},
        {"num_epochs": 3, "drop_final_batch": True},
        {"num_epochs": 2},
        {"num_epochs": None},
    ],
    ids=str,
)
def test_unshuffled_tensors_equal_tfx(patterns: dict[str, str], options: dict[str, Any]) -> None:
    ours, theirs = (
        _dataset(patterns, name, batch_size=4, shuffle=False, **options).take(20) for name in (PARQUET, TF_EXAMPLE)
    )
    assert ours.element_spec == theirs.element_spec
    batches = list(zip(ours, theirs, strict=True))
    assert batches
    for one, other in batches:
        _assert_same(one, other)


def test_every_epoch_is_shuffled_and_complete(patterns: dict[str, str], where: str) -> None:
    batches = _scalars(_dataset(patterns, PARQUET, batch_size=ROWS, num_epochs=2, shuffle_buffer_size=7))
    first, second = batches
    assert first != second
    assert first != sorted(first)
    if where == "in memory":  # streamed, the pool mixes the end of one epoch with the start of the next
        assert sorted(first) == list(range(ROWS))
    assert sorted(first + second) == sorted([*range(ROWS), *range(ROWS)])


@pytest.mark.usefixtures("where")
def test_a_seed_determines_the_order(patterns: dict[str, str]) -> None:
    one, same, other = (_dataset(patterns, PARQUET, batch_size=5, num_epochs=1, shuffle_seed=s) for s in (3, 3, 4))
    first_pass = _scalars(one)
    assert first_pass == _scalars(same)
    assert first_pass != _scalars(other)
    assert first_pass != _scalars(one), "a second pass is shuffled again, as by TensorFlow's shuffle"


@pytest.mark.usefixtures("where")
def test_the_global_seed_determines_the_order(patterns: dict[str, str]) -> None:
    orders = []
    for _ in range(2):
        tf.random.set_seed(11)
        orders.append(_scalars(_dataset(patterns, PARQUET, batch_size=5, num_epochs=1)))
    assert orders[0] == orders[1]


@pytest.mark.parametrize("options", [{"num_epochs": 2}, {"num_epochs": 2, "drop_final_batch": True}], ids=str)
def test_record_batches_equal_tfx(patterns: dict[str, str], options: dict[str, Any]) -> None:
    ours, theirs = (
        data_accessor(name).record_batch_factory(
            [patterns[name]], RecordBatchesOptions(batch_size=4, shuffle=False, **options), SCHEMA
        )
        for name in (PARQUET, TF_EXAMPLE)
    )
    batches = list(zip(ours, theirs, strict=True))
    assert batches
    for one, other in batches:
        assert one.equals(other)


def test_record_batches_without_a_schema_have_the_columns_of_the_files(patterns: dict[str, str]) -> None:
    options = RecordBatchesOptions(batch_size=100, num_epochs=1, shuffle_seed=1)
    (batch,) = data_accessor(PARQUET).record_batch_factory([patterns[PARQUET]], options, None)
    assert sorted(batch.to_pylist(), key=lambda row: row["scalar"]) == _rows().to_pylist()
    assert batch.schema == _rows().schema


def test_several_patterns_and_files_are_read_in_their_order(tmp_path: Path) -> None:
    batches = [pa.RecordBatch.from_pydict({"scalar": [i]}) for i in range(4)]
    for number, batch in enumerate(batches):
        pq.write_table(pa.Table.from_batches([batch]), tmp_path / f"{'ba'[number // 2]}-{number}.parquet")
    schema = schema_pb2.Schema(feature=[SCHEMA.feature[0]])
    options = TensorFlowDatasetOptions(batch_size=9, num_epochs=1, shuffle=False)
    dataset = parquet_dataset.tf_dataset([str(tmp_path / "b*"), str(tmp_path / "a*")], options, schema)
    assert _scalars(dataset) == [[0, 1, 2, 3]]


def test_neither_payload_format_has_a_data_view() -> None:
    assert [data_accessor(name).data_view_decode_fn for name in (PARQUET, TF_EXAMPLE)] == [None, None]


def _read(pattern: str, schema: schema_pb2.Schema | None = SCHEMA, **options: Any) -> None:
    parquet_dataset.tf_dataset(pattern, TensorFlowDatasetOptions(batch_size=4, **options), schema)


def test_a_missing_schema_is_refused(patterns: dict[str, str]) -> None:
    with pytest.raises(UserError, match="tf_dataset_factory was called without a schema"):
        _read(patterns[PARQUET], None)


def test_a_schema_without_features_is_refused(patterns: dict[str, str]) -> None:
    with pytest.raises(UserError, match="the schema has no features"):
        _read(patterns[PARQUET], schema_pb2.Schema())


def test_an_unknown_label_is_refused(patterns: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"the schema has no tensor 'tips' for the label\n  fix: it has filled, label"):
        _read(patterns[PARQUET], label_key="tips")


def test_a_missing_value_of_a_fixed_shape_is_refused(tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pydict({"scalar": pa.array([[1], None, [3]])})
    schema = schema_pb2.Schema(feature=[SCHEMA.feature[0]])
    with pytest.raises(DataError, match="the feature 'scalar' has 0 values in row 2, but the schema says 1 in every"):
        _read(_write(tmp_path, PARQUET, batch), schema)


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_pydict({"scalar": pa.array([["one"]])})
    schema = schema_pb2.Schema(feature=[SCHEMA.feature[0]])
    with pytest.raises(DataError, match=r"the column 'scalar' in .*parquet is large_list<item: large_binary>, .*int64"):
        _read(_write(tmp_path, PARQUET, batch), schema)


def test_a_duplicate_column_is_refused(tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([[1]]), pa.array([[2]])], ["scalar", "scalar"])
    schema = schema_pb2.Schema(feature=[SCHEMA.feature[0]])
    with pytest.raises(DataError, match=r"\.parquet has the column 'scalar' twice"):
        _read(_write(tmp_path, PARQUET, batch), schema)


def test_files_without_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"there are no rows in {tmp_path}/\*"):
        _read(f"{tmp_path}/*")


def test_a_truncated_file_is_refused(patterns: dict[str, str], tmp_path: Path) -> None:
    (whole,) = Path(patterns[PARQUET]).parent.iterdir()
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(DataError, match=f"{cut} is not a readable Parquet file"):
        _read(str(cut))


def test_a_damaged_page_is_refused(patterns: dict[str, str], tmp_path: Path) -> None:
    (whole,) = Path(patterns[PARQUET]).parent.iterdir()
    damaged = tmp_path / "damaged.parquet"
    content = bytearray(whole.read_bytes())
    content[4:600] = bytes(596)
    damaged.write_bytes(content)
    with pytest.raises(DataError, match=f"{damaged} is not a readable Parquet file"):
        _read(str(damaged))
