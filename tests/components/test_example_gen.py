from __future__ import annotations

import datetime
import decimal
import gzip
import json
import logging
import random
import resource
import shutil
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contract.artifacts import Artifact, Examples
from components.contract.errors import DataError, ServiceError, UserError
from components.data import tfrecord
from components.data.examples import encode_tf_examples, read_batches, to_tfxio_form
from components.example_gen import csv_faults
from components.example_gen.csv_source import CsvSource
from components.example_gen.csv_types import Level, level_of
from components.example_gen.generate import write_examples, write_splits
from components.example_gen.splits import HashSplits, row_hashes

Generate = Callable[..., Examples]
Row = dict[str, Any]

INT, FLOAT, BYTES = (pa.large_list(kind) for kind in (pa.int64(), pa.float32(), pa.large_binary()))


@pytest.fixture
def generate(run_stage: Callable[..., dict[str, Any]], tmp_path: Path) -> Generate:
    """Runs the stage on plain files; `one_split` puts all rows into `train`."""

    def run(input_path: Path | str, *, one_split: bool = False, folder: str = "out", **parameters: Any) -> Examples:
        settings = {"input_path": str(input_path), "allow_unversioned": True, **parameters}
        if one_split:
            settings["splits"] = {"train": 1}
        return run_stage("example_gen", {}, settings, tmp_path / folder)["examples"]

    return run


@pytest.fixture
def refused(generate: Generate, tmp_path: Path) -> Callable[..., str]:
    """Runs the stage on bad input, checks that it leaves nothing behind, and returns the error's text."""

    def run(input_path: Path | str, error: type[Exception] = DataError, **parameters: Any) -> str:
        with pytest.raises(error) as raised:
            generate(input_path, folder="refused", **parameters)
        assert list((tmp_path / "refused").iterdir()) == []
        return str(raised.value)

    return run


def write_file(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def table(examples: Artifact, split: str = "train") -> pa.Table:
    batches = (pa.Table.from_batches([batch]) for batch in read_batches(examples, split))
    # A batch of tf.Examples does not have the type of a feature without values.
    return pa.concat_tables(batches, promote_options="default")


def values(examples: Artifact, split: str = "train") -> dict[str, list[Any]]:
    """The values of a split by column: a scalar for a list with one value, None for a missing value."""
    columns = table(examples, split).to_pydict()
    return {
        name: [cell[0] if cell is not None and len(cell) == 1 else cell for cell in cells]
        for name, cells in columns.items()
    }


def types(examples: Artifact) -> dict[str, pa.DataType]:
    schema = table(examples).schema
    return dict(zip(schema.names, schema.types, strict=True))


def rows(examples: Artifact, splits: Sequence[str] = ("train", "eval")) -> Counter[str]:
    return Counter(repr(sorted(row.items())) for split in splits for row in table(examples, split).to_pylist())


# Comparison with TFX's CsvExampleGen


@pytest.fixture(scope="module")
def tfx_examples(taxi_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """The real trips through TFX's own CsvExampleGen, on Beam."""
    from tfx.components.example_gen.csv_example_gen.executor import Executor
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.proto import example_gen_pb2
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    folder = tmp_path_factory.mktemp("tfx")
    artifact = standard_artifacts.Examples()
    artifact.uri = str(folder / "examples")
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=DirectRunner"], tmp_dir=str(folder / "tmp"))
    one, two = (example_gen_pb2.SplitConfig.Split(name=name, hash_buckets=n) for name, n in (("train", 2), ("eval", 1)))
    output = example_gen_pb2.Output(split_config=example_gen_pb2.SplitConfig(splits=[one, two]))
    pattern = example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="single", pattern=taxi_csv.name)])
    Executor(context).Do(
        {},
        {"examples": [artifact]},
        {
            "input_base": str(taxi_csv.parent),
            "input_config": proto_utils.proto_to_json(pattern),
            "output_config": proto_utils.proto_to_json(output),
            "output_data_format": example_gen_pb2.FORMAT_TF_EXAMPLE,
        },
    )
    return Examples(Path(artifact.uri))


def without_missing(row: Row) -> str:
    """TFX writes an empty list for an empty cell; Taxiway writes a missing value."""
    return repr(sorted((name, cell) for name, cell in row.items() if cell))


def test_the_real_trips_have_tfx_s_types_values_and_splits(
    generate: Generate, taxi_csv: Path, tfx_examples: Examples
) -> None:
    ours = generate(taxi_csv, split_hash="tfx")
    theirs = table(tfx_examples, "train").schema
    assert types(ours) == {name: theirs.field(name).type for name in types(ours)}
    for split in ("train", "eval"):
        expected = Counter(map(without_missing, table(tfx_examples, split).to_pylist()))
        assert Counter(map(without_missing, table(ours, split).to_pylist())) == expected


def test_records_are_serialized_as_protobuf_does() -> None:
    import tensorflow as tf

    batch = pa.record_batch(
        {
            "b": pa.array([[1], None, []], INT),
            "B": pa.array([[b"x" * 300], [b""], None], BYTES),
            "ä": pa.array([[0.5, 1], None, [2]], FLOAT),
            "a": pa.nulls(3),
        }
    )
    records = list(encode_tf_examples(batch))
    assert len(records) == batch.num_rows
    for record in records:
        assert tf.train.Example.FromString(record).SerializeToString(deterministic=True) == record


