"""What a model was trained on: built from rows in any form, and kept in a file."""

from __future__ import annotations

import os
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contract.errors import DataError
from components.data.examples import to_tfxio_form
from components.monitoring.profile.stored import from_table, to_table
from components.monitoring.profile.summarize import summarize
from components.monitoring.reference import build as building
from components.monitoring.reference.build import build
from components.monitoring.reference.edges import FEW
from components.monitoring.reference.scan import CATEGORIES
from components.monitoring.reference.store import load, save
from components.monitoring.summaries import Reference, Summary


def _table(rows: int = 3_000) -> pa.Table:
    random = np.random.default_rng(rows)
    return pa.table(
        {
            "fare": pa.array(random.gamma(2, 5, rows), mask=random.random(rows) < 0.1),
            "hour": random.integers(0, 24, rows),
            "company": random.choice(["Blue", "Grün"], rows),
            "output_score": random.random(rows),
        }
    )


def _equal(first: Summary, second: Summary) -> None:
    for field in fields(Summary):
        one, two = getattr(first, field.name), getattr(second, field.name)
        if field.name == "bins":
            assert (one.kind, one.values, one.source) == (two.kind, two.values, two.source)
            assert np.array_equal(one.edges, two.edges)
        else:
            assert np.array_equal(one, two) if field.name == "counts" else one == two


def _same(first: Reference, second: Reference) -> None:
    assert (first.version, first.digest, list(first.columns)) == (second.version, second.digest, list(second.columns))
    for name, column in first.columns.items():
        _equal(column, second.columns[name])
    assert np.array_equal(first.codes, second.codes)
    assert np.array_equal(first.scores, second.scores, equal_nan=True)


def test_rows_of_all_forms_give_the_same_reference() -> None:
    table = _table()
    flat = build(1, "d", table.to_batches(), "output_score")
    _same(flat, build(1, "d", iter(table.to_batches(max_chunksize=2_000)), "output_score"))
    lists = build(1, "d", [to_tfxio_form(batch) for batch in table.select(["hour", "company"]).to_batches()])
    for name in ("hour", "company"):
        _equal(flat.columns[name], lists.columns[name])


def test_what_can_be_read_once_is_kept_only_for_the_second_pass(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []

    def stream():
        yield from _table().to_batches(max_chunksize=1_000)
        yield from pa.table({"other": [1, 2]}).to_batches()
        seen.extend(tmp_path.rglob("*.arrow"))

    found = build(1, "d", stream())
    assert seen
    assert not list(tmp_path.iterdir())
    assert (found.columns["other"].rows, found.columns["other"].missing) == (3_002, 3_000)


def test_codes_are_the_bins_of_a_sample_of_the_rows() -> None:
    table = _table(500)
    reference = build(1, "d", table.to_batches(), "output_score")
    assert reference.codes.shape == (500, 4)
    for number, (name, column) in enumerate(reference.columns.items()):
        codes = reference.codes[:, number]
        assert (codes == -1).sum() == column.missing
        assert (np.bincount(codes[codes >= 0], minlength=column.bins.size) == column.counts).all(), name
    edges = reference.columns["output_score"].bins.edges
    assert (np.searchsorted(edges, reference.scores) == reference.codes[:, 3]).all()


def test_a_sample_is_of_all_rows_and_the_same_each_time(monkeypatch) -> None:
    monkeypatch.setattr(building, "CODED_ROWS", 1_000)
    monkeypatch.setattr(building, "SAMPLED_ROWS", 2_000)
    table = pa.table({"number": np.arange(50_000)})
    first, second = (build(1, "d", table.to_batches(max_chunksize=size)) for size in (777, 50_000))
    assert np.array_equal(first.codes, second.codes)
    assert first.codes.shape == (1_000, 1)
    places = first.codes[:, 0] / first.columns["number"].bins.size
    assert places.mean() == pytest.approx(0.5, abs=0.03)
    assert np.diff(np.sort(places)).max() < 0.1


def test_scores_are_the_last_of_several_values_and_nan_where_there_are_none() -> None:
    table = pa.table({"output_probabilities": [[0.9, 0.1], None, [0.2, 0.8]]})
    found = build(1, "d", table.to_batches(), "output_probabilities").scores
    assert sorted(found[~np.isnan(found)].tolist()) == [0.1, 0.8]
    assert np.isnan(build(1, "d", table.to_batches()).scores).all()


def test_many_numbers_lie_between_quantiles_and_few_have_bins_of_their_own() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=50_000)
    values[:20_000] = 0
    column = build(1, "d", pa.table({"x": values}).to_batches()).columns["x"]
    filled = column.counts[column.counts > 0]
    assert FEW / 2 < len(filled) <= FEW + 1
    assert filled.max() == 20_000
    assert np.sort(filled)[-2] < 500
    assert (column.counts[0], column.counts[-1]) == (0, 0)
    few = build(1, "d", pa.table({"x": [3, 1, 3, 7]}).to_batches()).columns["x"]
    assert few.counts[few.counts > 0].tolist() == [1, 2, 1]


