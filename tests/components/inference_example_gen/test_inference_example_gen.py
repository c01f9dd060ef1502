"""The stage `inference_example_gen` on real trips: which rows become examples, as what, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.contract.artifacts import Examples, Schema
from components.contract.errors import DataError, UserError
from components.data.examples import read_batches
from components.execution import provenance
from components.inference_example_gen import report
from components.reports.page import render
from components.reports.ran import Ran
from tests.components.inference_example_gen.recorded import LABEL, START, STEP, Recorded, read_trips
from tests.conftest import run_stage_in

Stage = Callable[..., Examples]
ROWS = 300


@pytest.fixture(scope="module")
def trips(taxi_csv: Path) -> pa.Table:
    """Real trips in random order."""
    return read_trips(taxi_csv)


@pytest.fixture(scope="module")
def history(taxi_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """All trips, as the model was trained on."""
    folder = tmp_path_factory.mktemp("history")
    given = {"input_path": str(taxi_csv), "allow_unversioned": True}
    found: Examples = run_stage_in("example_gen", folder, {}, given)["examples"]
    return found


@pytest.fixture(scope="module")
def schema(history: Examples, tmp_path_factory: pytest.TempPathFactory) -> Schema:
    """The schema of the trips: their features and types."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    made, kinds = schema_pb2.Schema(), {pa.int64(): 2, pa.float32(): 3, pa.large_binary(): 1}
    [batch, *_] = read_batches(history, "eval")
    for field in batch.schema:
        made.feature.add(name=field.name, type=kinds[field.type.value_type])
    folder = tmp_path_factory.mktemp("schema")
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(made))
    return Schema(folder)


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """Empty tables."""
    return Recorded(tmp_path / "tables")


@pytest.fixture
def stage(recorded: Recorded, schema: Schema, tmp_path: Path) -> Stage:
    """`stage(...)`: the examples; each call has its own folder."""
    count = iter(range(100))

    def run(inputs: dict[str, Any] | None = None, **parameters: Any) -> Examples:
        given = {"tables": str(recorded.tables), "model_name": "chicago_taxi", **recorded.window, **parameters}
        given_inputs = {"schema": schema} if inputs is None else inputs
        made = run_stage_in("inference_example_gen", tmp_path / f"made-{next(count)}", given_inputs, given)
        found: Examples = made["examples"]
        return found

    return run


def rows(examples: Examples, *splits: str) -> pa.Table:
    """The rows of some splits, or of all."""
    names = splits or json.loads(examples.metadata["split_names"])
    return pa.concat_tables(pa.Table.from_batches(list(read_batches(examples, name))) for name in names)


def counts(examples: Examples) -> dict[str, int]:
    return {name: examples.metadata[f"rows_{name}"] for name in ("requests", "failed", "duplicates", "without_label")}


def in_order(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=str)


def test_the_examples_are_those_that_example_gen_makes_of_the_same_trips(
    stage: Stage, recorded: Recorded, trips: pa.Table, tmp_path: Path
) -> None:
    recorded.trips(trips[:ROWS])
    found = stage()
    (tmp_path / "trips").mkdir()
    pa.csv.write_csv(trips[:ROWS], tmp_path / "trips/trips.csv")
    types = {name: "float" for name in trips.column_names if pa.types.is_floating(trips.schema.field(name).type)}
    given = {"input_path": str(tmp_path / "trips"), "allow_unversioned": True, "column_types": types}
    expected = run_stage_in("example_gen", tmp_path / "expected", {}, given)["examples"]
    assert rows(found).schema.names == rows(expected).schema.names
    typed = {field.name: field.type for field in rows(expected).schema if not pa.types.is_null(field.type)}
    assert len(typed) > 15
    assert {name: rows(found).schema.field(name).type for name in typed} == typed
    assert in_order(rows(found)) == in_order(rows(expected))
    assert json.loads(found.metadata["split_names"]) == ["train", "eval"]