ODD_CELLS = (
    *("5", "-5", "+5", "007", "1_000", " 5", "5 ", "\t7", "0x1F", "0X1f", "٣", "-0", "00", "5\n", "\u00a05", "--5"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1" * 30, "5L"),
    *("1e5", "1.", ".5", "+.5", " 0.5", "nan", "NaN", "-nan", "nan(1)", "inf", "-Infinity", "1e400", "1e-400", "1_0.5"),
    *("1e39", "0.1", "16777217", "1.00000005960464477539", "3.4028235677973366e38", "0x1p3", "1e", "e5", "1,5", "-0.0"),
    *("abc", "", "", " ", "-", "true", "NULL", "ü", 'a "quote"', "two\nlines", "١.٥", "1.5f"),
)


def test_every_cell_has_the_type_that_tfx_infers() -> None:
    from tfx_bsl.coders import csv_decoder

    for cell in ODD_CELLS:
        inferred = csv_decoder._InferValueType(cell.encode())
        expected = {"UNKNOWN": "EMPTY", "STRING": "BYTES"}.get(inferred.name, inferred.name)
        assert level_of(cell).name == expected, cell


def tfx_columns(names: list[str], cells: list[list[str]]) -> dict[str, pa.Array]:
    """Types and values from TFX's own inference and conversion, called as plain functions."""
    from tfx_bsl.coders import csv_decoder

    inferrer = csv_decoder.ColumnTypeInferrer(names, skip_blank_lines=True)
    lines = [([cell.encode() for cell in row], "") for row in zip(*cells, strict=True)]
    accumulator = inferrer.create_accumulator()
    for line, _ in lines:
        accumulator = inferrer.add_input(accumulator, line)
    convert = csv_decoder.BatchedCSVRowsToRecordBatch(skip_blank_lines=True)
    (batch,) = convert.process(lines, inferrer.extract_output(accumulator))
    return dict(zip(names, batch.columns, strict=True))


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set('",\n') else cell


def test_columns_of_unusual_cells_have_tfx_s_types_and_values(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Small blocks: types must be consistent across them.
    monkeypatch.setattr(csv_faults, "RECORD_BYTES", 4096)
    chance = random.Random(1)
    numbers = [cell for cell in ODD_CELLS if level_of(cell) is not Level.BYTES]
    whole = [cell for cell in numbers if level_of(cell) is not Level.FLOAT]
    plain = [str(chance.randrange(-1000, 1000)) for _ in range(20)]
    pools = [ODD_CELLS, numbers, whole, plain, [*plain, ""], [""], *([*plain * 9, odd] for odd in ODD_CELLS)]
    pools += [[*["0.5"] * 60, huge] for huge in ("9223372036854775808", "-" + "1" * 30, "1e30")]
    # The first column has text in every row; otherwise TFX would skip rows whose cells are all empty.
    cells = [["row"] * 200, *([chance.choice(pool) for _ in range(200)] for pool in pools)]
    names = [f"c{number}" for number in range(len(cells))]
    lines = [",".join(map(quoted, row)) for row in zip(*cells, strict=True)]
    ours = table(generate(write_file(tmp_path / "odd.csv", "\n".join([",".join(names), *lines])), one_split=True))
    theirs = tfx_columns(names, cells)
    assert theirs.keys() == set(names)
    for name, expected in theirs.items():
        assert ours.column(name).type == expected.type, name
        assert repr(ours.column(name).to_pylist()) == repr(expected.to_pylist()), name


@pytest.mark.parametrize("payload", ["parquet", "tf_example"])
def test_tfx_s_own_reader_reads_both_payloads(generate: Generate, taxi_csv: Path, tmp_path: Path, payload: str) -> None:
    import apache_beam as beam
    from tfx.components.util import tfxio_utils
    from tfx.types import standard_artifacts

    few = write_file(tmp_path / "few.csv", b"".join(taxi_csv.read_bytes().splitlines(keepends=True)[:300]))
    ours = generate(few, payload_format=payload)
    artifact = standard_artifacts.Examples()
    artifact.uri = str(ours.path)
    artifact.split_names = ours.metadata["split_names"]
    for name in ("payload_format", "file_format"):
        artifact.set_string_custom_property(name, ours.metadata[name])
    factory = tfxio_utils.get_tfxio_factory_from_artifact([artifact], ["test"])
    folder = tmp_path / "read"
    with beam.Pipeline(runner="DirectRunner") as pipeline:
        _ = (
            pipeline
            | factory([f"{ours.path}/Split-eval/*"]).BeamSource()
            | beam.FlatMap(lambda batch: [json.dumps(str(sorted(row.items()))) for row in batch.to_pylist()])
            | beam.io.WriteToText(str(folder / "rows"))
        )
    read = Counter(json.loads(line) for file in folder.iterdir() for line in file.read_text().splitlines())
    assert read == rows(ours, ["eval"])
    assert read.total() == json.loads(ours.metadata["rows"])["eval"]


# CSV


def test_the_artifact_has_tfx_properties(generate: Generate, taxi_csv: Path) -> None:
    examples = generate(taxi_csv, span=3, version=2)
    counts = {split: table(examples, split).num_rows for split in ("train", "eval")}
    assert json.loads(examples.metadata["split_names"]) == ["train", "eval"]
    assert json.loads(examples.metadata["rows"]) == counts
    assert sum(counts.values()) == 15_002
    assert 0.64 < counts["train"] / 15_002 < 0.69
    assert (examples.metadata["span"], examples.metadata["version"]) == (3, 2)
    assert examples.metadata["payload_format"] == "FORMAT_PARQUET"
    assert json.loads(examples.metadata["provenance"])["data"]["path"] == str(taxi_csv)
    assert sorted(path.name for path in examples.path.iterdir()) == ["Split-eval", "Split-train", "provenance.json"]


def test_both_payloads_hold_the_same_rows_in_the_same_splits(generate: Generate, taxi_csv: Path) -> None:
    parquet = generate(taxi_csv, folder="parquet")
    records = generate(taxi_csv, folder="records", payload_format="tf_example")
    for split in ("train", "eval"):
        expected = table(parquet, split)
        assert table(records, split).select(expected.schema.names).cast(expected.schema).equals(expected)


def test_neither_tensorflow_nor_beam_is_loaded(taxi_csv: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from components.contract.artifacts import Examples\n"
        "from components.example_gen.stage import example_gen\n"
        f"example_gen(Examples({str(tmp_path / 'out')!r}), {str(taxi_csv)!r}, allow_unversioned=True)\n"
        "print(sorted({'tensorflow', 'apache_beam', 'tfx'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_an_empty_cell_is_missing_and_a_column_without_values_has_no_type(generate: Generate, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a.csv", 'i,f,b,n\n1,,x,\n,0.5,"",""\n')
    examples = generate(file, one_split=True)
    assert values(examples) == {"i": [1, None], "f": [None, 0.5], "b": [b"x", None], "n": [None, None]}
    assert types(examples) == {"i": INT, "f": FLOAT, "b": BYTES, "n": pa.null()}


def test_quotes_hold_commas_newlines_and_quotes(generate: Generate, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a.csv", '\ufeffa,"b"\r\n1,"x,\ny"\r\n\r\n2,"a ""quote"""\r\n3,5" pipe\r\n')
    assert values(generate(file, one_split=True)) == {"a": [1, 2, 3], "b": [b"x,\ny", b'a "quote"', b'5" pipe']}


@pytest.mark.parametrize(("name", "content_gzip"), [("a.csv.gz", True), ("a.csv", True), ("a.csv.gz", False)])
def test_gzip_is_recognized_by_its_content(generate: Generate, tmp_path: Path, name: str, content_gzip: bool) -> None:
    text = b"a\n1\n2\n"
    (tmp_path / name).write_bytes(gzip.compress(text) if content_gzip else text)
    assert values(generate(tmp_path / name, one_split=True)) == {"a": [1, 2]}


def test_types_are_inferred_from_all_rows_of_all_files(generate: Generate, tmp_path: Path) -> None:
    write_file(tmp_path / "in/1.csv", "a,b,c\n1,2,3\n")
    write_file(tmp_path / "in/2.csv.gz", "c,a,b\nx,0.5,4\n")
    examples = generate(tmp_path / "in", one_split=True)
    assert types(examples) == {"a": FLOAT, "b": INT, "c": BYTES}
    assert values(examples) == {"a": [1.0, 0.5], "b": [2, 4], "c": [b"3", b"x"]}


def test_a_column_with_numbers_and_text_is_bytes_and_noted(
    generate: Generate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write_file(tmp_path / "a.csv", "fare,id\n" + "1.5,x\n" * 3 + "free,y\n2,z\n")
    with caplog.at_level(logging.WARNING):
        examples = generate(file, one_split=True)
    assert values(examples)["fare"] == [b"1.5", b"1.5", b"1.5", b"free", b"2"]
    (message,) = caplog.messages
    assert message.startswith(f"{file}: column 'fare' has numbers until 'free' in row 4 makes it bytes")
    assert examples.notes == [message]


def test_text_in_a_later_file_is_noted_by_both_engines(generate: Generate, tmp_path: Path) -> None:
    write_file(tmp_path / "in/1.csv", "a,b,c\n1,x,x\n")
    write_file(tmp_path / "in/2.csv", "b,c,a\n1,y,oh\n")
    message = f"{tmp_path}/in/2.csv: column 'a' has numbers until 'oh' in row 1 makes it bytes"
    for engine in ("direct", "beam"):
        (note,) = generate(tmp_path / "in", one_split=True, engine=engine, folder=engine).notes
        assert note.startswith(message)


# Names and delimiters


def tfx_names(file: Path) -> list[str]:
    """The columns of a CSV file, with the names from TFX's CsvExampleGen."""
    from tfx.utils import io_utils

    return list(io_utils.load_csv_column_names(str(file)))


@pytest.mark.parametrize("header", ["a,x ", " a,x", "  a , x  ", "a ,x", "a,x\t"])
def test_names_are_stripped_as_by_tfx_and_inner_spaces_are_noted(
    generate: Generate, tmp_path: Path, header: str
) -> None:
    file = write_file(tmp_path / "a.csv", f"{header}\n1,y\n")
    examples = generate(file, one_split=True)
    names = tfx_names(file)
    assert list(values(examples)) == names
    spaced = [name for name in names if name != name.strip()]
    assert examples.notes == [f"{file}: a space is part of the column name {name!r}" for name in spaced]


def test_spaces_around_names_may_differ_by_file(generate: Generate, tmp_path: Path) -> None:
    write_file(tmp_path / "in/1.csv", "a,x \n1,2\n")
    write_file(tmp_path / "in/2.csv", "x,a \n4,3\n")
    assert values(generate(tmp_path / "in", one_split=True)) == {"a": [1, 3], "x": [2, 4]}


def test_names_that_are_equal_once_stripped_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    file = write_file(tmp_path / "a.csv", "x,x \n1,2\n")
    assert f"{file}, line 1: the header's column 1 has a duplicate name: 'x'" in refused(file)


@pytest.mark.parametrize(
    ("engine", "delimiter"),
    [
        *(("direct", delimiter) for delimiter in (";", "\t", "|", ":")),
        ("beam", "\t"),
        *(pytest.param("beam", delimiter, marks=pytest.mark.slow) for delimiter in (";", "|", ":")),
    ],
)
def test_cells_are_separated_by_the_delimiter(
    generate: Generate, refused: Callable[..., str], tmp_path: Path, delimiter: str, engine: str
) -> None:
    lines = [["n", "text", "1,5"], ["1", f'"a{delimiter}b"', "2,5"], ["", "c", "3"]]
    file = write_file(tmp_path / "a.csv", "".join(delimiter.join(line) + "\n" for line in lines))
    settings = {"delimiter": delimiter, "engine": engine}
    examples = generate(file, one_split=True, **settings)
    text = f"a{delimiter}b".encode()
    assert values(examples) == {"n": [1, None], "text": [text, b"c"], "1,5": [b"2,5", b"3"]}
    assert examples.notes == []
    file.write_text(file.read_text() + f"1{delimiter}2\n")
    assert f"{file}, line 4: 2 cells for 3 columns" in refused(file, **settings)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_error_suggests_another_delimiter(
    generate: Generate, refused: Callable[..., str], tmp_path: Path, delimiter: str
) -> None:
    file = write_file(tmp_path / "a.csv", f"a{delimiter}b\n1{delimiter}2\n")
    column = f"a{delimiter}b"
    proposed = f"{file} has one column, {column!r}; if {delimiter!r} separates several, set delimiter={delimiter!r}"
    assert generate(file, one_split=True).notes == [proposed]
    write_file(file, f"a{delimiter}b\n1,5{delimiter}2\n")
    message = refused(file)
    assert f"{file}, line 2: 2 cells for 1 columns\n  fix: set delimiter={delimiter!r}" in message


def test_the_error_suggests_a_comma(generate: Generate, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a.csv", "a,b\n1,2\n")
    (note,) = generate(file, one_split=True, delimiter=";").notes
    assert note.endswith("set delimiter=','")


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "ü", "\\t"])
def test_a_delimiter_of_several_characters_is_refused(
    refused: Callable[..., str], tmp_path: Path, delimiter: str
) -> None:
    message = refused(write_file(tmp_path / "a.csv", "a\n1\n"), UserError, delimiter=delimiter)
    assert f"delimiter is {delimiter!r}" in message


@pytest.mark.parametrize(("kind", "cell"), [("float", "free"), ("int", "2.5"), ("int", "free")])
def test_a_cell_that_does_not_have_the_declared_type_is_refused(
    refused: Callable[..., str], tmp_path: Path, kind: str, cell: str
) -> None:
    file = write_file(tmp_path / "a.csv", f'note,fare\n"two\nlines",1\n,2\nx,{cell}\n')
    message = refused(file, column_types={"fare": kind})
    assert f"{file}, line 5, column 'fare': {cell!r} is not of the type {kind}" in message
    assert "remove 'fare' from column_types" in message


def test_declared_types_replace_inferred_ones(generate: Generate, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a.csv", "zip,fare,n,free\n00501,1,,7\n00544,2,,8\n")
    examples = generate(file, one_split=True, column_types={"zip": "bytes", "fare": "float", "n": "int"})
    assert types(examples) == {"zip": BYTES, "fare": FLOAT, "n": INT, "free": INT}
    assert values(examples)["zip"] == [b"00501", b"00544"]


@pytest.mark.slow
def test_memory_does_not_grow_with_rows(taxi_csv: Path, tmp_path: Path) -> None:
    header, body = taxi_csv.read_bytes().split(b"\n", 1)
    program = (
        "import sys\n"
        "import pyarrow\n"
        "from components.contract.artifacts import Examples\n"
        "from components.example_gen.stage import example_gen\n"
        "example_gen(Examples(sys.argv[2]), sys.argv[1], allow_unversioned=True)\n"
        "print(pyarrow.default_memory_pool().max_memory() >> 20)"
    )
    megabytes = []
    for times in (20, 60):
        file = write_file(tmp_path / f"{times}.csv", header + b"\n" + body * times)
        command = [sys.executable, "-c", program, str(file), str(tmp_path / f"out-{times}")]
        megabytes.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    # The larger input has 77 MB more, but only the footer of the written Parquet file grows in memory.
    assert megabytes[1] < megabytes[0] + 30


# Bad CSV


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "{file} is empty"),
        ("\n\n", "{file} is empty"),
        ("a,b\n", "{file} has a header and no rows"),
        ("a,b", "{file} has a header and no rows"),
        ("a,b\n1,2\n\n3\n4,5\n", "{file}, line 4: 1 cells for 2 columns"),
        ('a,b\n"1\n\n",2\n3,4,5\n', "{file}, line 5: 3 cells for 2 columns"),
        ("a,b\n1,2\n" * 1 + "3,4\n" * 400_000 + "5\n", "{file}, line 400003: 1 cells for 2 columns"),
        (b"a,b\n1,ok\n2,caf\xe9\n", "{file}, line 3, column 'b': not UTF-8: b'caf\\xe9'"),
        (b"a,caf\xe9\n1,2\n", "{file}, line 1: the header's column 2 is not UTF-8: b'caf\\xe9'"),
        ("a,b,a\n1,2,3\n", "{file}, line 1: the header's column 1 has a duplicate name: 'a'"),
        ("a,,b\n1,2,3\n", "{file}, line 1: the header's column 2 has no name"),
        ('a,b\n1,2\n3,"4\n5,6\n', "{file}, line 3: unexpected end of data"),
        ('a,b\n1,2\n3,"4\n' + "5,6\n" * 2_000_000, "{file}, line 3: field larger than field limit"),
    ],
)
def test_invalid_csv_is_refused(
    refused: Callable[..., str], tmp_path: Path, content: str | bytes, message: str
) -> None:
    file = write_file(tmp_path / "bad.csv", content)
    assert message.format(file=file) in refused(file)


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.001])
def test_a_truncated_gzip_file_is_refused(
    refused: Callable[..., str], taxi_csv: Path, tmp_path: Path, kept: float
) -> None:
    packed = gzip.compress(taxi_csv.read_bytes())
    file = tmp_path / "cut.csv.gz"
    file.write_bytes(packed[: int(len(packed) * kept)])
    message = refused(file)
    assert f"{file} is damaged" in message
    assert "Compressed file ended before the end-of-stream marker" in message