@pytest.mark.parametrize(("kind", "value"), [(pa.large_list(pa.large_binary()), "x"), (pa.float32(), 1.5)])
def test_a_column_without_values_keeps_its_type(kind, value) -> None:
    reference = build(1, "d", pa.table({"x": pa.nulls(3, kind)}).to_batches())
    assert (reference.columns["x"].missing, reference.columns["x"].rows) == (3, 3)
    for given, errors in ((value, 0), (1.5 if value == "x" else "x", 1)):
        found = summarize(pa.table({"x": [given, None]}).to_batches(), reference)["x"]
        assert (found.type_errors, found.values, found.missing) == (errors, 1 - errors, 1)


def test_the_most_frequent_categories_have_bins_and_the_others_are_counted() -> None:
    names = [*(f"rare {number}" for number in range(CATEGORIES)), *["often"] * 5, *["twice"] * 2]
    column = build(1, "d", pa.table({"x": names}).to_batches()).columns["x"]
    assert column.bins.values[:2] == ("often", "twice")
    assert column.bins.size == CATEGORIES
    assert column.unseen_count == 2
    assert column.singletons == CATEGORIES
    assert column.distinct == CATEGORIES + 2


def test_integers_are_categories_only_if_the_schema_says_so() -> None:
    table = pa.table({"area": [3, 3, 1], "hour": [3, 3, 1]})
    columns = build(1, "d", table.to_batches(), categories=["area"]).columns
    assert (columns["area"].bins.values, columns["area"].counts.tolist()) == (("3", "1"), [2, 1])
    assert columns["hour"].bins.kind == "number"


def test_long_texts_are_counted_by_their_length() -> None:
    table = pa.table({"review": [f"{number} " * 300 for number in range(50)]})
    assert build(1, "d", table.to_batches()).columns["review"].bins.source == "bytes"


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_and_one_row(rows, tmp_path) -> None:
    reference = build(
        1, "d", _table().slice(0, rows).to_batches() or [pa.record_batch(_table().schema.empty_table().to_pydict())]
    )
    save(reference, tmp_path / "reference.parquet")
    _same(reference, load(tmp_path / "reference.parquet"))
    assert summarize(_table().to_batches(), reference)["hour"].rows == 3_000


def test_a_reference_is_the_same_after_it_was_saved(tmp_path) -> None:
    reference = build(7, "sha256:1", _table().to_batches(), "output_score")
    file = tmp_path / "reference.parquet"
    save(reference, file)
    _same(reference, load(file, "sha256:1"))
    assert [path.name for path in tmp_path.iterdir()] == ["reference.parquet"]
    assert file.stat().st_size < 400_000


def test_summaries_are_the_same_after_they_were_stored() -> None:
    reference = build(7, "d", _table().to_batches())
    summaries = summarize(pa.table({"company": ["new", "Blue"], "fare": [np.inf, 1.0]}).to_batches(), reference)
    for name, summary in from_table(to_table(summaries)).items():
        _equal(summary, summaries[name])


def test_a_reference_of_other_data_is_refused(tmp_path) -> None:
    save(build(7, "sha256:1", _table().to_batches()), tmp_path / "r.parquet")
    with pytest.raises(DataError, match="is of the training data sha256:1, and not of sha256:2"):
        load(tmp_path / "r.parquet", "sha256:2")


def test_a_damaged_reference_is_refused(tmp_path) -> None:
    file = tmp_path / "r.parquet"
    save(build(7, "d", _table().to_batches()), file)
    content = bytearray(file.read_bytes())
    content[200] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(DataError, match="is not a readable reference"):
        load(file)
    file.write_bytes(content[:100])
    with pytest.raises(DataError, match="is not a readable reference"):
        load(file)
    pq.write_table(pa.table({"x": [1]}), file)
    with pytest.raises(DataError, match="is not a readable reference"):
        load(file)


def test_a_reference_of_another_format_is_refused(tmp_path) -> None:
    file = tmp_path / "r.parquet"
    table = pa.table({"x": [1]}).replace_schema_metadata({b"reference": b'{"format": 99, "digest": "d", "version": 1}'})
    pq.write_table(table, file)
    with pytest.raises(DataError, match="has format 99, and not 1"):
        load(file)


def test_a_reference_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch) -> None:
    reference = build(7, "d", _table().to_batches())

    def fail(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="no space left"):
        save(reference, tmp_path / "r.parquet")
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    assert isinstance(tmp_path, Path)
