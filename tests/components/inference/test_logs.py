"""PredictionLogs become rows, once; the command that takes them, and the ones that show and compact the table."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable

from components.contract.errors import DataError, UserError
from components.data import tfrecord
from components.data.serving_stubs import prediction_log_pb2, types_pb2
from components.data.tensor_protos import to_proto
from components.inference import logs
from taxiway.cli.monitoring import inference
from taxiway.recording import facts


def record(seconds: int = 0, **inputs: float) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.log_metadata.model_spec.name = "taxi"
    log.log_metadata.sampling_config.sampling_rate = 0.25
    log.log_metadata.timestamp_secs = seconds
    spec = log.predict_log.request.model_spec
    spec.name = "taxi"
    log.predict_log.response.model_spec.version.value = 7
    for name, value in inputs.items():
        tensor = to_proto(np.array([value, value + 1], np.float32), types_pb2.DT_FLOAT)
        log.predict_log.request.inputs[name].CopyFrom(tensor)
        log.predict_log.response.outputs["y"].CopyFrom(tensor)
    serialized: bytes = log.SerializeToString()
    return serialized


def regression() -> bytes:
    log = prediction_log_pb2.PredictionLog()
    log.regress_log.request.model_spec.name = "taxi"
    example = log.regress_log.request.input.example_list.examples.add()
    example.features.feature["fare"].float_list.value.append(5.0)
    log.regress_log.response.result.regressions.add(value=0.5)
    serialized: bytes = log.SerializeToString()
    return serialized


def write(file: Path, *records: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as opened:
        tfrecord.write_records(opened, records)
    return file


def read(tables: Path) -> Any:
    found = DeltaTable(str(tables / "taxi" / "inference")).to_pandas()
    return found.sort_values(["request_id", "row"], ignore_index=True)


def test_a_file_is_taken_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "logs" / "a.tfrecord", record(1_000_000, fare=1.0), regression())
    tables = tmp_path / "tables"
    for said in ("files: 1 new, 0 known\ntaxi: 2 requests\n", "files: 0 new, 1 known\n"):
        inference.import_command([tmp_path / "logs"], str(tables))
        assert capsys.readouterr().out == said
    write(tmp_path / "logs" / "b.tfrecord", record(fare=9.0))
    inference.import_command([tmp_path / "logs"], str(tables))
    rows = read(tables)
    assert rows["input_fare"].tolist() == [1.0, 2.0, 5.0, 9.0, 10.0]
    assert rows["output_y"].tolist()[:2] == [1.0, 2.0] and rows["output_outputs"][2] == 0.5
    assert rows["request_id"].tolist() == [
        "a.tfrecord:1",
        "a.tfrecord:1",
        "a.tfrecord:2",
        "b.tfrecord:1",
        "b.tfrecord:1",
    ]
    assert rows["time"][0].timestamp() == 1_000_000 and rows["version"][0] == 7 and rows["share"][0] == 0.25


def test_what_is_no_log_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file or folder"):
        logs.take(str(tmp_path), [tmp_path / "none"])
    file = write(tmp_path / "x.tfrecord", b"nonsense")
    with pytest.raises(DataError, match=r"x\.tfrecord, record 1: is not a PredictionLog"):
        logs.take(str(tmp_path), [file])


def test_show_prints_a_command_that_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.take(str(tmp_path), [write(tmp_path / "a.tfrecord", record(1_000_000, fare=1.0))])
    inference.show_command("taxi", str(tmp_path))
    said = capsys.readouterr().out
    assert "rows      2" in said and "versions  7 (2)" in said
    assert "time      1970-01-12 13:46:40 UTC to 1970-01-12 13:46:40 UTC" in said
    command = shlex.split(facts.command(str(tmp_path / "taxi" / "inference")))
    done = subprocess.run(["python", *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0 and "│" in done.stdout, done.stderr
    inference.compact_command("taxi", str(tmp_path), days=1)
    assert "deleted days: 1" in capsys.readouterr().out
    with pytest.raises(UserError, match="there is no inference table"):
        inference.show_command("other", str(tmp_path))