def test_a_damaged_gzip_file_is_refused(refused: Callable[..., str], taxi_csv: Path, tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(taxi_csv.read_bytes()))
    packed[-6] ^= 1
    file = tmp_path / "flipped.csv.gz"
    file.write_bytes(packed)
    assert f"{file} is damaged after line 15003: CRC check failed" in refused(file)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("a,b", "lacks 'c', compared"), ("a,b,d", "lacks 'c' and adds 'd'"), ("c,b,a,d", "adds 'd'")],
)
def test_files_with_different_columns_are_refused(
    refused: Callable[..., str], tmp_path: Path, header: str, expected: str
) -> None:
    first = write_file(tmp_path / "in/1.csv", "a,b,c\n1,2,3\n")
    second = write_file(tmp_path / "in/2.csv", f"{header}\n1,2,3\n")
    message = refused(tmp_path / "in")
    assert f"{second} {expected}" in message
    assert f"with the columns of {first}" in message


@pytest.mark.parametrize("payload", ["parquet", "tf_example"])
def test_a_full_disk_leaves_nothing(taxi_csv: Path, tmp_path: Path, payload: str) -> None:
    source, splits = CsvSource([taxi_csv], {}), HashSplits([taxi_csv], {"train": 2, "eval": 1}, "values")
    examples = Examples(tmp_path / "refused/examples")
    with largest_file(10_000), pytest.raises(ServiceError, match=f"{examples.path} cannot be written: ") as raised:
        write_examples(examples, source, splits, payload, write_splits)
    assert "free space on the disk" in str(raised.value)
    assert list((tmp_path / "refused").iterdir()) == []


