"""What is written of a column, and which settings are refused."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.contract.errors import UserError
from components.inference.columns import INPUT
from components.inference.privacy import privacy
from components.inference.privacy.privacy import Privacy

TAXI = Path(__file__).parents[3] / "data" / "chicago_taxi" / "data.csv"


@pytest.fixture
def key_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "k1").write_text("0123456789abcdef\n")
    return folder


def _done(action: Any, values: pa.Array | list[Any], keys: Path | None = None) -> list[Any] | None:
    """What is written of a column; None if the column is not."""
    rules = Privacy.of({"columns": {"x": action}, "keys": str(keys) if keys else None})
    rows = rules.apply(pa.table({"input_x": values}))
    return rows.column("input_x").to_pylist() if "input_x" in rows.column_names else None  # type: ignore[no-any-return]


HOUR = 1400269500 // 3600 * 3600


@pytest.mark.parametrize(
    ("action", "given", "written"),
    [
        ("drop", ["Jane"], None),
        ("keep", ["Jane"], ["Jane"]),
        ({"cut": 2}, ["Jänö", "J", None], ["Jä", "J", None]),
        ({"cut": 2}, ["Jänö".encode(), b"\xff\xfe\xfd"], ["Jä".encode(), b"\xff\xfe"]),
        ({"cut": 5}, [12, -3, None], [10, -5, None]),
        ({"cut": 0.1}, [0.37, 0.3, float("inf"), None], [0.3, 0.3, float("inf"), None]),
        ({"cut": 2.5}, [7.4], [5.0]),
        ({"generalise": {"step": 0.5}}, [1.7], [1.5]),
        ({"generalise": {"digits": 2}}, [41.88765], [41.89]),
        ({"generalise": {"bins": [18, 30]}}, [17, 18, 30, None], ["<18", "18-30", ">=30", None]),
        ({"generalise": {"time": "hour"}}, [1400269500, None], [HOUR, None]),
        ({"generalise": {"time": "hour"}}, [1400269500.0], [float(HOUR)]),
        ({"generalise": {"time": "hour"}}, [1400269500123], [HOUR * 1000]),
        ({"generalise": {"time": "day"}}, ["2026-01-02T03:04:05Z", "Jane"], ["2026-01-02", None]),
        ({"generalise": {"prefix": 3}}, ["60614"], ["606"]),
        ({"generalise": {"mapping": {"Visa": "card"}, "other": "other"}}, ["Visa", "Cash"], ["card", "other"]),
        ({"generalise": {"mapping": {7: "seven"}}}, [7, 8], ["seven", None]),
        ({"cut": 1}, [["ab", "cd"], None, []], [["a", "c"], None, []]),
        ({"cut": 1}, [[["ab"], ["cd"]]], [[["a"], ["c"]]]),
        # What an action cannot take is not written.
        ({"generalise": {"digits": 2}}, ["Jane"], [None]),
        ({"cut": 2}, [{"name": "Jane"}], [None]),
    ],
)
def test_each_action_writes_what_it_says(action: Any, given: list[Any], written: list[Any] | None) -> None:
    assert _done(action, given) == written
    assert not given or _done(action, pa.chunked_array([given, given])) == (written and written + written)


def test_a_slice_of_lists_keeps_its_rows() -> None:
    column = pa.array([["lost"], ["ab"], None, ["cd", "ef"]]).slice(1)
    assert _done({"cut": 1}, column) == [["a"], None, ["c", "e"]]


def test_a_hash_is_an_hmac_with_the_id_of_its_key(key_folder: Path) -> None:
    digest = hmac.new(b"0123456789abcdef", b"Jane", hashlib.sha256).hexdigest()[:32]
    assert _done("hash", ["Jane", None, "Jane"], key_folder) == [f"k1:{digest}", None, f"k1:{digest}"]
    assert _done("hash", [b"Jane"], key_folder) == [f"k1:{digest}"]
    assert _done("hash", [7], key_folder) == _done("hash", ["7"], key_folder) == _done("hash", [7.0], key_folder)


def test_the_newest_key_writes_and_old_ones_find(key_folder: Path) -> None:
    for name in ("k2", "k10"):
        (key_folder / name).write_text(f"{name}-0123456789abcdef")
    rules = Privacy.of({"columns": {"x": "hash"}, "keys": str(key_folder)})
    [written] = rules.apply(pa.table({"input_x": ["Jane"]})).column("input_x").to_pylist()
    assert written.startswith("k10:")
    assert rules.keys
    assert [each.partition(":")[0] for each in rules.keys.every_hash(b"Jane")] == ["k1", "k2", "k10"]


def test_keys_are_read_from_lines_of_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("b: 0123456789abcdef\na: fedcba9876543210\n")
    [written] = _done("hash", ["Jane"], tmp_path / "keys") or [""]
    assert written.startswith("a:")


def test_a_rotated_key_is_used_without_a_restart(key_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "_SECONDS", 0.0)
    rules = Privacy.of({"columns": {"x": "hash"}, "keys": str(key_folder)})
    (key_folder / "k2").write_text("fedcba9876543210")
    assert rules.apply(pa.table({"input_x": ["Jane"]})).column("input_x")[0].as_py().startswith("k2:")


def test_nothing_is_written_once_the_keys_are_gone(key_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy, "_SECONDS", 0.0)
    rules = Privacy.of({"columns": {"x": "hash"}, "keys": str(key_folder)})
    (key_folder / "k1").unlink()
    with pytest.raises(UserError, match="there is no key in"):
        rules.apply(pa.table({"input_x": ["Jane"]}))


def test_messages_and_request_ids_quote_nothing_that_is_protected(key_folder: Path) -> None:
    rules = Privacy.of({"columns": {"name": "drop", "mail": "hash"}, "keys": str(key_folder)})
    rows = pa.table(
        {
            "request_id": ["a1", "order-of-Jane Doe", "jd@example.com", "a1"],
            "error": [None, "could not parse Jane Doe as input_name", "no fare: x", None],
            "input_name": ["Jane Doe", "Jane Doe", None, None],
            "input_mail": pa.array([None, None, None, "a1"]),
            "input_fare": [1.0, 2.0, 3.0, 4.0],
        }
    )
    written = rules.apply(rows)
    assert written.column("error").to_pylist() == [
        None,
        "message withheld; it names name",
        "message withheld; it names fare",
        None,
    ]
    requests = written.column("request_id").to_pylist()
    assert requests[0] == requests[3] == "a1"
    assert requests[1].startswith("k1:") and requests[2].startswith("k1:")
    assert "Jane" not in str(written.to_pylist()) and "example.com" not in str(written.to_pylist())


def test_without_a_key_a_quoting_request_id_becomes_another_for_all_of_its_rows() -> None:
    rows = pa.table({"request_id": ["of-Jane", "of-Jane"], "input_name": ["Jane", None]})
    first, second = Privacy.of({"columns": {"name": "drop"}}).apply(rows).column("request_id").to_pylist()
    assert first == second and first.startswith("withheld-")


def test_a_rule_for_the_message_comes_first() -> None:
    rows = pa.table({"error": ["bad fare"], "input_name": ["Jane"]})
    assert (
        Privacy.of({"columns": {"name": "drop", "error": "keep"}}).apply(rows).column("error")[0].as_py() == "bad fare"
    )


def test_without_rules_rows_are_written_as_they_are() -> None:
    rows = pa.table({"request_id": ["jd@example.com"], "input_name": ["Jane"], "error": ["Jane"]})
    assert Privacy.of().apply(rows) is rows


def test_inputs_that_nobody_named_can_be_dropped() -> None:
    rules = Privacy.of({"others": "drop", "columns": {"fare": "keep"}})
    assert rules.apply(pa.table({"input_fare": [1], "input_new": ["Jane"], "row": [0]})).column_names == [
        "input_fare",
        "row",
    ]


def test_training_rows_take_the_form_of_the_table(key_folder: Path) -> None:
    rules = Privacy.of(
        {"columns": {"a": "drop", "b": {"cut": 1}, "c": "hash", "output_s": {"cut": 1}}, "keys": str(key_folder)}
    )
    batch = pa.RecordBatch.from_pydict({"a": [["x"]], "b": [["xy"]], "c": [["x"]], "output_s": [1.5]})
    made = rules.training(batch).to_pydict()
    assert list(made) == ["b", "c", "output_s"]
    assert made["b"] == [["x"]] and made["output_s"] == [1.0] and made["c"][0][0].startswith("k1:")
    assert rules.unwatched == {"input_a", "input_c"}


def _schema(*marks: tuple[str, str]) -> schema_pb2.Schema:
    features = [f'feature {{ name: "{name}" annotation {{ tag: "{tag}" }} }}' for name, tag in marks]
    return text_format.Parse(" ".join(features), schema_pb2.Schema())


def test_marks_in_the_schema_are_rules_and_settings_come_before_them(key_folder: Path) -> None:
    schema = _schema(
        ("a", "taxiway:hash"),
        ("b", "taxiway:drop"),
        ("c", "taxiway:cut=3"),
        ("d", "taxiway:generalise:digits=2"),
        ("e", "taxiway:generalise:bins=18,30"),
        ("f", "taxiway:generalise:time=hour"),
        ("g", "somebody else's"),
        ("h", "taxiway:drop"),
    )
    given = {
        "a": "hash",
        "b": "drop",
        "c": {"cut": 3},
        "d": {"generalise": {"digits": 2}},
        "e": {"generalise": {"bins": [18, 30]}},
        "f": {"generalise": {"time": "hour"}},
        "h": "keep",
    }
    keys = {"keys": str(key_folder)}
    assert Privacy.of({**keys, "columns": {"h": "keep"}}, schema).rules == Privacy.of({**keys, "columns": given}).rules


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"colums": {}}, r"has no setting 'colums'\n  fix: did you mean 'columns'"),
        ({"columns": {"compny": "drop"}}, r"'compny', which the model does not have\n  fix: did you mean 'company'"),
        ({"columns": {"company": "hsh"}}, r"privacy.columns.company has an action 'hsh'\n  fix: did you mean 'hash'"),
        ({"columns": {"company": "hash"}}, r"names no key\n  fix: add privacy.keys"),
        ({"columns": {"company": {"cut": 0}}}, "not a number above 0\n  fix: write cut: 3, or drop"),
        ({"columns": {"company": {"cut": "x"}}}, "not a number above 0"),
        ({"columns": {"company": {"drop": 1}}}, "drop takes nothing"),
        ({"columns": {"company": ["drop"]}}, "write one action"),
        ({"columns": ["company"]}, "write an action for each column"),
        ({"columns": {"fare": {"generalise": {"digit": 2}}}}, "'digit'\n  fix: did you mean 'digits'"),
        ({"columns": {"fare": {"generalise": 2}}}, "write how"),
        ({"columns": {"fare": {"generalise": {"digits": 1.5}}}}, "not a whole number"),
        ({"columns": {"fare": {"generalise": {"bins": [3, 1]}}}}, "write ascending numbers"),
        ({"columns": {"fare": {"generalise": {"time": "week"}}}}, "time: hour or time: day"),
        ({"columns": {"fare": {"generalise": {"mapping": {}}}}}, "write mapping"),
        ({"columns": {"fare": {"generalise": {"step": 1, "other": 2}}}}, "other belongs to a mapping"),
        ({"columns": {"time": "drop"}}, "needed to read the table"),
        ({"others": "hide"}, "write keep or drop"),
    ],
)
def test_wrong_settings_are_refused_with_a_fix(given: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Privacy.of(given, known=privacy.columns(["company", "fare"]))


@pytest.mark.parametrize(
    ("files", "says"),
    [({}, "cannot be read|no key"), ({"k1": "short"}, "has 5 characters"), ({"a key": "0" * 20}, "the id 'a key'")],
)
def test_wrong_keys_are_refused_with_a_fix(files: dict[str, str], says: str, tmp_path: Path) -> None:
    for name, key in files.items():
        (tmp_path / name).write_text(key)
    with pytest.raises(UserError, match=says):
        Privacy.of({"columns": {"x": "hash"}, "keys": str(tmp_path)})


def test_a_mark_that_is_wrong_is_refused() -> None:
    with pytest.raises(UserError, match="annotation of a has an action 'hide'"):
        Privacy.of(schema=_schema(("a", "taxiway:hide")))


def test_settings_are_read_from_their_section_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text("window: 1h\nprivacy:\n  columns: {company: drop}\n")
    assert privacy.load(file).unwatched == {"input_company"}
    file.write_text("privcy: {}\n")
    with pytest.raises(UserError, match="has no section `privacy:`\n  fix: did you mean 'privcy'"):
        privacy.load(file)


def test_fifteen_thousand_taxi_rows_are_protected_in_a_second(key_folder: Path) -> None:
    rows = pyarrow.csv.read_csv(TAXI)
    columns = {
        "company": "hash",
        "trip_start_timestamp": {"generalise": {"time": "hour"}},
        "pickup_latitude": {"generalise": {"digits": 2}},
        "tips": "drop",
    }
    rules = Privacy.of({"keys": str(key_folder), "columns": columns}, known=privacy.columns(rows.column_names))
    written = rules.apply(rows.rename_columns([INPUT + name for name in rows.column_names]))
    assert written.num_rows == rows.num_rows
    assert "input_tips" not in written.column_names
    assert len(written.column("input_company").unique()) == len(rows.column("company").unique())


def test_the_settings_may_name_the_schema(tmp_path: Path) -> None:
    (tmp_path / "schema.pbtxt").write_text(str(_schema(("a", "taxiway:drop"), ("b", "other"))))
    given = {"schema": str(tmp_path / "schema.pbtxt"), "columns": {"b": {"cut": 1}, "output_s": "drop"}}
    assert Privacy.of(given).unwatched == {"input_a", "output_s"}
    with pytest.raises(UserError, match="which the model does not have"):
        Privacy.of({**given, "columns": {"c": "drop"}})
