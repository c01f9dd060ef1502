"""Columns of any kind, counted in the bins of their training data."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from components.monitoring.profile import batches as batching
from components.monitoring.profile.counting.frequent import Frequent
from components.monitoring.profile.summarize import ALL, summarize, summarize_slices
from components.monitoring.reference.build import build
from components.monitoring.summaries import Reference

NAN, INFINITY = math.nan, math.inf


def _batches(**columns) -> list[pa.RecordBatch]:
    return pa.table(columns).to_batches()


@pytest.fixture(scope="module")
def reference() -> Reference:
    random = np.random.default_rng(1)
    return build(
        1,
        "digest",
        _batches(
            fare=pa.array(random.gamma(2, 5, 4_000).astype(np.float32), mask=random.random(4_000) < 0.1),
            hour=random.integers(0, 24, 4_000),
            company=random.choice(["Blue", "Grün", "黄"], 4_000, p=[0.5, 0.3, 0.2]),
            area=pa.array(random.integers(1, 9, 4_000)),
            tags=pa.array([["a", "b"][: number % 3] for number in range(4_000)], pa.large_list(pa.large_binary())),
            photo=[bytes([255, number % 256]) * (1 + number % 5) for number in range(4_000)],
            output_score=random.random(4_000),
        ),
        "output_score",
        categories=["area"],
    )


def test_the_training_data_have_a_summary(reference) -> None:
    kinds = {name: (column.bins.kind, column.bins.source) for name, column in reference.columns.items()}
    assert kinds == {
        "fare": ("number", "number"),
        "hour": ("number", "integer"),
        "company": ("category", "text"),
        "area": ("category", "integer"),
        "tags": ("category", "text"),
        "photo": ("number", "bytes"),
        "output_score": ("number", "number"),
    }
    for column in reference.columns.values():
        assert column.rows == 4_000
        assert (column.type_errors, column.shape_errors, column.unseen_count) == (0, 0, 0)
    assert reference.columns["company"].bins.values == ("Blue", "Grün", "黄")
    assert (reference.columns["tags"].fewest, reference.columns["tags"].most) == (1, 2)
    assert reference.columns["tags"].missing == 4_000 - 2_666


def test_numbers_are_counted_as_numpy_counts_them(reference) -> None:
    values = np.random.default_rng(2).normal(10, 20, 3_000)
    bins = reference.columns["fare"].bins
    for kind in (np.float32, np.float64, np.int64, np.int16, np.uint8):
        cast = np.abs(values).astype(kind)
        found = summarize(_batches(fare=cast), reference)["fare"]
        expected = np.bincount(np.searchsorted(bins.edges, cast.astype(np.float64)), minlength=bins.size)
        assert (found.counts == expected).all()
        assert found.mean == pytest.approx(cast.mean(dtype=np.float64), rel=1e-12)
        assert found.variance == pytest.approx(cast.var(dtype=np.float64), rel=1e-9)
        assert (found.low, found.high) == (cast.min(), cast.max())
        assert found.distinct == len(np.unique(cast))


def test_values_that_are_no_numbers_and_infinite_ones(reference) -> None:
    found = summarize(_batches(fare=[1.0, NAN, INFINITY, -INFINITY, None, 3.0]), reference)["fare"]
    assert (found.rows, found.missing, found.nans, found.infinities, found.values) == (6, 1, 1, 2, 5)
    assert (found.counts[0], found.counts[-1], found.counts.sum()) == (1, 1, 4)
    assert (found.mean, found.variance, found.low, found.high, found.distinct) == (2.0, 1.0, 1.0, 3.0, 2)


@pytest.mark.parametrize("kind", [pa.null(), pa.float32(), pa.string(), pa.large_list(pa.float32())])
def test_a_column_without_values(reference, kind) -> None:
    found = summarize(_batches(fare=pa.nulls(5, kind)), reference)["fare"]
    assert (found.rows, found.missing, found.values, found.type_errors) == (5, 5, 0, 0)


def test_a_column_that_is_gone_is_missing_and_a_new_one_is_counted(reference) -> None:
    found = summarize([*_batches(hour=[1, 2]), *_batches(hour=[3], extra=["x"], more=[[1.5, 2.5]])], reference)
    assert (found["fare"].rows, found["fare"].missing) == (3, 3)
    assert (found["extra"].rows, found["extra"].missing, dict(found["extra"].unseen)) == (3, 2, {"x": 1})
    assert (found["more"].rows, found["more"].missing, found["more"].mean) == (3, 2, 2.0)


def test_one_row_and_no_row(reference) -> None:
    assert summarize(_batches(fare=[2.5]), reference)["fare"].counts.sum() == 1
    for nothing in (
        [],
        _batches(fare=pa.array([], pa.float32())),
        [pa.record_batch({"fare": pa.array([], pa.float32())})],
    ):
        found = summarize(nothing, reference)
        assert found.keys() == reference.columns.keys()
        assert {(each.rows, each.missing, each.values) for each in found.values()} == {(0, 0, 0)}


def test_another_type_is_an_error_and_not_missing(reference) -> None:
    found = summarize(_batches(fare=["1.5", None, "x"], company=[1, 2, None], area=[1.5, 2.0, None]), reference)
    for name in ("fare", "company", "area"):
        assert (found[name].type_errors, found[name].missing, found[name].values) == (2, 1, 0)


def test_values_that_an_inference_table_keeps_apart_belong_to_their_column(reference) -> None:
    rows = _batches(
        request_id=list("abcd"),
        input_fare=pa.array([1, None, None, None]),
        input_fare_double=[None, 2.5, None, None],
        input_fare_string=[None, None, "free", None],
        input_company=["Blue", None, None, None],
        input_company_binary=[None, b"Blue", b"\xff", None],
        output_score=[0.5, 0.5, 0.5, None],
    )
    found = summarize(rows, reference)
    assert found.keys() == reference.columns.keys()
    fare, company = found["fare"], found["company"]
    assert (fare.values, fare.type_errors, fare.missing, fare.mean) == (2, 1, 1, 1.75)
    assert (company.counts[0], dict(company.unseen), company.missing) == (2, {"\\xff": 1}, 1)


def test_a_failed_request_has_no_outputs_and_may_have_no_inputs(reference) -> None:
    rows = _batches(
        request_id=list("abc"),
        status=["OK", "INTERNAL", "INVALID_ARGUMENT"],
        input_fare=[1.0, 2.0, None],
        input_hour=[1, None, None],
        output_score=[0.5, None, None],
    )
    found = summarize(rows, reference)
    assert (found["fare"].rows, found["hour"].missing) == (2, 1)
    assert (found["output_score"].rows, found["output_score"].missing) == (1, 0)


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_binary())])
def test_several_values_in_a_row(reference, kind) -> None:
    rows = pa.array([["a", "b"], [], None, ["a"], ["a", None], ["a", "b", "c"]], kind)
    found = summarize(_batches(tags=rows), reference)["tags"]
    assert (found.rows, found.missing, found.values, found.shape_errors) == (6, 2, 7, 1)
    assert dict(zip(found.bins.values, found.counts.tolist(), strict=True)) == {"a": 4, "b": 2}
    assert (found.fewest, found.most) == (1, 3)


def test_a_list_where_one_value_was_has_the_wrong_shape(reference) -> None:
    found = summarize(_batches(fare=pa.array([[1.0, 2.0]] * 5, pa.list_(pa.float32(), 2))), reference)["fare"]
    assert (found.shape_errors, found.values) == (5, 10)


def test_lists_in_lists_are_one_list(reference) -> None:
    found = summarize(_batches(fare=[[[1.0], [2.0, 3.0]], [[], None], None]), reference)["fare"]
    assert (found.values, found.missing, found.shape_errors) == (3, 2, 1)


def test_texts_are_the_same_only_if_all_bytes_are(reference) -> None:
    composed, decomposed = "Gr\u00fcn", "Gru\u0308n"
    found = summarize(_batches(company=[composed, decomposed, "grün", "Blue ", "", "\0"]), reference)["company"]
    assert found.counts.tolist() == [0, 1, 0]
    assert set(found.unseen) == {decomposed, "grün", "Blue ", "", "\0"}


def test_dictionaries_are_counted_as_their_values(reference) -> None:
    values = pa.array(["Blue", "new", None, "Blue"])
    plain, encoded = (
        summarize(_batches(company=each), reference)["company"] for each in (values, values.dictionary_encode())
    )
    assert plain.counts.tolist() == encoded.counts.tolist() == [2, 0, 0]
    assert plain.unseen == encoded.unseen == {"new": 1}


def test_binary_values_are_counted_by_their_length(reference) -> None:
    found = summarize(_batches(photo=[b"\xff" * 4, b"", None]), reference)["photo"]
    assert (found.values, found.missing, found.low, found.high) == (2, 1, 0, 4)


def test_a_million_unseen_categories_are_counted(reference) -> None:
    def stream():
        for start in range(0, 1_000_000, 50_000):
            names = [f"user {number}" for number in range(start, start + 50_000)]
            yield from _batches(company=[*names, *["frequent"] * 500])

    found = summarize(stream(), reference)["company"]
    assert found.unseen_count == 1_010_000
    assert len(found.unseen) == 100
    assert next(iter(found.unseen)) == "frequent"
    assert 9_900 < found.unseen["frequent"] <= 10_000
    assert found.distinct == pytest.approx(1_000_001, rel=0.06)


def test_rare_values_are_forgotten_and_frequent_ones_are_not() -> None:
    counted = Frequent(100)
    for start in range(0, 10_000, 50):
        counted.add([f"{number}" for number in range(start, start + 50)] + ["often"], [1] * 50 + [2])
        assert len(counted) <= 200
    assert counted.top(1) == {"often": 400}


def test_slices_have_the_rows_of_their_masks(reference) -> None:
    random = np.random.default_rng(3)
    table = pa.table(
        {
            "fare": random.gamma(2, 5, 5_000),
            "hour": random.integers(0, 24, 5_000),
            "company": random.choice(["Blue", "x"], 5_000),
            "tags": pa.array([["a"] * (number % 3) for number in range(5_000)]),
        }
    )

    def slicer(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        hours = batch.column("hour").to_numpy()
        return {f"hour:{hour}": hours == hour for hour in (3, 5, 99)}

    found = summarize_slices(table.to_batches(max_chunksize=700), reference, slicer)
    assert found.keys() == {ALL, "hour:3", "hour:5"}
    for hour in (3, 5):
        alone = summarize(table.filter(pa.compute.equal(table["hour"], hour)).to_batches(), reference)
        for name, summary in found[f"hour:{hour}"].items():
            assert (summary.counts == alone[name].counts).all()
            assert (summary.rows, summary.missing, summary.unseen) == (
                alone[name].rows,
                alone[name].missing,
                alone[name].unseen,
            )
            assert summary.mean == pytest.approx(alone[name].mean)


def test_the_size_of_batches_changes_nothing(reference, monkeypatch) -> None:
    random = np.random.default_rng(3)
    table = pa.table({"fare": random.normal(size=3_000), "company": random.choice(["Blue", "x", "y"], 3_000)})
    whole = summarize(table.to_batches(), reference)
    monkeypatch.setattr(batching, "ROWS", 100)
    parts = summarize(table.to_batches(max_chunksize=33), reference)
    for name in ("fare", "company"):
        assert (whole[name].counts == parts[name].counts).all()
        assert (whole[name].distinct, whole[name].unseen) == (parts[name].distinct, parts[name].unseen)
        assert whole[name].variance == pytest.approx(parts[name].variance, rel=1e-12)


def test_summaries_are_the_same_each_time(reference) -> None:
    values = np.random.default_rng(3).normal(size=300_000)
    first, second = (summarize(_batches(fare=values, hour=values), reference)["fare"] for _ in range(2))
    assert (first.mean, first.variance) == (second.mean, second.variance)


def test_an_error_of_a_column_reaches_the_caller(reference) -> None:
    def stream():
        yield from _batches(fare=[1.0])
        raise OSError("the store is away")

    with pytest.raises(OSError, match="the store is away"):
        summarize(stream(), reference)


def test_times_are_values_of_another_type(reference) -> None:
    found = summarize(_batches(fare=[datetime(2026, 1, 1, tzinfo=UTC)]), reference)["fare"]
    assert (found.type_errors, found.values) == (1, 0)