def test_files_of_a_killed_run_are_cleaned_up(generate: Generate, tmp_path: Path) -> None:
    write_file(tmp_path / "out/.examples.partial/Split-old/data_parquet-00000-of-00001.parquet", "half")
    examples = generate(write_file(tmp_path / "a.csv", "a\n1\n"), one_split=True)
    assert [path.name for path in examples.path.glob("Split-*")] == ["Split-train"]
    assert not (tmp_path / "out/.examples.partial").exists()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Makes writes beyond a size fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# Parquet


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_types_become_features(generate: Generate, tmp_path: Path) -> None:
    utc = datetime.UTC
    time = datetime.datetime(2014, 5, 16, 19, 45, 0, 999_999, utc)
    file = write_parquet(
        tmp_path / "a.parquet",
        {
            "int8": pa.array([1, None], pa.int8()),
            "uint64": pa.array([2**63 - 1, None], pa.uint64()),
            "bool": pa.array([True, None]),
            "half": pa.array([0.5, None], pa.float32()),
            "double": pa.array([0.1, None], pa.float64()),
            "decimal": pa.array([decimal.Decimal("1.25"), None]),
            "text": pa.array(["ü", None]),
            "binary": pa.array([b"\xff", None], pa.binary(1)),
            "dictionary": pa.array(["x", None]).dictionary_encode(),
            "micros": pa.array([time, None], pa.timestamp("us", "Europe/Zurich")),
            "early": pa.array([datetime.datetime(1969, 12, 31, 23, 59, 59, 500_000), None], pa.timestamp("ms")),
            "date": pa.array([datetime.date(1970, 1, 2), None]),
            "list": pa.array([[1, 2], None], pa.list_(pa.int16())),
            "empty": pa.array([[], None], pa.list_(pa.string())),
            "dates": pa.array([[datetime.date(1970, 1, 2)], None], pa.list_(pa.date32())),
            "nothing": pa.nulls(2),
            "nothings": pa.array([[], None], pa.list_(pa.null())),
        },
    )
    examples = generate(file, one_split=True)
    float32 = pa.scalar(0.1, pa.float32()).as_py()
    first = {name: column[0] for name, column in values(examples).items()}
    assert first == {
        **{"int8": 1, "uint64": 2**63 - 1, "bool": 1, "half": 0.5, "double": float32, "decimal": 1.25},
        **{"text": "ü".encode(), "binary": b"\xff", "dictionary": b"x", "micros": 1_400_269_500, "early": -1},
        **{"date": 86_400, "list": [1, 2], "empty": [], "dates": 86_400},
        **{"nothing": None, "nothings": None},
    }
    assert {column[1] for column in values(examples).values()} == {None}


