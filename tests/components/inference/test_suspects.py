"""Which columns look as if they told who somebody is."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
import yaml
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.inference.columns import INPUT
from components.inference.privacy import suspects
from components.inference.privacy.privacy import Privacy

TAXI = Path(__file__).parents[3] / "data" / "chicago_taxi" / "data.csv"
CARDS = ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "6011000000000004"]
NAMES = ["Anna Schmidt", "Doe, Jane", "MARIA GARCIA", "Ravi", "Peter O'Neil", "Thomas Müller-Lang"]


def _taxi() -> pa.Table:
    rows = pyarrow.csv.read_csv(TAXI)
    return rows.rename_columns([INPUT + name for name in rows.column_names])


@pytest.mark.parametrize(
    ("column", "values", "what"),
    [
        ("contact", ["jane.doe+x@example.co.uk", "n/a", "none", "later"], "mail addresses"),
        ("comment", [*map(str, range(10)), "write to jane@example.com"], "mail addresses"),
        ("paid_with", CARDS, "card numbers"),
        ("account", ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"], "IBANs"),
        ("origin", ["192.0.2.17", "198.51.100.3"], "IP addresses"),
        ("origin", ["2001:db8::1", "fe80::1"], "IP addresses"),
        ("contact", ["+49 30 1234567", "+1 312 555 0123", "(312) 555-0123", "312-555-0123"], "phone numbers"),
        ("mobile", ["015112345678", "3125550123"], "phone numbers"),
        ("who", NAMES, "names of persons"),
        ("lastName", ["Nguyen", "Okafor"], "names of persons"),
        ("customer_name", ["Nguyen", "Okafor"], "names of persons"),
    ],
)
def test_planted_columns_are_found(column: str, values: list[str], what: str) -> None:
    [found] = suspects.suspicious({f"input_{column}": values})
    assert (found.column, found.what) == (f"input_{column}", what)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("trip_start_timestamp", [str(1400269500 + 977 * each) for each in range(500)]),
        ("order", [str(4000000000000000 + 7919 * each) for each in range(500)]),
        ("software", ["1.2.3", "10.0.19045", "2.21.0"]),
        ("company", ["Yellow Cab", "3201 - CID Cab Co Inc", "4053 - Adwar H. Nikola", "Blue Diamond", "City Service"]),
        ("payment_type", ["Cash", "Credit Card", "Prcard"]),
        ("latitude", ["41.880994471", "-87.632746489"]),
        ("time", ["2026-01-02T03:04:05Z", "2026-01-02"]),
        ("customer", ["k1:53ffdce61ea802eb38d9fe0138937fee", "k2:dded78c5310568b0162506cbd0e5d9a8"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"]),
        ("text", ["I liked the film", "Never again", ""]),
        ("empty", ["", " "]),
        ("nothing", []),
    ],
)
def test_other_columns_are_not(column: str, values: list[str]) -> None:
    assert suspects.suspicious({f"input_{column}": values}) == []


def test_nothing_in_the_taxi_data_looks_personal() -> None:
    assert Privacy.of().findings(_taxi()) == []


def test_planted_columns_are_found_among_the_taxi_data() -> None:
    rows = _taxi().slice(0, 600)
    planted = rows.append_column("input_driver", [NAMES * 100]).append_column(
        "input_cards", pa.array([[each] for each in CARDS] * 150, pa.large_list(pa.large_binary()))
    )
    assert {each.column for each in Privacy.of().findings(planted)} == {"input_driver", "input_cards"}


def test_columns_with_a_rule_are_not_looked_at() -> None:
    rows = pa.table({"input_mail": ["jane@example.com"], "input_other": ["joe@example.com"]})
    assert [each.column for each in Privacy.of({"columns": {"mail": "keep"}}).findings(rows)] == ["input_other"]
    assert Privacy.of({"others": "drop"}).findings(rows) == []


def test_the_training_datas_statistics_are_enough() -> None:
    dataset = text_format.Parse(
        """features { name: "mail" string_stats { top_values { value: "jane@example.com" frequency: 2 } } }
        features { path { step: "company" } string_stats { top_values { value: "Yellow Cab" frequency: 9 } } }
        features { name: "fare" num_stats { mean: 3 } }""",
        statistics_pb2.DatasetFeatureStatistics(),
    )
    [found] = suspects.suspicious(suspects.of_statistics(dataset))
    assert found.column == "input_mail"


def test_the_warning_has_settings_that_mend_it(tmp_path: Path) -> None:
    rows = pa.table({"input_mail": ["jane@example.com"], "output_who": ["Anna Schmidt"]})
    said = suspects.warning(Privacy.of().findings(rows))
    assert "jane" not in said and "Anna" not in said
    assert "mail looks like mail addresses (100% of its different values)" in said
    given = yaml.safe_load("privacy:" + said.split("\nprivacy:")[1])["privacy"]
    (tmp_path / "k1").write_text("0" * 32)
    fixed = Privacy.of({**given, "keys": str(tmp_path)})
    assert fixed.findings(rows) == []
    assert fixed.apply(rows).column("input_mail")[0].as_py().startswith("k1:")
