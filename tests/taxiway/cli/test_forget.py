"""`taxiway inference forget`: what it asks, prints, records and refuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from components.contract.errors import ServiceError, UserError
from components.monitoring.forgetting import forget
from components.monitoring.store import INFERENCE, Store
from taxiway.cli.monitoring.forget import forget_command
from taxiway.lineage.monitoring import forgettings
from taxiway.lineage.store import LineageStore

WHO = "jane.doe-7391"
TAXIWAY = Path(sys.executable).with_name("taxiway")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path / "home"))
    _append(tmp_path / "tables", [WHO, "amy", WHO])
    return tmp_path / "tables"


def _append(root: Path | str, who: list[str]) -> None:
    times = pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * len(who), pa.timestamp("us", "UTC"))
    ids = [f"r{number}" for number in range(len(who))]
    Store(f"{root}/taxi").append(INFERENCE, pa.table({"request_id": ids, "time": times, "input_customer": who}))


def _forgettings(root: Path) -> list[dict[str, Any]]:
    return forgettings.all_of(LineageStore.open_existing(str(root.parent / "home" / "lineage.db")))


def test_a_customer_is_forgotten_and_the_lineage_has_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget_command("taxi", str(root), key=[f"customer={WHO}"], yes=True, reason="asked")
    assert capsys.readouterr().out == "inference: 2 rows deleted\n"
    [found] = _forgettings(root)
    assert (found["state"], found["model"], found["reason"]) == ("COMPLETE", "taxi", "asked")
    [row] = Store(f"{root}/taxi").read("forgotten").to_pylist()
    assert row["what"] == found["what"]
    store = LineageStore.open(str(root.parent / "home" / "lineage.db"))
    stored = {each.digest: each for each in store.artifacts()}
    assert {row["before"], row["after"]} == set(stored)
    assert [each.digest for each in store.behind([stored[row["after"]]])] == [row["before"], row["after"]]
    assert WHO not in json.dumps(_forgettings(root))
    assert WHO.encode() not in (root.parent / "home" / "lineage.db").read_bytes()


def test_a_dry_run_counts(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget_command("taxi", str(root), key=[f"customer={WHO}"], dry_run=True, json_output=True)
    assert json.loads(capsys.readouterr().out) == [{"place": "inference", "rows": 2}]
    assert Store(f"{root}/taxi").read(INFERENCE).num_rows == 3
    assert _forgettings(root) == []


def test_old_rows_are_forgotten(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forget_command("taxi", str(root), older_than=1, yes=True)
    assert capsys.readouterr().out == "inference: 3 rows deleted\n"


def test_an_unfinished_request_is_finished_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(forget, "_record", killed)
        with pytest.raises(KeyboardInterrupt):
            forget_command("taxi", str(root), key=[f"customer={WHO}"], yes=True)
    assert [each["state"] for each in _forgettings(root)] == ["RUNNING"]
    forget_command("taxi", str(root), key=["customer=amy"], yes=True)
    assert [each["state"] for each in _forgettings(root)] == ["COMPLETE", "COMPLETE"]
    assert {each["rows"] for each in Store(f"{root}/taxi").read("forgotten").to_pylist()} == {1, 2}


def test_late_rows_are_an_error_that_says_what_to_do(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    purge = forget.delta.purge
    monkeypatch.setattr(forget.delta, "purge", lambda path: (purge(path), _append(root, [WHO])))
    with pytest.raises(ServiceError, match="1 rows arrived meanwhile\n  fix: run it again"):
        forget_command("taxi", str(root), key=[f"customer={WHO}"], yes=True)
    assert [each["state"] for each in _forgettings(root)] == ["RUNNING"]


def test_privacy_keys_find_hashed_customers(root: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "k1").write_text("0123456789abcdef")
    file = tmp_path / "privacy.yaml"
    file.write_text(f"privacy: {{keys: {tmp_path / 'keys'}, columns: {{customer: hash}}}}")
    from components.inference.privacy import keys

    _append(root, [keys.read(tmp_path / "keys").hashed(WHO.encode())])
    forget_command("taxi", str(root), key=[f"customer={WHO}"], privacy=file, yes=True)
    assert Store(f"{root}/taxi").read(INFERENCE).column("input_customer").to_pylist() == ["amy"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "there is nothing to forget\n  fix: give --key"),
        ({"key": ["customer"]}, "not of the form COLUMN=VALUE"),
        ({"older_than": -1}, "--older-than is -1"),
        ({"key": ["customer=x"]}, "there is no terminal to ask for confirmation\n  fix: give --yes"),
    ],
)
def test_what_is_wrong_is_refused_with_a_fix(
    given: dict[str, Any], says: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(UserError, match=says):
        forget_command("taxi", str(root), **given)


@pytest.mark.usefixtures("object_store")
def test_an_s3_store_forgets_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIWAY_HOME", str(tmp_path))
    import boto3

    bucket = boto3.resource("s3").create_bucket(Bucket="forget")
    _append("s3://forget/tables", [WHO, "amy"])
    forget_command("taxi", "s3://forget/tables", key=[f"customer={WHO}"], yes=True)
    assert Store("s3://forget/tables/taxi").read(INFERENCE).column("input_customer").to_pylist() == ["amy"]
    contents = {each.key: each.get()["Body"].read() for each in bucket.objects.all()}
    assert len(contents) > 5
    assert [name for name, content in contents.items() if WHO.encode() in content] == []


@pytest.mark.slow
def test_the_command_is_there(root: Path) -> None:
    command = [str(TAXIWAY), "inference", "forget", "taxi", "--tables", str(root), "--key", f"customer={WHO}", "-y"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "inference: 2 rows deleted\n")
