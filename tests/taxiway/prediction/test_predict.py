"""`taxiway predict` against a real server's gRPC and REST APIs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contract.errors import DataError, ServiceError, TaxiwayError, UserError
from taxiway.network.tls import loadable
from taxiway.prediction.clients import Model, connect
from taxiway.prediction.predict import predictions
from tests.taxiway.small_servers import Running, small_server

ROWS = [{"fare": 2.5, "trips": 2, "company": "blue"}, {"fare": 4.0, "trips": 1, "company": "grün"}]
EXPECTED = [{"cost": 5.0, "named": b"<blue>"}, {"cost": 4.0, "named": "<grün>".encode()}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with small_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(params=["grpc", "rest"])
def predict(request: pytest.FixtureRequest, server: Running) -> Callable[..., list[dict[str, Any]]]:
    """`predict(file, signature=..., rows=...)`: the predictions by row, over each API."""
    address = server.grpc if request.param == "grpc" else server.rest

    def run(file: Path, signature: str = "serving_default", rows: int = 256, **more: Any) -> list[dict[str, Any]]:
        model = more.pop("model", Model("taxi"))
        client = connect(address, model, rest=False, tls=None, seconds=10)
        try:
            return [
                row
                for batch in predictions(client, path=file, signature=signature, batch_rows=rows, **more)
                for row in batch
            ]
        finally:
            client.close()

    return run


def written(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    file = folder / name
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif name.endswith("jsonl"):
        file.write_text("".join(json.dumps(row) + "\n\n" for row in rows))
    elif name.endswith("json"):
        file.write_text(json.dumps(rows))
    else:
        lines = [",".join(rows[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in rows)]
        file.write_text("\n".join(lines) + "\n")
    return file


FILES = ["rows.csv", "rows.parquet", "rows.json", "rows.jsonl"]


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_predictions(predict, tmp_path, name):
    assert predict(written(tmp_path, name, ROWS)) == EXPECTED


@pytest.mark.parametrize("name", FILES)
def test_a_signature_on_serialized_examples_gets_tf_examples(predict, tmp_path, name):
    rows = [{**ROWS[0], "tip": None}, {**ROWS[1], "tip": 1}]
    found = [json.loads(row["features"]) for row in predict(written(tmp_path, name, rows), "examples")]
    assert found[1] == {
        "company": ["bytes_list", ["grün"]],
        "fare": ["float_list", [4.0]],
        "tip": ["int64_list", [1]],
        "trips": ["int64_list", [1]],
    }
    assert found[0]["tip"] in (["int64_list", []], [None, None])


def test_a_schema_defines_the_types_of_features(predict, tmp_path):
    schema = tmp_path / "schema.pbtxt"
    schema.write_text('feature { name: "trips" type: FLOAT } feature { name: "fare" type: BYTES }')
    [row] = predict(written(tmp_path, "rows.csv", ROWS[:1]), "examples", schema=schema)
    assert json.loads(row["features"]) == {
        "company": ["bytes_list", ["blue"]],
        "fare": ["bytes_list", ["2.5"]],
        "trips": ["float_list", [2.0]],
    }


def test_a_csv_column_has_one_type_in_all_batches(predict, tmp_path):
    rows = [{"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2.5, "c": "x"}]
    found = [json.loads(row["features"]) for row in predict(written(tmp_path, "r.csv", rows), "examples", rows=1)]
    assert [{name: kind for name, (kind, _) in row.items()} for row in found] == [
        {"a": "int64_list", "b": "float_list", "c": "bytes_list"}
    ] * 2


def test_names_are_stripped_as_by_example_gen(predict, tmp_path):
    file = written(tmp_path, "rows.csv", ROWS)
    header, body = file.read_text().split("\n", 1)
    file.write_text(f" {header} \n{body}")
    assert predict(file) == EXPECTED


def test_a_duplicate_parquet_column_is_refused(predict, tmp_path):
    columns = [pa.array([1.0]), pa.array([2]), pa.array(["a"]), pa.array([2.0])]
    pq.write_table(pa.table(columns, names=["fare", "trips", "company", "fare"]), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"rows\.parquet has the column 'fare' twice"):
        predict(tmp_path / "rows.parquet")


def test_lists_become_tensors(predict, tmp_path):
    rows = [{"x": [1.0, 2.0], "flag": True}, {"x": [3, 4.5], "flag": False}]
    for name in ("r.json", "r.jsonl"):
        assert predict(written(tmp_path, name, rows), "vectors") == [{"sum": 3.0}, {"sum": -7.5}]


def test_instances_of_a_request_file_and_base64_are_read(predict, tmp_path):
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"instances": [{**ROWS[0], "company": {"b64": "Ymx1ZQ=="}}]}))
    assert predict(file)[0]["named"] == b"<blue>"


@pytest.mark.parametrize(("limit", "batch"), [(None, 7), (20, 7), (21, 7), (1, 1000), (0, 5)])
def test_rows_are_sent_in_batches_up_to_a_limit(predict, tmp_path, limit, batch):
    rows = [{**ROWS[0], "trips": number} for number in range(100)]
    for name in ("r.csv", "r.parquet"):
        predictions = predict(written(tmp_path, name, rows), rows=batch, limit=limit)
        assert [row["cost"] for row in predictions] == [2.5 * number for number in range(100)][:limit]


def test_a_version_or_label_can_be_chosen(predict, tmp_path):
    file = written(tmp_path, "rows.csv", ROWS)
    assert predict(file, model=Model("taxi", version=1)) == EXPECTED
    assert predict(file, model=Model("taxi", label="canary")) == EXPECTED
    with pytest.raises(UserError, match=r"has no model taxi label 'blue': Unrecognized servable version label: blue"):
        predict(file, model=Model("taxi", label="blue"))


HEAD = "fare,trips,company\n"
BAD_FILES: list[tuple[str, str, type[TaxiwayError], str]] = [
    ("r.csv", HEAD + "1,2,a\nx,2,b\n", DataError, "{file}: the column 'fare' has 'x' in row 2, not of the type float"),
    ("r.csv", HEAD + "1,2.5,a\n", DataError, "{file}: the column 'trips' has '2.5' in row 1, not of the type int64"),
    ("r.csv", HEAD + "1,2,a\n,2,b\n", DataError, "{file}: the column 'fare' has no value in row 2"),
    (
        "r.csv",
        "fare,trips\n1,2\n",
        UserError,
        "{file} has no column 'company', which the signature 'serving_default' takes",
    ),
    ("r.csv", "fare,trips,campany\n1,2,a\n", UserError, "fix: rename the column 'campany'?"),
    ("r.csv", HEAD + "1,2\n", DataError, "{file}: CSV parse error: Expected 3 columns, got 2"),
    ("r.csv", "fare,fare\n1,2\n", DataError, "{file} has the column 'fare' twice"),
    ("r.csv", "fare,fare \n1,2\n", DataError, "{file} has the column 'fare' twice"),
    ("r.json", '[{"fare": 1, "fare": 2}]', DataError, "{file}: an object has the key 'fare' twice"),
    ("r.csv", "", DataError, "{file}: Empty CSV file"),
    (
        "r.json",
        '[{"fare": 1, "trips": 1, "company": 3}]',
        DataError,
        "the column 'company' has 3 in row 1, not of the type string",
    ),
    (
        "r.json",
        '[{"fare": "1", "trips": 1, "company": ""}]',
        DataError,
        "the column 'fare' has '1' in row 1, not of the type float",
    ),
    (
        "r.json",
        '[{"fare": 1}, {"fare": 2}, {"fare": "a"}]',
        DataError,
        "the column 'fare' changes its type in row 3, which has 'a'",
    ),
    (
        "r.json",
        '[{"fare": [1, 2], "trips": 1, "company": ""}]',
        DataError,
        "the column 'fare' has the shape [2] per row; the input takes []",
    ),
    (
        "r.json",
        '[{"fare": 1, "trips": [1], "company": ""}, {"fare": 1, "trips": [1, 2], "company": ""}]',
        DataError,
        "the column 'trips' has [1, 2] in row 2, not a list as long as in row 1",
    ),
    ("r.json", '[{"fare": 1, "trips": [null], "company": ""}]', DataError, "the column 'trips' has no value in row 1"),
    ("r.json", "[{", DataError, "{file}: Expecting property name"),
    ("r.json", "[1]", DataError, "{file}, row 1 is not an object: 1"),
    ("r.json", '[{"company": {"b64": "?"}}]', DataError, "'?' is not base64"),
    ("r.json", "[" * 100_000, DataError, "{file}: "),
    ("r.json", "[]", DataError, "{file} has no columns"),
    ("r.parquet", "no", DataError, "{file} is not a readable Parquet file"),
    (
        "r.txt",
        "",
        UserError,
        "the suffix of {file} is not a known format\n  fix: use one of .csv, .parquet, .json, .jsonl",
    ),
    (
        "r.csv",
        HEAD + "-1,2,a\n",
        UserError,
        "{file}, rows 1 to 1: the model taxi refused the request: fare is negative",
    ),
]


@pytest.mark.parametrize(("name", "text", "kind", "message"), BAD_FILES)
def test_a_bad_file_is_refused_by_column_and_row(predict, tmp_path, name, text, kind, message):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(kind) as raised:
        predict(file)
    assert message.format(file=file) in str(raised.value)


def test_a_missing_file_signature_or_schema_is_refused(predict, tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*none\.csv"):
        predict(tmp_path / "none.csv")
    file = written(tmp_path, "rows.csv", ROWS)
    with pytest.raises(UserError, match="the model has no signature 'exmples'\n  fix: did you mean 'examples'"):
        predict(file, "exmples")
    with pytest.raises(UserError, match="fix: it has examples, serving_default, vectors"):
        predict(file, "1")
    with pytest.raises(UserError, match=r"the schema .*none cannot be read"):
        predict(file, "examples", schema=tmp_path / "none")
    with pytest.raises(UserError, match=r"the schema .*rows\.csv cannot be parsed"):
        predict(file, "examples", schema=file)
    with pytest.raises(UserError, match="a batch of 0 rows"):
        predict(file, rows=0)
    pq.write_table(pa.table({"when": pa.array([0], pa.timestamp("s"))}), tmp_path / "t.parquet")
    with pytest.raises(
        DataError, match=r"the column 'when' has the type timestamp\[ms\], which tf.Examples do not support"
    ):
        predict(tmp_path / "t.parquet", "examples")


def test_an_unknown_model_is_reported_with_the_servers_message(predict, tmp_path):
    with pytest.raises(UserError) as raised:
        predict(written(tmp_path, "rows.csv", ROWS), model=Model("tax"))
    assert "has no model tax: Servable not found for request: Latest(tax)\n  fix: correct --model" in str(raised.value)


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_an_unreachable_server_is_reported(tmp_path, scheme):
    client = connect(f"{scheme}127.0.0.1:1", Model("taxi"), rest=False, tls=None, seconds=5)
    with pytest.raises(ServiceError, match=rf"the server at {scheme}127\.0\.0\.1:1 does not answer: .*refused"):
        list(predictions(client, path=written(tmp_path, "rows.csv", ROWS), signature="serving_default", batch_rows=1))
    client.close()


def test_addresses_and_certificates_are_checked_first(tmp_path, server):
    for address in ("localhost", "localhost:", "ftp://localhost:1", "a b:1", ""):
        with pytest.raises(UserError, match="is not a server address"):
            connect(address, Model("taxi"), rest=False, tls=None, seconds=1)
    with pytest.raises(UserError, match="TLS: a certificate and its key go together\n  fix: give both"):
        loadable("TLS", cert=tmp_path)
    with pytest.raises(UserError, match=r"TLS: there is no file .*none"):
        loadable("TLS", ca=tmp_path / "none.pem")
    (tmp_path / "no.pem").write_text("no")
    with pytest.raises(UserError, match=r"TLS: .*no\.pem cannot be used"):
        loadable("TLS", ca=tmp_path / "no.pem")
    wrong = connect(f"http://{server.addresses[0]}", Model("taxi"), rest=False, tls=None, seconds=5)
    with pytest.raises(ServiceError, match=r"does not answer|without a JSON object"):
        wrong.signatures()


# The command


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "taxiway", "predict", *arguments]
    return subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=False)


def test_the_command_prints_a_table_json_and_csv(server, tmp_path):
    written(tmp_path, "rows.csv", ROWS)
    given = (server.grpc, "--model", "taxi", "--input", "rows.csv")
    table = run(tmp_path, *given)
    assert (table.returncode, table.stderr) == (0, "")
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["row", "cost", "named"],
        ["1", "5.0", "<blue>"],
        ["2", "4.0", "<grün>"],
    ]
    lines = run(tmp_path, *given, "--format", "json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"cost": 5.0, "named": "<blue>"}, {"cost": 4.0, "named": "<grün>"}]
    rest = (server.addresses[1], "--rest", "--model", "taxi", "--input", "rows.csv")
    assert run(tmp_path, *rest, "--format", "csv", "--limit", "1").stdout == "cost,named\n5.0,<blue>\n"
    refused = run(tmp_path, *given, "--version", "1", "--label", "canary")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0] == "error: --version and --label exclude each other"


def test_the_stubs_load_without_and_beside_tensorflow():
    program = """
import sys
from taxiway.prediction import clients, predict, printing, signatures
from components.data.serving_stubs import predict_pb2
assert not [name for name in sys.modules if name == "tensorflow" or name.startswith("tensorflow.")]
import tensorflow as tf
request = predict_pb2.PredictRequest()
request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0]))
assert tf.make_ndarray(request.inputs["x"]).tolist() == [1.0]
from tensorflow.core.framework import tensor_pb2
assert type(request.inputs["x"]) is tensor_pb2.TensorProto
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