def test_the_split_of_a_row_depends_on_its_request_alone(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    recorded.trips(trips[:ROWS])
    first = stage()
    held_out = {str(each) for each in rows(first, "eval").to_pylist()}
    assert 0.25 < len(held_out) / ROWS < 0.42
    recorded.trips(trips[ROWS : 2 * ROWS])
    trained = {str(each) for each in rows(stage(), "train").to_pylist()}
    assert not held_out & trained


def test_rows_without_a_label_failed_requests_and_copies_are_left_out_and_counted(
    stage: Stage, recorded: Recorded, trips: pa.Table
) -> None:
    recorded.trips(trips[:100])
    recorded.trips(trips[100:140], labelled=False)
    failed = recorded.trips(trips[140:150], status="INVALID_ARGUMENT")
    copies = recorded.rows(trips[:7], version=2)
    recorded.append(copies.set_column(0, "request_id", pa.array([f"request-{n}" for n in range(7)])))
    found = stage()
    assert counts(found) == {"requests": 157, "failed": len(failed), "duplicates": 7, "without_label": 40}
    assert rows(found).num_rows == 100
    assert json.loads(found.metadata["new_rows"]) == json.loads(found.metadata["rows"])
    assert found.summary[0][1].startswith("100 of 157 rows have a label, from 2026-03-02T00:00:00+00:00 to ")


def test_of_several_labels_the_one_that_became_known_last_counts_however_late(
    stage: Stage, recorded: Recorded, trips: pa.Table
) -> None:
    ids = recorded.trips(trips[:100], labelled=False)
    recorded.labels(ids, [1.0] * 100, time=START + timedelta(days=40))
    recorded.labels(ids[:10], [2.0] * 10, time=START + timedelta(days=60))
    recorded.labels(ids[10:20], [3.0] * 10, time=START + timedelta(days=20))
    found = pc.list_flatten(rows(stage())[LABEL].combine_chunks()).to_pylist()
    assert sorted(found) == [1.0] * 90 + [2.0] * 10


def test_a_version_of_the_labels_gives_what_was_known_then(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    ids = recorded.trips(trips[:100], labelled=False)
    recorded.labels(ids[:60], [1.0] * 60)
    before = recorded.store.version("labels")
    recorded.labels(ids[60:], [1.0] * 40)
    assert rows(stage()).num_rows == 100
    then = stage(labels_version=before)
    assert (rows(then).num_rows, counts(then)["without_label"]) == (60, 40)
    with pytest.raises(UserError, match="labels has no version 99\n  fix: its newest version is"):
        stage(labels_version=99)


def test_rows_outside_of_the_window_are_not_read(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    recorded.trips(trips[:ROWS])
    found = stage(window_start=(START + 50 * STEP).isoformat(), window_end=(START + 150 * STEP).isoformat())
    assert counts(found)["requests"] == rows(found).num_rows == 100


def test_new_rows_are_added_to_the_history_split_by_split(
    stage: Stage, recorded: Recorded, trips: pa.Table, history: Examples, schema: Schema
) -> None:
    recorded.trips(trips[:ROWS])
    found = stage({"schema": schema, "history": history}, splits={"train": 2, "recent": 1})
    assert json.loads(found.metadata["split_names"]) == ["train", "eval", "recent"]
    new, total = (json.loads(found.metadata[name]) for name in ("new_rows", "rows"))
    old = json.loads(history.metadata["rows"])
    assert sum(new.values()) == ROWS
    assert total == {"train": old["train"] + new["train"], "eval": old["eval"], "recent": new["recent"]}
    assert in_order(rows(found, "eval")) == in_order(rows(history, "eval"))
    assert rows(found, "train")[: old["train"]].equals(rows(history, "train").select(rows(found).column_names))


def test_the_provenance_names_the_versions_the_window_and_the_content(
    stage: Stage, recorded: Recorded, trips: pa.Table
) -> None:
    recorded.trips(trips[:ROWS])
    first = stage()
    [record, *_] = provenance.chain(first)
    data = record["data"]
    assert data["path"] == f"{recorded.tables}/chicago_taxi"
    assert (
        data["revision"] == f"inference-{recorded.store.version('inference')},labels-{recorded.store.version('labels')}"
    )
    assert data["window"] == list(recorded.window.values())
    assert data["versioned"] is True
    assert record["parameters"]["window_start"] == START.isoformat()
    again = provenance.chain(stage(tables=f"{recorded.tables}/"))[0]
    assert (again["digest"], again["data"]["content"]) == (record["digest"], data["content"])


def test_rows_that_were_compacted_make_the_same_examples(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    from components.inference import table

    for start in range(0, ROWS, 100):
        recorded.trips(trips[start : start + 100])
    before = stage().metadata["digest"]
    table.compact(recorded.store.root)
    assert stage().metadata["digest"] == before


def test_different_shares_are_recorded_and_noted(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    recorded.trips(trips[:100])
    assert (stage().metadata["share_low"], stage().notes) == (1.0, [])
    recorded.trips(trips[100:200], share=0.25)
    found = stage()
    assert (found.metadata["share_low"], found.metadata["share_high"]) == (0.25, 1.0)
    assert found.notes == ["the rows were recorded with shares from 0.25 to 1; each counts once here"]


def test_without_a_schema_all_inputs_and_outcomes_are_taken_as_they_are(
    stage: Stage, recorded: Recorded, trips: pa.Table
) -> None:
    ids = recorded.trips(trips.select(["fare", "company", LABEL])[:100])
    recorded.labels(ids, ["good"] * 100, name="opinion")
    assert rows(stage({})).column_names == ["fare", "company", LABEL, "opinion"]
    assert rows(stage({}, labels=[LABEL])).column_names == ["fare", "company", LABEL]


def test_a_row_needs_all_outcomes_that_are_named(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    ids = recorded.trips(trips.select(["fare", LABEL])[:100])
    recorded.labels(ids[:70], [1.0] * 70, name="opinion")
    assert rows(stage({}, labels=[LABEL])).num_rows == 100
    assert rows(stage({}, labels=["opinion", LABEL])).num_rows == 70
    with pytest.raises(UserError, match="the labels have no outcome 'stars'\n  fix: there are: "):
        stage({}, labels=["stars"])


def test_a_missing_value_is_a_missing_feature(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    empty = trips.filter(pc.is_null(trips["pickup_census_tract"]))[:100]
    recorded.trips(empty)
    found = rows(stage())
    assert found["pickup_census_tract"].null_count == 100
    assert pa.types.is_large_list(found.schema.field("pickup_census_tract").type)


def test_whole_numbers_that_arrived_as_floats_are_integers(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    place = trips.column_names.index("trip_start_hour")
    hours = trips["trip_start_hour"].cast(pa.float64())
    recorded.trips(trips.set_column(place, "trip_start_hour", hours)[:100])
    assert rows(stage()).schema.field("trip_start_hour").type == pa.large_list(pa.int64())


def changed(trips: pa.Table, name: str, values: Any) -> pa.Table:
    return trips.set_column(trips.column_names.index(name), name, pa.array(values))


def test_values_of_another_type_are_an_error(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    """A keyed hash, for instance."""
    recorded.trips(changed(trips[:100], "fare", [f"hash {n}" for n in range(100)]))
    with pytest.raises(
        DataError, match="input_fare of the inference table does not fit the schema, where 'fare' is FLOAT"
    ):
        stage()


def test_parts_of_numbers_are_not_cut_off(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    recorded.trips(changed(trips[:100], "trip_start_hour", np.full(100, 3.5)))
    with pytest.raises(DataError, match="input_trip_start_hour"):
        stage()


def test_a_feature_that_is_dropped_is_an_error_that_names_it(
    stage: Stage, recorded: Recorded, trips: pa.Table, tmp_path: Path
) -> None:
    from components.inference.privacy.privacy import Privacy

    privacy = Privacy.of({"columns": {"company": "drop", "fare": "drop"}})
    made = recorded.rows(trips[:100])
    recorded.append(privacy.apply(made))
    recorded.labels(made["request_id"].to_pylist(), trips[LABEL][:100])
    with pytest.raises(UserError, match=r"lack features of the schema: '(fare', 'company|company', 'fare)'") as error:
        stage()
    assert "privacy rule" in error.value.fix and "set without=" in error.value.fix
    assert not list(tmp_path.glob("made-*/examples"))
    found = rows(stage(without=["company", "fare"]))
    assert found["fare"].null_count == found.num_rows == 100
    with pytest.raises(UserError, match="without names 'colour', which is no feature of the schema"):
        stage(without=["colour"])


def test_a_feature_that_history_rarely_has_may_be_missing_in_a_window(
    stage: Stage, recorded: Recorded, trips: pa.Table, history: Examples, schema: Schema
) -> None:
    """Requests that lack it make no column."""
    both = {"schema": schema, "history": history}
    recorded.trips(trips.drop_columns(["pickup_census_tract"])[:100])
    with pytest.raises(UserError, match="lack features of the schema: 'pickup_census_tract'"):
        stage()
    assert rows(stage(both, splits={"recent": 1}), "recent")["pickup_census_tract"].null_count == 100
    recorded.trips(trips[100:200])
    window = {"window_start": START.isoformat(), "window_end": (START + 100 * STEP).isoformat()}
    assert rows(stage(both, splits={"recent": 1}, **window), "recent").num_rows == 100


def test_a_feature_that_history_has_must_not_be_missing(
    stage: Stage, recorded: Recorded, trips: pa.Table, history: Examples, schema: Schema
) -> None:
    recorded.trips(trips.drop_columns(["company"])[:100])
    with pytest.raises(UserError, match="lack features of the schema: 'company'"):
        stage({"schema": schema, "history": history})


def test_a_table_without_any_outcome_of_the_schema_is_an_error(
    stage: Stage, recorded: Recorded, trips: pa.Table
) -> None:
    ids = recorded.trips(trips[:100], labelled=False)
    with pytest.raises(UserError, match=r"there are no labels in .*/chicago_taxi/labels") as error:
        stage()
    assert f"taxiway labels add chicago_taxi FILE --tables {recorded.tables}" in error.value.fix
    recorded.labels(ids, [1.0] * 100, name="paid")
    with pytest.raises(UserError, match="no outcome of the labels is a feature of the schema: paid"):
        stage()


def test_labels_of_other_requests_are_none(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    recorded.trips(trips[:100], labelled=False)
    recorded.labels(["another"], [1.0])
    with pytest.raises(DataError, match=r"none of the 100 requests from .* has a label"):
        stage()


def test_a_window_without_requests_is_an_error_that_says_when_there_are_some(
    stage: Stage, recorded: Recorded, trips: pa.Table
) -> None:
    with pytest.raises(UserError, match="there is no inference table in "):
        stage(window_start="2026-03-02", window_end="2026-03-03")
    recorded.trips(trips[:100])
    with pytest.raises(DataError, match="there is no request from 2027-01-01T00:00:00") as error:
        stage(window_start="2027-01-01", window_end="2027-01-02")
    assert error.value.fix.startswith("its requests are from 2026-03-02T00:00:00+00:00 to 2026-03-02T00:01:39+00:00")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"window_start": "yesterday"}, "window_start is 'yesterday'\n  fix: write a time such as 2026-02-01T08:00"),
        ({"window_start": "2026-05-01", "window_end": "2026-04-01"}, "the window is empty"),
        ({"max_label_age": "month"}, "max_label_age is 'month'"),
        ({"splits": {"train": 0}}, "splits is {'train': 0}"),
        ({"splits": {"a b": 1}}, "'a b' is not a valid name for a split"),
        ({"payload_format": "csv"}, "payload_format is 'csv'"),
    ],
)
def test_wrong_parameters_are_refused(
    stage: Stage, recorded: Recorded, trips: pa.Table, given: dict[str, Any], message: str
) -> None:
    recorded.trips(trips[:10])
    with pytest.raises(UserError, match=message):
        stage(**given)


def test_a_split_without_rows_is_an_error(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    recorded.trips(trips[:5])
    with pytest.raises(DataError, match="the split 'eval' has no rows: the window has 5 with a label"):
        stage(splits={"train": 1000, "eval": 1})


def test_labels_by_keys_are_joined_point_in_time(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    from components.monitoring.labels.add import add

    keyed = trips[:60].append_column("trip_id", pa.array([str(n % 30) for n in range(60)]))
    recorded.trips(keyed, labelled=False)
    # Each key has a request at n and one at n + 30 seconds; the outcome belongs to the one before it.
    times = [START + n * STEP + STEP / 2 for n in range(30)]
    add(
        recorded.store,
        pa.table({"trip_id": [str(n) for n in range(30)], LABEL: np.arange(30.0), "at": times}),
        keys=["trip_id"],
        time="at",
    )
    found = stage({}, labels=[LABEL])
    by_key = {row["trip_id"][0]: row for row in rows(found).to_pylist()}
    assert counts(found)["without_label"] == 30
    expected = dict(zip(keyed["trip_id"].to_pylist()[:30], keyed["fare"].to_pylist()[:30], strict=True))
    assert {int(key): row[LABEL] for key, row in by_key.items()} == {n: [float(n)] for n in range(30)}
    assert {key.decode(): row["fare"] for key, row in by_key.items()} == {
        key: None if fare is None else [np.float32(fare)] for key, fare in expected.items()
    }


def test_tf_examples_are_written_where_they_are_asked_for(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    recorded.trips(trips[:100])
    assert in_order(rows(stage()).select(["fare"])) == in_order(
        rows(stage(payload_format="tf_example")).select(["fare"])
    )


def test_the_report_shows_what_became_of_the_rows(stage: Stage, recorded: Recorded, trips: pa.Table) -> None:
    recorded.trips(trips[:100])
    recorded.trips(trips[100:140], labelled=False)
    found = stage()
    [(kind, renderer)] = report.SECTIONS
    section = renderer(found, Ran([found]))
    assert kind is Examples and section
    page = render("Examples", [section])
    for words in ("Requests that became examples", "without a label", "inference-", "2026-03-02"):
        assert words in page
    assert renderer(Examples(found.path), Ran([found])) is None