def test_parquet_fixed_size_lists_become_features(generate: Generate, tmp_path: Path) -> None:
    pairs = pa.array([[0.5, 1.5], [2, 3]], pa.list_(pa.float64(), 2))
    file = write_parquet(tmp_path / "a.parquet", {"pair": pairs})
    assert values(generate(file, one_split=True)) == {"pair": [[0.5, 1.5], [2.0, 3.0]]}


def test_parquet_files_widen_integers_to_floats(generate: Generate, tmp_path: Path) -> None:
    write_parquet(tmp_path / "in/1.parquet", {"a": [2**24 + 1, 2], "b": pa.nulls(2)})
    write_parquet(tmp_path / "in/2.parquet", {"b": ["x"], "a": [0.5]})
    examples = generate(tmp_path / "in", one_split=True)
    assert types(examples) == {"a": FLOAT, "b": BYTES}
    assert values(examples) == {"a": [float(2**24), 2.0, 0.5], "b": [None, None, b"x"]}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([{"x": 1}]), "a tf.Example cannot hold struct<x: int64>"),
        (pa.array([[[1]]]), "a tf.Example cannot hold list<element: list<element: int64>>"),
        (pa.array([datetime.time(1)]), "a tf.Example cannot hold time64[us]"),
        (pa.array([datetime.timedelta(1)]), "a tf.Example cannot hold duration[us]"),
        (pa.array([2**63], pa.uint64()), "9223372036854775808 not in range"),
        (pa.array([[1, None]]), "a list contains a null"),
    ],
)
def test_unsupported_parquet_types_are_refused(
    refused: Callable[..., str], tmp_path: Path, column: pa.Array, expected: str
) -> None:
    file = write_parquet(tmp_path / "a.parquet", {"fine": [1], "odd": column})
    message = refused(file)
    assert f"{file}, column 'odd': " in message
    assert expected in message


