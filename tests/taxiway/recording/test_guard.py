"""`--privacy`: rows are protected before they are stored, and columns that look personal are told first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from prometheus_client import CollectorRegistry

from components.contract.errors import UserError
from components.inference.columns import DATE
from components.inference.privacy import privacy as rules
from components.inference.privacy.privacy import Privacy
from taxiway.recording.guard import Guard
from taxiway.recording.metrics import Metrics
from taxiway.recording.settings import from_flags
from taxiway.recording.writing import Pending
from taxiway.routing import settings as routing
from tests.taxiway.recording.test_serve import recorded
from tests.taxiway.serving import models, server

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _rows(**inputs: str) -> pa.Table:
    times = {"time": pa.array([NOW], pa.timestamp("us", "UTC")), DATE: pa.array([NOW.date()])}
    return pa.table({"request_id": ["r1"], **times, **{f"input_{name}": [value] for name, value in inputs.items()}})


def _pending(folder: Path, privacy: Privacy) -> tuple[Pending, CollectorRegistry]:
    registry = CollectorRegistry()
    return Pending("taxi", str(folder), Metrics(registry), Guard("taxi", privacy)), registry


def test_rows_are_protected_before_they_are_stored(tmp_path: Path) -> None:
    pending, _ = _pending(tmp_path, Privacy.of({"columns": {"who": "drop", "comment": {"cut": 2}}}))
    pending.add(_rows(who="Jane Doe", comment="good"), 1)
    pending.write()
    table = DeltaTable(str(tmp_path / "inference")).to_pyarrow_table()
    assert table.column("input_comment").to_pylist() == ["go"]
    assert "input_who" not in table.column_names


def test_nothing_is_stored_while_the_keys_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_SECONDS", 0.0)
    (tmp_path / "keys").mkdir()
    key = tmp_path / "keys" / "k1"
    key.write_text("0123456789abcdef")
    pending, registry = _pending(tmp_path, Privacy.of({"columns": {"who": "hash"}, "keys": str(key.parent)}))
    key.unlink()
    pending.add(_rows(who="Jane Doe"), 1)
    pending.write()
    assert pending.failed and not (tmp_path / "inference").exists()
    key.write_text("0123456789abcdef")
    pending.write()
    assert registry.get_sample_value("taxiway_inference_recorded_total", {"model": "taxi"}) == 1


def test_a_personal_column_is_told_once_before_it_is_stored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    guard = Guard("taxi", Privacy())
    guard.guarded(_rows(mail="jane@example.com"))
    guard.guarded(_rows(mail="joe@example.com", company="Yellow Cab"))
    [record] = caplog.records
    assert record.message.startswith("taxi: these columns are about to be stored as they are: mail looks like mail")
    assert record.message.endswith("privacy:\n  keys: privacy-keys\n  columns:\n    mail: hash")
    assert "jane" not in record.message


def test_privacy_without_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is recorded\n  fix: add --inference-tables"):
        from_flags("", None, tmp_path / "privacy.yaml")


def test_a_route_file_names_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "privacy.yaml"
    file.write_text("privacy: {columns: {who: drop}}")
    given = {
        "backends": {"a": {"grpc": "localhost:8500"}},
        "models": {"m": {"targets": {"a": {"backend": "a", "weight": 1}}}},
        "inference": {"tables": str(tmp_path), "privacy": str(file)},
    }
    assert routing.parse(given, "route.yaml").recording().privacy.unwatched == {"input_who"}


def test_a_server_records_by_the_rules(saved: Callable[[str], Path], tmp_path: Path) -> None:
    models.publish(saved("half_plus_two"), tmp_path / "half_plus_two", 3)
    (tmp_path / "privacy.yaml").write_text("privacy: {columns: {x: {cut: 5}, output_y: drop}}")
    options = [
        "--inference-tables",
        tmp_path / "tables",
        "--inference-share",
        "1",
        "--privacy",
        tmp_path / "privacy.yaml",
    ]
    with server.running(tmp_path, tmp_path / "half_plus_two", *options) as running:
        running.wait("half_plus_two", {3: "AVAILABLE"})
        running.predict("half_plus_two", x=[1.0, 12.0])
        running.stop()
    rows = recorded(tmp_path, "half_plus_two")
    assert rows["input_x"].tolist() == [0.0, 10.0]
    assert "output_y" not in rows.columns
