"""A record that happens to parse as a tf.Example is refused wherever records are read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from components.contract.artifacts import Examples
from components.contract.errors import DataError
from components.data import tf_example, tfrecord
from components.data.examples import read_batches
from tests.conftest import StageRun

ENGINES = pytest.mark.parametrize("engine", ["direct", "beam"])


def field(number: int, *content: bytes) -> bytes:
    """A protobuf field that contains bytes or a message."""
    data = b"".join(content)
    return bytes([number << 3 | 2, len(data)]) + data


def feature(name: bytes, *lists: bytes) -> bytes:
    return field(1, field(1, name), field(2, *lists))


ONE = field(3, field(1, b"\x01"))
GOOD = field(1, feature(b"x", ONE))
SEQUENCE = GOOD + field(2, field(1, field(1, b"t"), field(2, field(1, ONE))))
FAULTS = {
    SEQUENCE: "is a tf.SequenceExample, whose feature lists would be lost",
    SEQUENCE[len(GOOD) :]: "is a tf.SequenceExample, whose feature lists would be lost",
    b"\xff\xff": "is not a tf.Example",
    GOOD + b"\xff": "is not a tf.Example",
    GOOD + b"\x18\x01": "is not a tf.Example: it has a field 3",
    field(1, feature(b"x", ONE), b"\x10\x01"): "is not a tf.Example: it has a field 2",
    field(1, feature(b"x", field(4, b"\x01"))): "is not a tf.Example: the feature 'x' has a field 4",
    field(1, feature(b"x", field(3, field(2, b"a")))): "is not a tf.Example: the feature 'x' has a field 2",
    GOOD + GOOD: "holds 2 concatenated tf.Examples, which would become one",
    field(1, feature(b"x", ONE), feature(b"x", ONE)): "has the feature 'x' twice",
    field(1, feature(b"x", field(1, field(1, b"a")), ONE)): "has values of two types in the feature 'x'",
    b"": "has no features",
    b"\n\x00": "has no features",
}
SOUND = {
    "every type": field(
        1,
        feature(b"bytes", field(1, field(1, b"a"), field(1, b""))),
        feature(b"float", field(2, field(1, b"\x00\x00\x80\x3f"))),
        feature(b"int", field(3, field(1, b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))),
    ),
    "no values": field(1, feature(b"none"), feature(b"empty", field(1))),
    # Protobuf does not write records like these, but it reads them.
    "unpacked integers": field(1, feature(b"x", field(3, b"\x08\x01\x08\x02"))),
    "a number in more bytes than it needs": field(1, feature(b"x", field(3, field(1, b"\x81\x00")))),
}


def write(folder: Path, *records: bytes, split: str = "train", name: str = "data.tfrecord") -> Examples:
    path = folder / f"Split-{split}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        tfrecord.write_records(file, records)
    return Examples(folder, {"payload_format": "FORMAT_TF_EXAMPLE", "split_names": f'["{split}"]'})


def refused(run: Any) -> str:
    with pytest.raises(DataError) as error:
        run()
    return str(error.value)


@pytest.mark.parametrize("record", FAULTS)
def test_records_that_only_seem_to_parse_are_named(record: bytes, tmp_path: Path) -> None:
    written = write(tmp_path, *[GOOD] * 3, record, GOOD)
    # The record is in the second batch.
    message = refused(lambda: list(read_batches(written, "train", batch_rows=2)))
    assert message.startswith(f"{tmp_path}/Split-train/data.tfrecord, record 4: {FAULTS[record]}\n  fix: ")


@pytest.mark.parametrize("record", SOUND.values(), ids=SOUND)
def test_tf_examples_of_other_writers_are_accepted(record: bytes) -> None:
    assert tf_example.first_fault([record]) is None


def test_kinds_of_features() -> None:
    kinds = {"bytes": "bytes_list", "float": "float_list", "int": "int64_list"}
    assert tf_example.kinds(SOUND["every type"]) == kinds
    assert tf_example.kinds(SOUND["no values"]) == {"empty": "bytes_list"}


@ENGINES
def test_example_gen_refuses_it(engine: str, run_stage: StageRun, tmp_path: Path) -> None:
    path = write(tmp_path / "raw", GOOD, SEQUENCE).path / "Split-train"
    settings = {"input_path": str(path), "allow_unversioned": True, "engine": engine}
    message = refused(lambda: run_stage("example_gen", {}, settings))
    assert "data.tfrecord, record 2: is a tf.SequenceExample" in message
    assert list((tmp_path / "example_gen").iterdir()) == []


@ENGINES
def test_statistics_gen_refuses_it(engine: str, run_stage: StageRun, tmp_path: Path) -> None:
    examples = write(tmp_path / "raw", GOOD, SEQUENCE)
    message = refused(lambda: run_stage("statistics_gen", {"examples": examples}, {"engine": engine}))
    assert "data.tfrecord, record 2: is a tf.SequenceExample" in message


@pytest.mark.parametrize("split", ["train", "eval"])
def test_the_trainer_refuses_it_before_it_imports_the_module(split: str, run_stage: StageRun, tmp_path: Path) -> None:
    for each in ("train", "eval"):
        examples = write(tmp_path / "raw", GOOD, *[SEQUENCE] * (each == split), split=each)
    examples.metadata["split_names"] = '["train", "eval"]'
    (tmp_path / "module.py").write_text("raise SystemExit('imported')\n\ndef run_fn(fn_args): pass\n")
    parameters = {"module": str(tmp_path / "module.py")}
    message = refused(lambda: run_stage("trainer", {"examples": examples}, parameters))
    assert f"Split-{split}/data.tfrecord, record 2: is a tf.SequenceExample" in message


def classify(*serialized: bytes, model: str = "taxi") -> bytes:
    log = PredictionLog()
    log.classify_log.request.model_spec.name = model
    for each in serialized:
        log.classify_log.request.input.example_list.examples.add().MergeFromString(each)
    return bytes(log.SerializeToString())


def read_logs(folder: Path, records: Iterable[bytes]) -> list[dict[str, Any]]:
    logs = write(folder, *records)
    logs.metadata["payload_format"] = "FORMAT_PREDICTION_LOG"
    return [row for batch in read_batches(logs, "train") for row in batch.to_pylist()]


def test_a_request_of_a_sequence_is_named(tmp_path: Path) -> None:
    message = refused(lambda: read_logs(tmp_path, [classify(GOOD), classify(GOOD, SEQUENCE)]))
    assert re.search(
        r"record 2: the request's example is a tf.SequenceExample, .* lost\n  fix: send tf.Examples", message
    )


@pytest.mark.parametrize("record", [SEQUENCE, classify(GOOD, model="")])
def test_records_that_only_seem_to_be_logs_are_named(record: bytes, tmp_path: Path) -> None:
    message = refused(lambda: read_logs(tmp_path, [classify(GOOD), record]))
    assert re.search("record 2: is not (a PredictionLog|the PredictionLog of a request)", message)