def test_invalid_parquet_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", {"a": list(range(1000))})
    whole = file.read_bytes()
    for content in (b"", whole[:-1], whole[: len(whole) // 2], b"PAR1" + bytes(len(whole) - 4)):
        file.write_bytes(content)
        assert f"{file} is not a readable Parquet file: " in refused(file)
    middle = len(whole) // 3
    file.write_bytes(whole[:100] + b"\xff" * (middle - 100) + whole[middle:])
    assert str(file) in refused(file)
    write_parquet(file, {"a": pa.array([], pa.int64())})
    assert f"{file} has no rows" in refused(file)


@pytest.mark.parametrize("engine", ["direct", "beam"])
def test_a_duplicate_parquet_column_is_refused(refused: Callable[..., str], tmp_path: Path, engine: str) -> None:
    twice = pa.table([pa.array([1]), pa.array(["x"]), pa.array([2])], names=["a", "b", "a"])
    pq.write_table(twice, tmp_path / "a.parquet")
    message = refused(tmp_path / "a.parquet", engine=engine)
    assert message == f"{tmp_path}/a.parquet has the column 'a' twice\n  fix: rename or remove one of them"


def test_parquet_files_with_different_types_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    write_parquet(tmp_path / "in/1.parquet", {"a": [1]})
    second = write_parquet(tmp_path / "in/2.parquet", {"a": ["x"]})
    assert f"{second}, column 'a': string, but int64 in earlier files" in refused(tmp_path / "in")
    write_parquet(second, {"b": [1]})
    assert f"{second} lacks 'a' and adds 'b'" in refused(tmp_path / "in")


# TFRecord


def write_records(path: Path, batches: list[pa.RecordBatch]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        for batch in batches:
            tfrecord.write_records(file, encode_tf_examples(batch))
    return path


def batch(**columns: Any) -> pa.RecordBatch:
    return to_tfxio_form(pa.record_batch(columns))


def test_feature_types_are_inferred_from_all_records(generate: Generate, tmp_path: Path) -> None:
    write_records(tmp_path / "in/data_tfrecord-00000-of-00002.gz", [batch(b=[1, None], n=pa.nulls(2))])
    write_records(tmp_path / "in/data_tfrecord-00001-of-00002", [batch(b=pa.nulls(1), a=pa.array([["x", "y"]]))])
    examples = generate(tmp_path / "in", one_split=True)
    assert types(examples) == {"a": BYTES, "b": INT, "n": pa.null()}
    assert table(examples).to_pydict() == {
        "a": [None, None, [b"x", b"y"]],
        "b": [[1], None, None],
        "n": [None, None, None],
    }


def test_invalid_tfrecords_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    file = write_records(tmp_path / "in/1.tfrecord", [batch(a=[1, 2])])
    file.write_bytes(file.read_bytes()[:-3])
    assert f"{file} is damaged at record 2: " in refused(file)
    file.write_bytes(b"")
    assert f"{file} is empty" in refused(file)
    write_records(file, [batch(a=[1])])
    second = write_records(tmp_path / "in/2.tfrecord", [batch(a=["x"])])
    assert f"{second}: the feature 'a' is large_binary, but int64 in earlier records" in refused(tmp_path / "in")
    with file.open("wb") as opened:
        tfrecord.write_records(opened, [b"\xff\xff"])
    assert f"{file}, record 1: is not a tf.Example" in refused(file)


# Splits


def test_equal_rows_go_to_the_same_split_in_any_format_and_order(generate: Generate, tmp_path: Path) -> None:
    chance = random.Random(2)
    cells = [(chance.randrange(100), chance.random(), chance.choice(string.ascii_letters)) for _ in range(500)]
    lines = [f"{a},{b!r},{c}\n" for a, b, c in cells]
    one = write_file(tmp_path / "one.csv", "a,b,c\n" + "".join(lines))
    other = write_file(tmp_path / "in/two.csv", "c,a,b\n" + "".join(f"{c},{a},{b!r}\n" for a, b, c in reversed(cells)))
    write_file(tmp_path / "in/three.csv", one.read_bytes())
    a, b, c = (list(column) for column in zip(*cells, strict=True))
    parquet = write_parquet(tmp_path / "a.parquet", {"b": b, "c": c, "a": a, "nothing": pa.nulls(500)})
    records = write_records(tmp_path / "a.tfrecord", [batch(c=c, a=a, b=b)])
    first = generate(one, folder="1")
    for number, path in enumerate((other, parquet, records), start=2):
        examples = generate(path, folder=str(number))
        for split in ("train", "eval"):
            assert set(without_nothing(examples, split)) == set(without_nothing(first, split))
    twice = generate(tmp_path / "in", folder="twice")
    assert rows(twice) == rows(first) + rows(first)
    assert set(rows(twice, ["eval"])) == set(rows(first, ["eval"]))


def without_nothing(examples: Artifact, split: str) -> list[str]:
    return [without_missing(row) for row in table(examples, split).to_pylist()]


def test_the_hash_of_a_row_never_changes() -> None:
    """A different hash would silently move rows between the splits of existing pipelines."""
    rows_ = pa.record_batch(
        {
            "i": pa.array([[1], None, [], [1, 2], [2, 1]], INT),
            "f": pa.array([[0.0], [-0.0], [float("nan")], [1.5], None], FLOAT),
            "b": pa.array([[b"x"], [b""], [b"\xff\x00"], None, []], BYTES),
        }
    )
    assert row_hashes(rows_).tolist() == [
        *(11851838500977444430, 14251747144887634619, 12588367663646191897),
        *(16287496600167342744, 4330335825995344739),
    ]


def test_a_hash_depends_on_values_names_and_order_but_not_on_the_batch() -> None:
    lists = pa.record_batch({"a": pa.array([[1, 2], [2, 1], [1], [], None, [1, 2]], INT)})
    hashes = row_hashes(lists).tolist()
    assert len(set(hashes)) == 5
    assert hashes[0] == hashes[5]
    assert row_hashes(lists.slice(1, 3)).tolist() == hashes[1:4]
    assert row_hashes(lists.rename_columns(["b"])).tolist()[0] != hashes[0]
    floats = pa.record_batch({"a": pa.array([[0.0], [-0.0], [1.0]], FLOAT)})
    assert row_hashes(floats)[0] == row_hashes(floats)[1] != row_hashes(floats)[2]


def test_splits_have_the_configured_shares(generate: Generate, tmp_path: Path) -> None:
    file = write_file(tmp_path / "a.csv", "a\n" + "".join(f"{n}\n" for n in range(20_000)))
    counts = json.loads(generate(file, splits={"a": 7, "b": 2, "c": 1}).metadata["rows"])
    assert list(counts) == ["a", "b", "c"]
    assert [round(n / 2000) for n in counts.values()] == [7, 2, 1]


def test_files_go_to_the_split_whose_pattern_they_match(generate: Generate, tmp_path: Path) -> None:
    write_file(tmp_path / "in/2014/train.csv", "a\n1\n")
    write_file(tmp_path / "in/2015/train.csv", "a\n2\n")
    write_file(tmp_path / "in/2015/eval.csv", "a\n0.5\n")
    write_file(tmp_path / "in/2015/other.txt", "not data")
    examples = generate(tmp_path / "in", split_patterns={"train": "*/train.csv", "eval": "**/eval*"})
    assert (values(examples), values(examples, "eval")) == ({"a": [1.0, 2.0]}, {"a": [0.5]})


def test_patterns_without_matches_or_with_common_matches_are_refused(
    refused: Callable[..., str], tmp_path: Path
) -> None:
    file = write_file(tmp_path / "in/a.csv", "a\n1\n")
    message = refused(tmp_path / "in", split_patterns={"train": "*.csv", "eval": "eval/*.csv"})
    assert f"the split 'eval': no file in {tmp_path / 'in'} matches 'eval/*.csv'" in message
    message = refused(tmp_path / "in", UserError, split_patterns={"train": "*.csv", "eval": "a*"})
    assert f"{file} is in the splits 'train' and 'eval'" in message
    assert "needs a folder" in refused(file, UserError, split_patterns={"train": "*"})


TIMES = ["2014-05-16T19:45:00Z", "2014-05-16 21:45:00+02:00", "2014-05-17", "2014-06-01", ""]


@pytest.mark.parametrize("as_text", [True, False])
def test_rows_are_split_by_time(generate: Generate, tmp_path: Path, as_text: bool) -> None:
    times = TIMES if as_text else ["1400269500", "1400269500", "1400284800", "1401580800", ""]
    file = write_file(tmp_path / "a.csv", "at,n\n" + "".join(f"{time},{n}\n" for n, time in enumerate(times)))
    examples = generate(
        file,
        split_column="at",
        split_bounds={"train": {"to": "2014-05-16T19:45:01"}, "eval": {"from": 1400269501, "to": "2014-06-01"}},
    )
    assert (values(examples)["n"], values(examples, "eval")["n"]) == ([0, 1], [2])
    assert examples.metadata["rows_outside_splits"] == 2


def test_a_share_may_be_a_string_as_kubeflow_passes_it(generate: Generate, taxi_csv: Path) -> None:
    numbers = generate(taxi_csv, splits={"a": 3, "b": 1})
    shutil.rmtree(numbers.path)
    by_strings = generate(taxi_csv, splits={"a": "3", "b": "1"})
    assert numbers.metadata["rows"] == by_strings.metadata["rows"]


@pytest.mark.parametrize("cells", ["a b c a", "1 2 3 1", "0.5 1 2.5 0.5"])
def test_rows_are_split_by_key(generate: Generate, tmp_path: Path, cells: str) -> None:
    file = write_file(tmp_path / "a.csv", "k,n\n" + "".join(f"{k},{n}\n" for n, k in enumerate(cells.split())))
    one, two, *_ = (cell if cell.isalpha() else float(cell) for cell in cells.split())
    examples = generate(file, split_column="k", split_bounds={"train": [one], "eval": [two]})
    assert (values(examples)["n"], values(examples, "eval")["n"]) == ([0, 3], [1])
    assert examples.metadata["rows_outside_splits"] == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"splits": {}}, "splits is {}"),
        ({"splits": {"train": 0}}, "splits is {'train': 0}"),
        ({"splits": {"train": 0.5}}, "splits is {'train': 0.5}"),
        ({"splits": {"train": "half"}}, "splits is {'train': 'half'}"),
        ({"splits": {"train": float("inf")}}, "splits is {'train': inf}"),
        ({"splits": {"../up": 1}}, "'../up' is not a valid name for a split"),
        ({"split_hash": "md5"}, "split_hash is 'md5'"),
        ({"split_column": "a"}, "split_column and split_bounds must be used together"),
        ({"split_bounds": {"train": [1]}}, "split_column and split_bounds must be used together"),
        ({"split_patterns": {"t": "*"}, "split_column": "a", "split_bounds": {"t": [1]}}, "exclude each other"),
        ({"split_column": "b", "split_bounds": {"t": [1]}}, "split_column 'b' is not a column of"),
        ({"split_column": "a", "split_bounds": {"t": 5}}, "split_bounds['t'] is 5"),
        ({"split_column": "a", "split_bounds": {"t": {"form": 5}}}, "split_bounds['t'] is {'form': 5}"),
        ({"split_column": "a", "split_bounds": {"t": {"from": "May"}}}, "split_bounds['t']: Invalid isoformat"),
        ({"split_column": "a", "split_bounds": {"t": {"from": None}}}, "split_bounds['t']: must be real number"),
        ({"split_column": "a", "split_bounds": {"t": {"from": 2, "to": 2}}}, "split_bounds['t']: from is not before"),
        ({"split_column": "a", "split_bounds": {"t": [1], "e": {"to": 1}}}, "split_bounds mixes keys and ranges"),
        ({"split_column": "a", "split_bounds": {"t": [1], "e": [2, 1]}}, "the key 1 in 't' and in 'e'"),
        ({"split_column": "a", "split_bounds": {"t": {"from": 1}, "e": {"to": 2}}}, "of 'e' and 't' overlap"),
        ({"split_column": "a", "split_bounds": {"t": ["x"]}}, "split_bounds['t'] does not fit the column 'a'"),
        ({"input_format": "json"}, "input_format is 'json'"),
        ({"payload_format": "csv"}, "payload_format is 'csv'"),
        ({"column_types": {"b": "int"}}, "column_types has no such column: 'b'"),
        ({"column_types": {"a": "text"}}, "column_types gives 'a' the type 'text'"),
    ],
)
def test_invalid_settings_are_refused(
    refused: Callable[..., str], tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    file = write_file(tmp_path / "in/a.csv", "a\n1\n")
    assert message in refused(file, UserError, **settings)


def test_settings_for_another_format_are_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "a.parquet", {"a": [1]})
    assert "split_hash 'tfx' is for CSV, but the files are parquet" in refused(file, UserError, split_hash="tfx")
    assert "column_types is for CSV" in refused(file, UserError, column_types={"a": "int"})
    assert "delimiter is for CSV, but the files are parquet" in refused(file, UserError, delimiter=";")


def test_a_column_that_cannot_be_split_by_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    file = write_file(tmp_path / "a.csv", "at\n2014-05-16\nnoon\n")
    message = refused(file, split_column="at", split_bounds={"train": {"from": 0}})
    assert f"{file}, column 'at': Invalid isoformat string: 'noon'" in message
    lists = write_parquet(tmp_path / "a.parquet", {"at": [[1, 2]]})
    message = refused(lists, split_column="at", split_bounds={"train": {"from": 0}})
    assert f"{lists}, column 'at': a row has several values" in message


def test_an_empty_split_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    file = write_file(tmp_path / "a.csv", "a\n" + "1\n" * 10)
    message = refused(file)
    assert "has no rows (10 were read)" in message
    message = refused(file, split_column="a", split_bounds={"train": {"to": 2}, "eval": {"from": 2}})
    assert "the split 'eval' has no rows (10 were read)" in message


# Formats


def test_the_format_is_detected_from_the_file_name_or_set(
    generate: Generate, refused: Callable[..., str], tmp_path: Path
) -> None:
    file = write_file(tmp_path / "in/trips.dat", "a\n1\n")
    assert f"the name of {file} shows no known format" in refused(file)
    assert values(generate(file, one_split=True, input_format="csv")) == {"a": [1]}
    file.rename(tmp_path / "in/a.csv")
    write_parquet(tmp_path / "in/b.parquet", {"a": [1]})
    assert f"{tmp_path}/in/a.csv is csv, but {tmp_path}/in/b.parquet is parquet" in refused(tmp_path / "in")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.avro", "is Avro, which is not supported\n  fix: convert it to Parquet (fastavro reads it)"),
        ("a.bin", "is Avro, which is not supported"),
        ("a.jsonl", "is JSON, which is not supported\n  fix: convert it to Parquet (pyarrow.json"),
        ("a.xlsx", "is Excel, which is not supported"),
        ("a.tsv", 'shows no known format\n  fix: set input_format="csv" and delimiter="\\t"'),
    ],
)
def test_an_unsupported_format_is_refused(refused: Callable[..., str], tmp_path: Path, name: str, message: str) -> None:
    content = b"Obj\x01" if name in ("a.avro", "a.bin") else b"a\tb\n1\t2\n"
    assert message in refused(write_file(tmp_path / name, content))


def test_the_suggested_fixes_for_avro_and_tsv_work(generate: Generate, tmp_path: Path) -> None:
    import fastavro

    schema = {"type": "record", "name": "trip", "fields": [{"name": "a", "type": ["null", "long"]}]}
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, schema, [{"a": 1}, {"a": None}])
    with (tmp_path / "a.avro").open("rb") as file:
        pq.write_table(pa.Table.from_pylist(list(fastavro.reader(file))), tmp_path / "a.parquet")
    assert values(generate(tmp_path / "a.parquet", one_split=True)) == {"a": [1, None]}
    tsv = write_file(tmp_path / "a.tsv", "a\tb\n1\t2\n")
    examples = generate(tsv, one_split=True, input_format="csv", delimiter="\t", folder="tsv")
    assert values(examples) == {"a": [1], "b": [2]}


def test_an_examples_artifact_can_be_the_input(generate: Generate, taxi_csv: Path) -> None:
    first = generate(taxi_csv, folder="first", payload_format="tf_example")
    again = generate(f"{first.path}/*/*", folder="again")
    assert rows(again) == rows(first)


@pytest.mark.parametrize(
    ("payload_format", "trips"),
    [
        ("parquet", 600),
        pytest.param("parquet", 9000, marks=pytest.mark.slow),
        pytest.param("tf_example", 9000, marks=pytest.mark.slow),
    ],
)
def test_both_engines_write_the_same_rows_types_and_splits(
    generate: Generate, taxi_csv: Path, tmp_path: Path, payload_format: str, trips: int
) -> None:
    lines = taxi_csv.read_text().splitlines()
    for number, part in enumerate((lines[1 : trips // 2], lines[trips // 2 : trips])):
        write_file(tmp_path / "trips" / f"{number}.csv", "\n".join([lines[0], *part]) + "\n")
    direct, beam = (
        generate(tmp_path / "trips", folder=engine, engine=engine, payload_format=payload_format)
        for engine in ("direct", "beam")
    )
    for split in ("train", "eval"):
        assert rows(direct, [split]) == rows(beam, [split])
    assert types(direct) == types(beam)
    assert direct.metadata["rows"] == beam.metadata["rows"]


def test_beam_infers_types_from_all_files(generate: Generate, tmp_path: Path) -> None:
    write_file(tmp_path / "in" / "a.csv", "x,y\n1,\n2,\n")
    write_file(tmp_path / "in" / "b.csv", "y,x\n,1_0.5\n,3\n")
    examples = generate(tmp_path / "in", one_split=True, engine="beam")
    assert Counter(values(examples)["x"]) == Counter([1.0, 2.0, 10.5, 3.0])
    assert types(examples)["x"] == FLOAT


@pytest.mark.slow
def test_beam_splits_records_by_column_like_the_direct_engine(generate: Generate, taxi_csv: Path) -> None:
    whole = generate(taxi_csv, one_split=True, payload_format="tf_example", folder="whole")
    bounds = {"early": {"to": "2014-01-01"}, "late": {"from": "2015-01-01"}}
    made = [
        generate(
            whole.path / "Split-train",
            input_format="tfrecord",
            split_column="trip_start_timestamp",
            split_bounds=bounds,
            engine=engine,
            folder=engine,
        )
        for engine in ("direct", "beam")
    ]
    assert made[0].metadata["rows"] == made[1].metadata["rows"]
    assert made[0].metadata["rows_outside_splits"] == made[1].metadata["rows_outside_splits"] > 0
    assert rows(made[0], ["early", "late"]) == rows(made[1], ["early", "late"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n", "the split 'eval' has no rows"),
    ],
)
def test_bad_csv_is_refused_on_beam(refused: Callable[..., str], tmp_path: Path, content: str, message: str) -> None:
    write_file(tmp_path / "in" / "good.csv", "a,b\n1,2\n")
    text = refused(write_file(tmp_path / "in" / "data.csv", content).parent, engine="beam")
    assert message in text
